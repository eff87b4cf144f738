"""moto's S3 behind a proxy that breaks as real stores do, when and for as long as a test says."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from http import HTTPStatus
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Event, Thread
from typing import TYPE_CHECKING, Any, Self

from tests.s3_servers import ACCESS_KEY, SECRET_KEY

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

SLOW_S = 0.3
PATIENCE_S = 30
"""For what takes a moment on an idle machine."""
DROPPED = {"connection", "transfer-encoding", "date", "server", "last-modified"}
LONG_AGO = "Wed, 01 Jan 2025 00:00:00 GMT"
"""What is sent was mostly made before; and no test here depends on the second in which it was."""


class Fault(StrEnum):
    """What a store does for as long as it is broken."""

    SLOW = "slow"
    """Each answer comes a little later."""
    HELD = "held"
    """No answer comes until the fault is over; then all of them do."""
    STALLED = "stalled"
    """The head and half of a body come, and then nothing."""
    PAUSED = "paused"
    """Half of a body comes, and the rest of it when the fault is over."""
    TRUNCATED = "truncated"
    """The head and half of a body come, and the connection ends."""
    UNMEASURED = "unmeasured"
    """A body comes without its length, so that an end is no proof of a whole."""
    SHORT = "short"
    """Less comes than was asked for, and length and range agree with it: the size behind the range tells."""
    SLOW_DOWN = "slow-down"
    """503 SlowDown."""
    FORBIDDEN = "forbidden"
    """403: the credentials are gone."""
    READ_ONLY = "read-only"
    """403 for whatever writes."""
    REFUSED = "refused"
    """Nobody listens."""


_SAID = {
    Fault.SLOW_DOWN: (HTTPStatus.SERVICE_UNAVAILABLE, "SlowDown"),
    Fault.FORBIDDEN: (HTTPStatus.FORBIDDEN, "InvalidAccessKeyId"),
    Fault.READ_ONLY: (HTTPStatus.FORBIDDEN, "AccessDenied"),
}
_OF_A_BODY = {Fault.STALLED, Fault.PAUSED, Fault.TRUNCATED, Fault.UNMEASURED, Fault.SHORT}


class FaultyS3:
    """Forwards to a real server; `calls` lists what was asked for since the last fault began, as `GET /bucket/key`.

    `put` and `delete` go around the fault, by a client of their own.
    """

    def __init__(self, upstream_url: str, bucket: str, client: "S3Client") -> None:
        self.upstream = upstream_url.removeprefix("http://")
        self.bucket = bucket
        self._client = client
        self.calls: list[str] = []
        self._called = Condition()
        self._fault: Fault | None = None
        self._only = ""
        self._over = Event()
        self._actions: dict[str, list[Callable[[], object]]] = {}
        # Bound and never listening: it keeps the port ours while nobody listens.
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._held.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._held.getsockname()[1]}"
        self._listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._hang_up()
        self._held.close()

    @property
    def settings(self) -> dict[str, Any]:
        """A house over it is patient with the machine, and not with the store."""
        return {
            "store": f"s3://{self.bucket}",
            "s3_endpoint_url": self.url,
            "s3_region": "us-east-1",
            "s3_access_key_id": ACCESS_KEY,
            "s3_secret_access_key": SECRET_KEY,
            "store_connect_timeout_s": 1,
            "store_read_timeout_s": 1,
            "alias_prefixes": "open/",
        }

    def put(self, key: str, body: bytes) -> None:
        self._client.put_object(Bucket=self.bucket, Key=key, Body=body)

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket=self.bucket, Key=key)

    @contextmanager
    def breaking(self, fault: Fault, only: str = "") -> Iterator[None]:
        """Be broken inside the block, for the calls that start like `only`."""
        self.calls.clear()
        self._only, self._over, self._fault = only, Event(), fault
        if fault is Fault.REFUSED:
            self._hang_up()
        try:
            yield
        finally:
            self._fault = None
            self._over.set()
            if fault is Fault.REFUSED:
                self._listen()

    def before_get(self, key: str, act: Callable[[], object]) -> None:
        """Do something just before a GET is forwarded, once; what is said twice happens at two of them."""
        self._actions.setdefault(f"GET /{self.bucket}/{key}", []).append(act)

    def await_gets(self, *keys: str) -> None:
        """Wait until each of these was asked for."""
        wanted = {f"GET /{self.bucket}/{key}" for key in keys}
        with self._called:
            assert self._called.wait_for(lambda: wanted.issubset(self.calls), PATIENCE_S), (wanted, self.calls)

    def begin(self, call: str) -> tuple[Fault | None, Event]:
        """Take a call down, do what was to be done before it, and say what is to become of it."""
        with self._called:
            self.calls.append(call)
            self._called.notify_all()
        if actions := self._actions.get(call):
            actions.pop(0)()
        fault = self._fault if call.startswith(self._only) else None
        if fault is Fault.READ_ONLY and not call.startswith(("PUT", "POST", "DELETE")):
            fault = None
        return fault, self._over

    def _listen(self) -> None:
        self._server = _Server(self, self._held.getsockname())
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def _hang_up(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    allow_reuse_port = True
    request_queue_size = 128

    def __init__(self, faulty: FaultyS3, address: tuple[str, int]) -> None:
        self.faulty = faulty
        super().__init__(address, _Forward)


class _Forward(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def answer(self) -> None:
        """Answer one call; a caller that lost patience is no concern of the store's."""
        self.close_connection = True
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault, over = self.server.faulty.begin(f"{self.command} {self.path.split('?')[0]}")
        with suppress(ConnectionError):
            if fault is Fault.SLOW:
                over.wait(SLOW_S)
            elif fault is Fault.HELD:
                over.wait()
            elif fault in _SAID:
                status, code = _SAID[fault]
                self._say(status, [], f"<Error><Code>{code}</Code><Message>so</Message></Error>".encode())
                return
            self._forward(body, fault, over)

    def _forward(self, body: bytes, fault: Fault | None, over: Event) -> None:
        headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
        upstream = HTTPConnection(self.server.faulty.upstream, timeout=PATIENCE_S)
        try:
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            content = answer.read()
        finally:
            upstream.close()
        given = [(name, value) for name, value in answer.getheaders() if name.lower() not in DROPPED]
        given.append(("Last-Modified", LONG_AGO))
        broken = fault if fault in _OF_A_BODY and self.command == "GET" else None
        self._say(HTTPStatus(answer.status), given, content, broken)
        if broken in {Fault.STALLED, Fault.PAUSED}:
            over.wait()
        if broken is Fault.PAUSED:
            self.wfile.write(content[len(content) // 2 :])

    def _say(
        self, status: HTTPStatus, headers: list[tuple[str, str]], content: bytes, broken: Fault | None = None
    ) -> None:
        part = content if broken is None else content[: len(content) // 2]
        sizes = [value for name, value in headers if name.lower() == "content-length"] or [str(len(content))]
        size = {Fault.SHORT: [str(len(part))], Fault.UNMEASURED: []}.get(broken, sizes) if broken else sizes
        self.send_response(status)
        for name, value in headers:
            if name.lower() == "content-range" and broken is Fault.SHORT:
                self.send_header(name, _shortened(value, len(part)))
            elif name.lower() != "content-length":
                self.send_header(name, value)
        for value in size:
            self.send_header("Content-Length", value)
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(part)
            self.wfile.flush()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - the names are http.server's

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Keep quiet."""


def _shortened(content_range: str, count: int) -> str:
    """Let a range end so many bytes after its first, of an object that is as large as ever."""
    told, _, total = content_range.removeprefix("bytes ").partition("/")
    first = int(told.partition("-")[0])
    return f"bytes {first}-{first + count - 1}/{total}"
