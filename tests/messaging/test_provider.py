"""The provider's door over real sockets: what is sent again, and above all what never is."""

import asyncio
import inspect
import json
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpcore2
import httpx2
import pytest

from proxy.errors import Malformed
from proxy.messaging.outcomes import Accepted, NotSent, Outcome, Refused, Uncertain
from proxy.messaging.provider import MAX_ANSWER_BYTES, Provider, Retries, Timeouts

PAYLOAD: Mapping[str, object] = {"to": "491701234567", "type": "image", "image": {"link": "https://a.example/ä.jpg"}}
ACCEPTED = b'{"messages":[{"id":"wamid.X"}]}'
THROTTLED = b'{"meta":{"httpCode":400,"developerMessage":"You have exceeded the limit of 1 request every * seconds."}}'
TIMEOUTS = Timeouts(connect_s=2, answer_s=2)


@dataclass(frozen=True)
class Post:
    head: str
    body: bytes


Behaviour = Callable[["Hostile", socket.socket], None]


@dataclass
class Hostile:
    """A server that does to each connection what its script says next, and remembers every whole post."""

    script: list[Behaviour]
    posts: list[Post] = field(default_factory=list)
    connections: int = 0
    sent_bytes: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            with connection:
                if self.over.is_set():
                    return
                self.connections += 1
                with suppress(OSError):
                    self.script[min(self.connections, len(self.script)) - 1](self, connection)

    def close(self) -> None:
        self.over.set()
        with suppress(OSError):
            socket.create_connection(self.listener.getsockname()).close()
        self.thread.join()
        self.listener.close()


def read_head(connection: socket.socket) -> tuple[str, bytes]:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536) or b"\r\n\r\n"
    head, _, rest = received.partition(b"\r\n\r\n")
    return head.decode(), rest


def read_post(hostile: Hostile, connection: socket.socket) -> None:
    head, body = read_head(connection)
    headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:])
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65536)
    hostile.posts.append(Post(head, body))


def answer(status: int, body: bytes, headers: str = "") -> Behaviour:
    def behave(hostile: Hostile, connection: socket.socket) -> None:
        read_post(hostile, connection)
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n"
        connection.sendall(head.encode() + body)

    return behave


def close_after_the_head(_hostile: Hostile, connection: socket.socket) -> None:
    read_head(connection)


def close_after_the_body(hostile: Hostile, connection: socket.socket) -> None:
    read_post(hostile, connection)


