"""Request smuggling: who stands before us may read a length differently; we serve nothing that is hidden in it."""

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from proxy.failures import Refusals
from proxy.servers import ThreadedServer
from proxy.telemetry import RequestIds

PATIENCE_S = 20
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
NO_BODY = b"0\r\n\r\n"


def post(*headers: bytes, body: bytes) -> bytes:
    return b"\r\n".join((b"POST /seen HTTP/1.1", b"Host: a", *headers, b"", body)) + HIDDEN


AMBIGUOUS = {
    "length, then chunks": post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=NO_BODY),
    "chunks, then length": post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=NO_BODY),
    "two lengths": post(b"Content-Length: 0", b"Content-Length: 33", body=b""),
    "one length twice": post(b"Content-Length: 1", b"Content-Length: 1", body=b"x"),
    "a list of lengths": post(b"Content-Length: 1, 1", body=b"x"),
    "a length with a sign": post(b"Content-Length: +1", body=b"x"),
    "a negative length": post(b"Content-Length: -1", body=b"x"),
    "a hexadecimal length": post(b"Content-Length: 0x1", body=b"x"),
    "a length beyond 64 bits": post(b"Content-Length: 99999999999999999999999", body=b"x"),
    "another coding": post(b"Transfer-Encoding: xchunked", body=NO_BODY),
    "chunks that are not the last coding": post(b"Transfer-Encoding: chunked, identity", body=NO_BODY),
    "two codings": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=NO_BODY),
    "a coding after a control character": post(b"Transfer-Encoding: \x0bchunked", body=NO_BODY),
    "a space before the colon": post(b"Transfer-Encoding : chunked", body=NO_BODY),
    "a folded line": post(b"Transfer-Encoding:", b" chunked", body=NO_BODY),
    "lines without a carriage return": b"POST /seen HTTP/1.1\nHost: a\nContent-Length: 0\n\n" + HIDDEN,
    "a carriage return alone": b"GET /seen HTTP/1.1\r\nHost: a\rX: b\r\n\r\n" + HIDDEN,
    "a NUL": b"GET /seen HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n" + HIDDEN,
    "a chunk's size without a carriage return": post(b"Transfer-Encoding: chunked", body=b"0\n\n"),
    "a line feed in a chunk's extension": post(b"Transfer-Encoding: chunked", body=b"1;a\nb\r\nx\r\n" + NO_BODY),
    "a chunk longer than its size": post(b"Transfer-Encoding: chunked", body=b"1\r\nxZZ" + NO_BODY),
    "a chunk beyond 64 bits": post(b"Transfer-Encoding: chunked", body=b"f" * 18 + b"\r\nx\r\n" + NO_BODY),
}


class Behind:
    """What stands behind the connection, and what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        routes = [Route("/{path:path}", self.note, methods=["GET", "POST"])]
        self.app = RequestIds(Refusals(Starlette(routes=routes)), new_id=lambda: "0" * 24)

    async def note(self, request: Request) -> Response:
        try:
            await request.body()
        except ClientDisconnect:
            return Response(status_code=400)
        self.asked.append(request.url.path)
        return PlainTextResponse(request.url.path)


@pytest.fixture
def behind() -> Behind:
    return Behind()


@pytest.fixture
def connection(behind: Behind) -> Iterator[socket.socket]:
    with ThreadedServer(behind.app) as server:
        host, _, port = server.url.removeprefix("http://").partition(":")
        with closing(socket.create_connection((host, int(port)), timeout=PATIENCE_S)) as opened:
            yield opened


def answers_until_it_is_closed(connection: socket.socket) -> bytes:
    answers = bytearray()
    try:
        while piece := connection.recv(65536):
            answers += piece
    except ConnectionResetError:
        pass
    return bytes(answers)


@pytest.mark.parametrize("said", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_what_can_be_read_in_two_ways_ends_the_connection_unserved(
    behind: Behind, connection: socket.socket, said: bytes
) -> None:
    connection.sendall(said)
    answers = answers_until_it_is_closed(connection)
    assert b" 200 " not in answers
    assert behind.asked == []


def test_what_is_plain_is_served_and_what_follows_it_too(behind: Behind, connection: socket.socket) -> None:
    connection.sendall(post(b"Transfer-Encoding: chunked", body=b"1\r\nx\r\n" + NO_BODY).replace(b"hidden", b"next"))
    seen = b""
    while b"/next" not in seen:
        seen += connection.recv(65536)
    assert behind.asked == ["/seen", "/next"]
