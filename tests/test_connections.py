"""A connection and its bounds, over real sockets: what it may say, how long, how slowly, and how many there may be."""

import json
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from proxy.connections import MAX_HEAD_BYTES, MAX_PIPELINED, TURNED_AWAY, Connection
from proxy.failures import Refusals
from proxy.patience import Limits
from proxy.servers import ThreadedServer
from proxy.telemetry import RequestIds

PATIENCE_S = 20.0
LONG = Limits(round_s=0.02)
BIG = bytes(range(256)) * 100_000
"""More than the sockets between hold."""
GET = b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n"

Open = Callable[[], socket.socket]
Serve = Callable[..., Open]


class Behind:
    """What stands behind the connections, and what it saw."""

    def __init__(self) -> None:
        self.left = threading.Event()
        self.lost = threading.Event()
        self.asked = threading.Event()
        self.go = threading.Event()
        routes = [
            Route("/small", self.small),
            Route("/big", self.big),
            Route("/held", self.held),
            Route("/echo", self.echo, methods=["POST"]),
        ]
        self.app = RequestIds(Refusals(Starlette(routes=routes)), new_id=lambda: "0" * 24)

    async def small(self, _request: Request) -> Response:
        return PlainTextResponse("small")

    async def big(self, _request: Request) -> Response:
        return Response(BIG)

    def held(self, _request: Request) -> Response:
        self.asked.set()
        self.go.wait(PATIENCE_S)
        return PlainTextResponse("held")

    async def echo(self, request: Request) -> Response:
        try:
            return Response(await request.body())
        except ClientDisconnect:
            self.left.set()
            raise


@pytest.fixture
def behind() -> Behind:
    return Behind()


@pytest.fixture
def serve(behind: Behind) -> Iterator[Serve]:
    """Serve under limits of the test's own; gives what opens a connection."""
    with ExitStack() as running:

        def start(**limits: float) -> Open:
            class Bounded(Connection):
                def connection_lost(self, exc: Exception | None) -> None:
                    super().connection_lost(exc)
                    behind.lost.set()

            Bounded.limits = replace(LONG, **limits)  # type: ignore[arg-type]  # connections is a whole number
            url = running.enter_context(ThreadedServer(behind.app, http=Bounded)).url
            port = int(url.rpartition(":")[2])

            def connect() -> socket.socket:
                opened = socket.socket()
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
                opened.settimeout(PATIENCE_S)
                opened.connect(("127.0.0.1", port))
                return running.enter_context(closing(opened))

            return connect

        yield start
        behind.go.set()


def read_all(opened: socket.socket) -> bytes:
    """Read to the end, however it comes."""
    got = bytearray()
    try:
        while piece := opened.recv(1 << 16):
            got += piece
    except ConnectionResetError:
        got += b"(reset)"
    return bytes(got)


def send_until_cut(opened: socket.socket, piece: bytes, every_s: float = 0.0) -> None:
    while not select.select([opened], [], [], every_s)[0]:
        opened.sendall(piece)
    opened.recv(1)


def send_on(opened: socket.socket) -> None:
    while True:
        opened.sendall(b"more")


def read_answer(opened: socket.socket) -> bytes:
    """Read one answer and leave the connection open; gives its body."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += opened.recv(1)
    length = int(re.findall(rb"(?i)content-length: (\d+)", got)[0])
    return b"".join(opened.recv(1) for _ in range(length))


def error_in(answer: bytes) -> tuple[int, str]:
    """Read an answer that must look like all our errors, and be the last one."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert {"cache-control: no-store", "connection: close", "x-request-id: " + "0" * 24} <= set(lines)
    assert f"content-length: {len(body)}" in lines
    error = json.loads(body)["error"]
    assert error["request_id"] == "0" * 24
    return int(lines[0].split()[1]), error["code"]


def head_of(size: int) -> bytes:
    head = GET[:-2] + b"X-Long: \r\n\r\n"
    return head.replace(b"X-Long: ", b"X-Long: " + b"x" * (size - len(head)))


