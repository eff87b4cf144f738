"""The real stores behind their doors, and servers that are hostile to them."""

from asyncio import run
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from socketserver import StreamRequestHandler, TCPServer, ThreadingTCPServer
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from proxy.storage.folder import FolderStore
from proxy.storage.s3 import S3Settings, S3Store
from tests.s3_servers import ACCESS_KEY, SECRET_KEY

if TYPE_CHECKING:
    from proxy.storage.store import Store


@pytest.fixture
def open_s3() -> Iterator[Callable[..., S3Store]]:
    """Open a store, patient with real servers; tests of hostile ones give shorter limits."""
    opened: list[S3Store] = []

    def make(url: str, bucket: str = "bucket", prefix: str = "", **given: object) -> S3Store:
        limits: dict[str, object] = {"attempts": 1, "threads": 8, "region": "us-east-1"}
        keys = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}
        settings = S3Settings(endpoint_url=url, **(limits | keys | given))  # type: ignore[arg-type] # tests mix types
        opened.append(S3Store(bucket, prefix, settings))
        return opened[-1]

    yield make
    for store in opened:
        run(store.close())


@pytest.fixture(params=["folder", "moto", "moto-versioned", "seaweedfs", "seaweedfs-versioned"])
def store_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def keeps_versions(store_name: str) -> bool:
    return store_name.endswith("-versioned")


@pytest.fixture
def open_again(
    store_name: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    new_bucket: Callable[..., str],
    open_s3: Callable[..., S3Store],
) -> Iterator[Callable[[], "Store"]]:
    """Open one and the same place, as often as there are processes."""
    if store_name == "folder":
        opened: list[FolderStore] = []

        def open_folder() -> "Store":
            opened.append(FolderStore(tmp_path / "root"))
            return opened[-1]

        yield open_folder
        for store in opened:
            run(store.close())
    else:
        server, _, versioned = store_name.partition("-")
        url = request.getfixturevalue(f"{server}_url")
        bucket = new_bucket(url, versioned=bool(versioned))
        yield lambda: open_s3(url, bucket, "some/prefix")


@pytest.fixture
def store(open_again: Callable[[], "Store"]) -> "Store":
    return open_again()


@pytest.fixture
def file_of(tmp_path: Path) -> Callable[[bytes], Path]:
    numbers = count()

    def write(content: bytes) -> Path:
        path = tmp_path / f"body-{next(numbers)}"
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def running() -> Iterator[Callable[[TCPServer], str]]:
    """Run a server in a thread until the test is over."""
    with ExitStack() as started:

        def run_server(server: TCPServer) -> str:
            thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            started.callback(server.server_close)
            started.callback(thread.join)
            started.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_address[1]}"

        yield run_server


@pytest.fixture
def answering(running: Callable[[TCPServer], str]) -> Iterator[Callable[[Callable[[bytes], bytes]], str]]:
    """Run a server that answers the head of each request with raw bytes and hangs up; after `STALL` it stays silent."""
    over = Event()

    def make(answer: Callable[[bytes], bytes]) -> str:
        class Answer(StreamRequestHandler):
            def handle(self) -> None:
                head = b"".join(iter(self.rfile.readline, b"\r\n"))
                said, stall, _ = answer(head).partition(b"STALL")
                self.wfile.write(said)
                if stall:
                    over.wait()

        return running(ThreadingTCPServer(("127.0.0.1", 0), Answer))

    yield make
    over.set()


@pytest.fixture
def forgetful_url(moto_url: str, running: Callable[[TCPServer], str]) -> str:
    """A store that ignores If-None-Match, as GCS is said to: moto behind a proxy that drops the header."""
    host = moto_url.removeprefix("http://")

    class Forward(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kept = {
                name: value for name, value in self.headers.items() if name.lower() not in {"if-none-match", "expect"}
            }
            upstream = HTTPConnection(host, timeout=10)
            upstream.request(self.command, self.path, body, kept)
            answer = upstream.getresponse()
            content = answer.read()
            upstream.close()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"connection", "transfer-encoding"}:
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_HEAD = do_PUT = forward  # noqa: N815 # the names are http.server's

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the name is http.server's
            """Keep quiet."""

    return running(ThreadingHTTPServer(("127.0.0.1", 0), Forward))