def reset_after_the_body(hostile: Hostile, connection: socket.socket) -> None:
    read_post(hostile, connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def half_an_answer(hostile: Hostile, connection: socket.socket) -> None:
    read_post(hostile, connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + ACCEPTED)


def half_a_head(hostile: Hostile, connection: socket.socket) -> None:
    read_post(hostile, connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")


def no_http(hostile: Hostile, connection: socket.socket) -> None:
    read_post(hostile, connection)
    connection.sendall(b"220 smtp.example.com ESMTP\r\n\r\n")


def false_gzip(hostile: Hostile, connection: socket.socket) -> None:
    answer(200, ACCEPTED, "Content-Encoding: gzip\r\n")(hostile, connection)


def endless_answer(hostile: Hostile, connection: socket.socket) -> None:
    read_post(hostile, connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not hostile.over.is_set():
        connection.sendall(b"1000\r\n" + b" " * 0x1000 + b"\r\n")
        hostile.sent_bytes += 0x1000


def stall(hostile: Hostile, connection: socket.socket) -> None:
    read_post(hostile, connection)
    hostile.over.wait()


def drip(hostile: Hostile, connection: socket.socket) -> None:
    read_post(hostile, connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not hostile.over.wait(0.02):
        connection.sendall(b" ")


@pytest.fixture
def start() -> Iterator[Callable[..., Hostile]]:
    started: list[Hostile] = []

    def start(*script: Behaviour) -> Hostile:
        started.append(Hostile(list(script)))
        return started[-1]

    yield start
    for hostile in started:
        hostile.close()


@dataclass
class FakeTime:
    """Time that passes only when somebody sleeps."""

    now_s: float = 0.0
    slept: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


def send(
    time: FakeTime,
    url: str,
    *,
    timeouts: Timeouts = TIMEOUTS,
    retries: Retries | None = None,
    transport: httpx2.AsyncBaseTransport | None = None,
) -> Outcome:
    async def run() -> Outcome:
        provider = Provider(
            url,
            "the-key",
            timeouts=timeouts,
            retries=retries or Retries(),
            sleep=time.sleep,
            monotonic=time.monotonic,
            transport=transport,
        )
        try:
            return await provider.send(PAYLOAD)
        finally:
            await provider.close()

    return asyncio.run(run())


def test_a_message_is_posted_with_the_key_as_json(start: Callable[..., Hostile], time: FakeTime) -> None:
    hostile = start(answer(200, ACCEPTED))
    assert send(time, hostile.url + "/") == Accepted(message_id="wamid.X")
    (post,) = hostile.posts
    assert post.head.startswith("POST /messages HTTP/1.1\r\n")
    assert "d360-api-key: the-key" in post.head.lower()
    assert "content-type: application/json" in post.head.lower()
    assert json.loads(post.body) == PAYLOAD


AGAIN = {
    "d360_throttle": answer(400, THROTTLED),
    "throughput": answer(400, b'{"error":{"code":130429,"message":"m"}}'),
    "pair_rate_with_429": answer(429, b'{"error":{"code":131056,"message":"m"}}'),
    "overloaded_with_503": answer(503, b'{"error":{"code":2,"message":"m"}}'),
}


@pytest.mark.parametrize("refusal", AGAIN.values(), ids=AGAIN.keys())
def test_a_throttled_message_is_sent_again_until_it_is_taken(
    start: Callable[..., Hostile], time: FakeTime, refusal: Behaviour
) -> None:
    hostile = start(refusal, refusal, answer(200, ACCEPTED))
    assert send(time, hostile.url) == Accepted(message_id="wamid.X")
    assert len(hostile.posts) == 3
    assert len({post.body for post in hostile.posts}) == 1
    assert time.slept == [1, 4]


NEVER_AGAIN = {
    "closed_after_the_head": close_after_the_head,
    "closed_after_the_body": close_after_the_body,
    "reset_after_the_body": reset_after_the_body,
    "half_an_answer": half_an_answer,
    "half_a_head": half_a_head,
    "no_http": no_http,
    "false_gzip": false_gzip,
    "endless_answer": endless_answer,
    "huge_answer": answer(200, b" " * MAX_ANSWER_BYTES + ACCEPTED),
    "ok_without_id": answer(200, b"{}"),
    "ok_but_html": answer(200, b"<html>Sign in</html>"),
    "empty_answer": answer(200, b""),
    "html_500": answer(500, b"<html></html>"),
    "html_503_with_retry_after": answer(503, b"<html>503 Service Temporarily Unavailable", "Retry-After: 1\r\n"),
    "d360_555": answer(555, b'{"meta":{"http_code":555,"developer_message":"Internal server error"}}'),
    "html_429": answer(429, b"<html>Too many requests</html>", "Retry-After: 1\r\n"),
    "redirect": answer(307, b"", "Location: /messages\r\n"),
}


@pytest.mark.parametrize("behaviour", NEVER_AGAIN.values(), ids=NEVER_AGAIN.keys())
def test_what_may_have_been_taken_is_uncertain_and_never_sent_twice(
    start: Callable[..., Hostile], time: FakeTime, behaviour: Behaviour
) -> None:
    hostile = start(behaviour, answer(200, ACCEPTED))
    assert isinstance(send(time, hostile.url), Uncertain)
    assert hostile.connections == 1
    assert time.slept == []


def test_an_endless_answer_is_left_where_it_is(start: Callable[..., Hostile], time: FakeTime) -> None:
    hostile = start(endless_answer)
    assert isinstance(send(time, hostile.url), Uncertain)
    in_the_sockets_bytes = 32 * 1024 * 1024
    assert hostile.sent_bytes < MAX_ANSWER_BYTES + in_the_sockets_bytes


@pytest.mark.parametrize("behaviour", [stall, drip], ids=["stall", "drip"])
def test_an_answer_that_does_not_come_is_uncertain_and_never_sent_twice(
    start: Callable[..., Hostile], time: FakeTime, behaviour: Behaviour
) -> None:
    hostile = start(behaviour, answer(200, ACCEPTED))
    timeouts = Timeouts(connect_s=0.1, answer_s=0.2)
    assert isinstance(send(time, hostile.url, timeouts=timeouts), Uncertain)
    assert len(hostile.posts) == hostile.connections == 1


def test_a_final_refusal_is_not_sent_again(start: Callable[..., Hostile], time: FakeTime) -> None:
    hostile = start(answer(401, b'{"meta":{"http_code":404,"developer_message":"Invalid api key"}}'))
    assert send(time, hostile.url) == Refused(code=None, details="Invalid api key")
    assert len(hostile.posts) == 1


def test_an_uncertain_answer_after_a_throttle_ends_the_tries(start: Callable[..., Hostile], time: FakeTime) -> None:
    hostile = start(answer(400, THROTTLED), close_after_the_body, answer(200, ACCEPTED))
    assert isinstance(send(time, hostile.url), Uncertain)
    assert len(hostile.posts) == 2


def test_a_refused_connection_is_tried_again_and_then_not_sent(time: FakeTime) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    assert isinstance(send(time, url, retries=Retries(tries=3)), NotSent)
    assert time.slept == [1, 4]


def test_a_host_that_does_not_resolve_is_not_sent(time: FakeTime) -> None:
    assert isinstance(send(time, "http://nowhere.invalid", retries=Retries(tries=1)), NotSent)


def test_a_failed_tls_handshake_is_not_sent(start: Callable[..., Hostile], time: FakeTime) -> None:
    def speak_plainly(_hostile: Hostile, connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    hostile = start(speak_plainly)
    url = hostile.url.replace("http://", "https://")
    assert isinstance(send(time, url, retries=Retries(tries=2)), NotSent)
    assert hostile.connections == 2


def test_tries_end_within_the_seconds_that_they_have(start: Callable[..., Hostile], time: FakeTime) -> None:
    hostile = start(answer(400, THROTTLED))
    outcome = send(time, hostile.url, retries=Retries(tries=100, total_s=30))
    assert isinstance(outcome, Refused)
    assert outcome.again
    assert time.slept == [1, 4, 16]


RETRY_AFTER = {
    "seconds": ("Retry-After: 7\r\n", 7),
    "less_than_our_own": ("Retry-After: 0\r\n", 1),
    "date": (
        "Date: Wed, 21 Oct 2026 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2026 07:28:09 GMT\r\n",
        9,
    ),
    "date_without_date": ("Retry-After: Wed, 21 Oct 2026 07:28:09 GMT\r\n", 1),
    "date_gone_by": ("Date: Wed, 21 Oct 2026 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2020 07:28:09 GMT\r\n", 1),
    "date_with_and_without_zone": (
        "Date: Wed, 21 Oct 2026 07:28:00\r\nRetry-After: Wed, 21 Oct 2026 07:28:09 GMT\r\n",
        1,
    ),
    "garbage": ("Retry-After: soon\r\n", 1),
    "negative": ("Retry-After: -5\r\n", 1),
    "endless_digits": (f"Retry-After: {'9' * 5000}\r\n", 1),
}


@pytest.mark.parametrize(("headers", "waited_s"), RETRY_AFTER.values(), ids=RETRY_AFTER.keys())
def test_retry_after_is_honoured(start: Callable[..., Hostile], time: FakeTime, headers: str, waited_s: float) -> None:
    hostile = start(answer(400, THROTTLED, headers), answer(200, ACCEPTED))
    assert isinstance(send(time, hostile.url), Accepted)
    assert time.slept == [waited_s]


def test_a_retry_after_beyond_our_time_is_not_waited_for(start: Callable[..., Hostile], time: FakeTime) -> None:
    hostile = start(answer(400, THROTTLED, "Retry-After: 3600\r\n"))
    assert isinstance(send(time, hostile.url), Refused)
    assert time.slept == []


def test_a_redirect_is_not_followed(start: Callable[..., Hostile], time: FakeTime) -> None:
    elsewhere = start(answer(200, ACCEPTED))
    hostile = start(answer(307, b"", f"Location: {elsewhere.url}/messages\r\n"))
    assert isinstance(send(time, hostile.url), Uncertain)
    assert elsewhere.connections == 0


def test_no_proxy_is_taken_from_the_environment(
    start: Callable[..., Hostile], time: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    eavesdropper, hostile = start(answer(200, ACCEPTED)), start(answer(200, ACCEPTED))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, eavesdropper.url)
    assert isinstance(send(time, hostile.url), Accepted)
    assert (eavesdropper.connections, hostile.connections) == (0, 1)


def test_a_connection_is_kept_for_the_next_message(start: Callable[..., Hostile]) -> None:
    def serve_two(hostile: Hostile, connection: socket.socket) -> None:
        for _ in range(2):
            read_post(hostile, connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(ACCEPTED), ACCEPTED))

    async def run() -> None:
        provider = Provider(hostile.url, "the-key", timeouts=TIMEOUTS)
        assert isinstance(await provider.send(PAYLOAD), Accepted)
        assert isinstance(await provider.send(PAYLOAD), Accepted)
        await provider.close()

    hostile = start(serve_two)
    asyncio.run(run())
    assert (len(hostile.posts), hostile.connections) == (2, 1)


class BreakingWire(httpcore2.AsyncNetworkStream, httpcore2.AsyncNetworkBackend):
    """A network whose writes fail after the first few, and which never answers."""

    def __init__(self, writes_that_pass: int) -> None:
        self.left = writes_that_pass
        self.written = b""

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002  # the protocol's
        port: int,  # noqa: ARG002  # the protocol's
        timeout: float | None = None,  # noqa: ARG002, ASYNC109  # the protocol's
        local_address: str | None = None,  # noqa: ARG002  # the protocol's
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002  # the protocol's
    ) -> httpcore2.AsyncNetworkStream:
        return self

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        if not self.left:
            raise httpcore2.WriteError
        self.left -= 1
        self.written += buffer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109
        return b""

    async def aclose(self) -> None:
        pass

    def get_extra_info(self, info: str) -> None:
        pass


class WiredTransport(httpx2.AsyncHTTPTransport):
    def __init__(self, wire: BreakingWire) -> None:
        super().__init__()
        self._pool = httpcore2.AsyncConnectionPool(network_backend=wire)


def test_a_write_that_fails_before_the_body_is_not_sent(time: FakeTime) -> None:
    wire = BreakingWire(writes_that_pass=0)
    outcome = send(time, "http://a.example", transport=WiredTransport(wire), retries=Retries(tries=2))
    assert isinstance(outcome, NotSent)
    assert time.slept == [1]


def test_a_write_that_fails_within_the_body_is_uncertain(time: FakeTime) -> None:
    wire = BreakingWire(writes_that_pass=1)
    assert isinstance(send(time, "http://a.example", transport=WiredTransport(wire)), Uncertain)
    assert wire.written.startswith(b"POST")
    assert time.slept == []


class FailingTransport(httpx2.AsyncBaseTransport):
    def __init__(self, error: Exception) -> None:
        self.error = error
        self.requests = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        assert isinstance(request.stream, AsyncIterable)
        self.requests += 1
        raise self.error


MAPPED: dict[str, type[NotSent | Uncertain]] = {
    "CloseError": Uncertain,
    "ConnectError": NotSent,
    "ConnectTimeout": NotSent,
    "CookieConflict": Uncertain,
    "DecodingError": Uncertain,
    "HTTPError": Uncertain,
    "HTTPStatusError": Uncertain,
    "InvalidURL": NotSent,
    "LocalProtocolError": Uncertain,
    "NetworkError": Uncertain,
    "PoolTimeout": NotSent,
    "ProtocolError": Uncertain,
    "ProxyError": NotSent,
    "ReadError": Uncertain,
    "ReadTimeout": Uncertain,
    "RemoteProtocolError": Uncertain,
    "RequestError": Uncertain,
    "RequestNotRead": Uncertain,
    "ResponseNotRead": Uncertain,
    "SSEError": Uncertain,
    "StreamClosed": Uncertain,
    "StreamConsumed": Uncertain,
    "StreamError": Uncertain,
    "TimeoutException": Uncertain,
    "TooManyRedirects": Uncertain,
    "TransportError": Uncertain,
    "UnsupportedProtocol": NotSent,
    "WriteError": Uncertain,
    "WriteTimeout": Uncertain,
}


def exceptions_of_httpx2() -> dict[str, type[Exception]]:
    return {
        name: value
        for name, value in vars(httpx2).items()
        if inspect.isclass(value) and issubclass(value, Exception) and not issubclass(value, Warning)
    }


def test_every_exception_of_httpx2_is_mapped() -> None:
    assert exceptions_of_httpx2().keys() == MAPPED.keys()


@pytest.mark.parametrize("name", MAPPED)
def test_an_exception_of_httpx2_becomes_an_outcome(time: FakeTime, name: str) -> None:
    kind = exceptions_of_httpx2()[name]
    transport = FailingTransport(kind.__new__(kind))
    outcome = send(time, "http://a.example", transport=transport, retries=Retries(tries=2))
    assert type(outcome) is MAPPED[name]
    assert transport.requests == (2 if MAPPED[name] is NotSent else 1)


@pytest.mark.parametrize("error", [ssl.SSLError(1, "bad record"), OSError(5, "I/O error"), RuntimeError("?")])
def test_an_exception_of_somebody_else_is_uncertain(time: FakeTime, error: Exception) -> None:
    transport = FailingTransport(error)
    assert isinstance(send(time, "http://a.example", transport=transport), Uncertain)
    assert transport.requests == 1


WRONG_URLS = [
    "",
    "waba-v2.360dialog.io",
    "ftp://a.example",
    "https://",
    "https://user:secret@a.example",
    "https://a.example/?x=1",
    "https://a.example:port",
]


@pytest.mark.parametrize("url", WRONG_URLS)
def test_a_wrong_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(Malformed) as refused:
        Provider(url, "the-key")
    assert refused.value.field == "provider URL"


@pytest.mark.parametrize("key", ["", "two words", "line\r\nX-Evil: 1", "schlüssel"])
def test_a_wrong_key_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(Malformed) as refused:
        Provider("https://a.example", key)
    assert not key or key not in str(refused.value)


@pytest.mark.parametrize("wrong", [{"tries": 0}, {"total_s": -1.0}], ids=["no_tries", "negative_time"])
def test_retries_without_a_first_try_do_not_construct(wrong: Mapping[str, Any]) -> None:
    with pytest.raises(Malformed):
        Retries(**wrong)