@pytest.mark.parametrize("pieces", [1, 7, 5000], ids=["at-once", "in-pieces", "in-small-pieces"])
def test_a_head_may_be_as_long_as_the_bound(serve: Serve, pieces: int) -> None:
    opened = serve()()
    head = head_of(MAX_HEAD_BYTES)
    step = len(head) // pieces
    for _ in range(2):
        for at in range(0, len(head), step):
            opened.sendall(head[at : at + step])
        assert read_answer(opened) == b"small"


@pytest.mark.parametrize(
    "start",
    [b"GET /small HTTP/1.1\r\nX-Long: ", b"GET /small?", b"GET /small HTTP/1.1\r\n" + b"a: b\r\n" * 9, b"\r\n" * 8],
    ids=["header", "target", "headers", "empty-lines"],
)
def test_a_head_that_never_ends_is_refused_while_it_comes(serve: Serve, start: bytes) -> None:
    opened = serve(head_s=PATIENCE_S)()
    filling = b"\r\n" if start.startswith(b"\r\n") else b"a: b\r\n" if start.endswith(b"\r\n") else b"x"
    opened.sendall((start + filling * MAX_HEAD_BYTES)[: MAX_HEAD_BYTES + 1])
    assert error_in(read_all(opened)) == (431, "headers_too_large")


def test_who_sends_on_after_a_refusal_still_reads_it(serve: Serve) -> None:
    opened = serve(farewell_s=PATIENCE_S)()
    opened.sendall(b"GET /small HTTP/1.1\r\nX-Long: " + b"x" * 20_000_000)
    assert error_in(read_all(opened)) == (431, "headers_too_large")


def test_who_is_refused_and_does_not_go_is_cut(serve: Serve) -> None:
    opened = serve(farewell_s=0.1)()
    opened.sendall(head_of(MAX_HEAD_BYTES + 1))
    assert error_in(read_all(opened)) == (431, "headers_too_large")
    with pytest.raises(ConnectionError):
        send_on(opened)


def test_a_body_is_not_counted_as_a_head(serve: Serve) -> None:
    opened = serve()()
    body = bytes(1_000_000)
    for _ in range(2):
        opened.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + body)
        assert read_answer(opened) == body


@pytest.mark.parametrize(
    "endless", [b"0\r\nX-Long: " + b"x" * 100_000, b"1;" + b"x" * 100_000], ids=["trailer", "chunk-extension"]
)
def test_what_stands_between_the_pieces_of_a_body_is_bounded(serve: Serve, behind: Behind, endless: bytes) -> None:
    opened = serve(body_s=1000)()
    opened.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
    with pytest.raises(ConnectionError):
        send_until_cut(opened, endless)
    assert behind.left.wait(PATIENCE_S)


@pytest.mark.parametrize("said", [b"", b"\r\n", b"G", GET[:-2]], ids=["nothing", "empty-line", "letter", "half"])
def test_a_head_must_come_in_time(serve: Serve, said: bytes) -> None:
    opened = serve(head_s=0.1)()
    opened.sendall(said)
    assert read_all(opened) == b"(reset)"


def test_who_comes_after_a_pause_is_looked_at_again(serve: Serve) -> None:
    connect = serve(head_s=0.1)
    assert read_all(connect()) == b"(reset)"
    until = time.monotonic() + PATIENCE_S
    while Connection._rounds:  # noqa: SLF001 - nothing else shows that the rounds have ended
        assert time.monotonic() < until
    assert read_all(connect()) == b"(reset)"


def test_a_byte_now_and_then_buys_no_time(serve: Serve) -> None:
    opened = serve(head_s=0.3)()
    opened.sendall(b"GET /small HTTP/1.1\r\nX-Long: ")
    with pytest.raises(ConnectionError):
        send_until_cut(opened, b"x", every_s=0.02)


def test_a_second_head_must_come_in_time_too(serve: Serve) -> None:
    opened = serve(head_s=0.1)()
    opened.sendall(GET)
    assert read_answer(opened) == b"small"
    opened.sendall(b"G")
    assert read_all(opened) == b"(reset)"


@pytest.mark.parametrize("said", [b"", b"\r\n" * 10], ids=["nothing", "empty-lines"])
def test_an_idle_connection_is_closed_in_time(serve: Serve, said: bytes) -> None:
    opened = serve(idle_s=0.1)()
    opened.sendall(GET)
    assert read_answer(opened) == b"small"
    opened.sendall(said)
    assert read_all(opened) == b""


