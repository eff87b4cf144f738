"""The real stores behind their doors, and servers that are hostile to them."""

from asyncio import run
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count, takewhile
from pathlib import Path
from socketserver import StreamRequestHandler, TCPServer, ThreadingTCPServer
from threading import Event, Semaphore
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
def into(tmp_path: Path) -> Path:
    """Name the file that a body is taken into."""
    return tmp_path / "into"


@pytest.fixture
def hang_ups() -> Semaphore:
    """Count those who lost patience with a server that stays silent."""
    return Semaphore(0)


@pytest.fixture
def answering(
    running: Callable[[TCPServer], str], hang_ups: Semaphore
) -> Iterator[Callable[[Callable[[bytes], bytes]], str]]:
    """Run a server that answers the head of each request with raw bytes and hangs up; after `STALL` it stays silent."""
    over = Event()

    def make(answer: Callable[[bytes], bytes]) -> str:
        class Answer(StreamRequestHandler):
            def handle(self) -> None:
                head = b"".join(takewhile(lambda line: line not in {b"\r\n", b""}, iter(self.rfile.readline, None)))
                if not head:
                    return
                said, stall, _ = answer(head).partition(b"STALL")
                with suppress(ConnectionError):
                    self.wfile.write(said)
                    if stall:
                        self.await_hang_up()

            def await_hang_up(self) -> None:
                self.connection.settimeout(0.02)
                while not over.is_set():
                    try:
                        self.connection.recv(1)
                    except TimeoutError:
                        continue
                    hang_ups.release()
                    break

        return running(ThreadingTCPServer(("127.0.0.1", 0), Answer))

    yield make
    over.set()