def test_a_body_must_come_in_time(serve: Serve, behind: Behind) -> None:
    opened = serve(body_s=0.1)()
    opened.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nx")
    assert read_all(opened) == b"(reset)"
    assert behind.left.wait(PATIENCE_S)


def test_who_waits_for_an_answer_may_begin_to_ask_again(serve: Serve, behind: Behind) -> None:
    connect = serve(head_s=0.05, idle_s=0.05)
    opened, other = connect(), connect()
    opened.sendall(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n" + GET[:9])
    assert behind.asked.wait(PATIENCE_S)
    assert read_all(other) == b"(reset)"
    behind.go.set()
    assert read_answer(opened) == b"held"
    opened.sendall(GET[9:])
    assert read_answer(opened) == b"small"


def test_requests_in_one_breath_are_answered_in_turn(serve: Serve) -> None:
    opened = serve()()
    opened.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1" + GET * 5)
    assert [read_answer(opened) for _ in range(6)] == [b"1"] + [b"small"] * 5


def test_of_too_many_requests_in_one_breath_the_first_are_answered(serve: Serve) -> None:
    opened = serve()()
    opened.sendall(GET * 500)
    answers = read_all(opened)
    assert answers.count(b"HTTP/1.1 200 OK") == answers.count(b"small") == 1 + MAX_PIPELINED
    assert answers.lower().count(b"connection: close") == 1


@pytest.mark.parametrize("said", [b"\x16\x03\x01\x02", b"GET /\xff HTTP/1.1\r\n\r\n", b"GET  HTTP/1.1\r\n\r\n"])
def test_what_is_not_http_is_malformed(serve: Serve, said: bytes) -> None:
    opened = serve()()
    opened.sendall(said)
    assert error_in(read_all(opened)) == (400, "malformed")


def test_who_asks_well_and_goes_on_badly_gets_the_answer_and_the_end(serve: Serve, behind: Behind) -> None:
    opened = serve(farewell_s=0.05)()
    opened.sendall(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n\x16\x03\x01\x02")
    assert behind.asked.wait(PATIENCE_S)
    behind.go.set()
    assert read_all(opened).endswith(b"\r\n\r\nheld")


def test_an_upgrade_is_ignored(serve: Serve) -> None:
    opened = serve()()
    for _ in range(2):
        opened.sendall(GET[:-2] + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert read_answer(opened) == b"small"


def test_more_connections_than_fit_are_told_so(serve: Serve) -> None:
    connect = serve(connections=2)
    first, second, third = connect(), connect(), connect()
    for opened in (first, second):
        opened.sendall(GET)
        assert read_answer(opened) == b"small"
    third.sendall(GET)
    answer = read_all(third)
    assert error_in(answer) == (503, "busy")
    assert b"\r\nretry-after: 5\r\n" in answer
    first.sendall(GET[:-2] + b"Connection: close\r\n\r\n")
    assert read_all(first).endswith(b"small")
    fourth = connect()
    fourth.sendall(GET)
    assert read_answer(fourth) == b"small"


def test_far_more_connections_than_fit_are_cut(serve: Serve) -> None:
    connect = serve(connections=1, head_s=1000)
    held = [connect() for _ in range(1 + TURNED_AWAY)]
    held[-1].sendall(GET)
    assert read_all(connect()) == b"(reset)"
    assert error_in(read_all(held[-1])) == (503, "busy")


def test_a_reader_that_stands_still_is_cut(serve: Serve, behind: Behind) -> None:
    opened = serve(pace_over_s=0.2)()
    opened.sendall(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
    assert behind.lost.wait(PATIENCE_S)
    got = read_all(opened)
    assert got.endswith(b"(reset)")
    assert len(got) < len(BIG)


def test_a_reader_that_keeps_the_pace_gets_everything(serve: Serve) -> None:
    opened = serve(pace_over_s=0.05, pace_bytes_per_s=1000, idle_s=0.05)()
    opened.sendall(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
    assert read_all(opened).partition(b"\r\n\r\n")[2] == BIG
