"""SIGTERM under load: what is under way ends whole, nothing new is taken, and the end comes in time."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from proxy.servers import OPTIONS
from tests.conftest import NO_TLS
from tests.faults.faulty_s3 import PATIENCE_S, Fault, FaultyS3
from tests.s3_servers import free_ports

if TYPE_CHECKING:
    from tests.conftest import House

Start = Callable[..., tuple[subprocess.Popen[bytes], int]]

GRACE_S = OPTIONS["timeout_graceful_shutdown"]
BIG = b"%PDF-1.7\n" + bytes(range(256)) * 50_000
"""More than the sockets between hold, so that the server is still at it when its reader pauses."""


@pytest.fixture
def start(house: "House", s3: FaultyS3, tmp_path: Path) -> Iterator[Start]:
    """Run `python -m proxy serve` over the house's store and with its keys; gives the process and its port."""
    with ExitStack() as running:

        def run(workers: int = 1, **settings: str) -> tuple[subprocess.Popen[bytes], int]:
            (port,) = free_ports(1)
            keys = house.settings.link_keys
            assert keys is not None
            given = {name.upper(): str(value) for name, value in s3.settings.items()}
            own = {"DATA_DIR": str(tmp_path / "served"), "LISTEN_PORT": str(port), "LINK_KEYS": keys.get_secret_value()}
            process = running.enter_context(
                subprocess.Popen(  # noqa: S603 - the arguments are ours
                    [sys.executable, "-m", "proxy", "serve", "--only", "delivery", "--workers", str(workers)],
                    env=os.environ | given | own | settings,
                    stderr=running.enter_context((tmp_path / "log").open("wb")),
                )
            )
            running.callback(process.kill)
            wait_for(lambda: takes_connections(port), process)
            return process, port

        yield run


def takes_connections(port: int) -> bool:
    with suppress(ConnectionResetError):  # it was in the queue of a listener that went
        try:
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S).close()
        except ConnectionRefusedError:
            return False
    return True


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Ask again and again while the process lives."""
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until
        with suppress(subprocess.TimeoutExpired):
            assert process.wait(0.05) is None


def read_all(reader: socket.socket) -> bytes:
    with suppress(ConnectionResetError):
        return b"".join(iter(lambda: reader.recv(1 << 20), b""))
    return b""


def ask(port: int, path: str) -> socket.socket:
    """Ask, and leave it to the caller to read."""
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    reader.settimeout(PATIENCE_S)
    reader.connect(("127.0.0.1", port))
    reader.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    return reader


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_under_way_ends_whole_and_nothing_new_is_taken(  # noqa: PLR0913, PLR0917 - a house, its store, a server
    house: "House", s3: FaultyS3, start: Start, pdf: bytes, tmp_path: Path, workers: int
) -> None:
    s3.put("big.pdf", BIG)
    s3.put("cold.pdf", pdf)
    big, cold = (house.link(key, "document").removeprefix(house.url) for key in ("big.pdf", "cold.pdf"))
    process, port = start(workers)
    with ask(port, big) as reader, ThreadPoolExecutor() as threads:
        first = reader.recv(65_536)
        with s3.breaking(Fault.HELD):
            waiting = threads.submit(
                httpx2.get, f"http://127.0.0.1:{port}{cold}", timeout=PATIENCE_S, trust_env=False, verify=NO_TLS
            )
            s3.await_gets("cold.pdf")
            process.send_signal(signal.SIGTERM)
            wait_for(lambda: not takes_connections(port), process)
            assert process.poll() is None
        assert waiting.result().content == pdf
        head, _, body = (first + b"".join(iter(lambda: reader.recv(1 << 20), b""))).partition(b"\r\n\r\n")
    length = re.search(rb"(?im)^content-length: (\d+)", head)
    assert length is not None
    assert (int(length[1]), body) == (len(BIG), BIG)
    assert process.wait(GRACE_S) in {0, -signal.SIGTERM}
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("workers", [1, 2])
def test_who_still_waits_when_the_grace_is_over_is_told_to_come_again(  # noqa: PLR0913, PLR0917 - as above
    house: "House", s3: FaultyS3, start: Start, pdf: bytes, tmp_path: Path, workers: int
) -> None:
    s3.put("cold.pdf", pdf)
    cold = house.link("cold.pdf", "document").removeprefix(house.url)
    process, port = start(workers, STORE_READ_TIMEOUT_S="60", WAIT_LIMIT_S="60")
    with ThreadPoolExecutor() as threads, s3.breaking(Fault.HELD):
        url = f"http://127.0.0.1:{port}{cold}"
        waiting = threads.submit(httpx2.get, url, timeout=2 * GRACE_S, trust_env=False, verify=NO_TLS)
        s3.await_gets("cold.pdf")
        process.send_signal(signal.SIGTERM)
        answer = waiting.result()
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
        assert int(answer.headers["retry-after"]) > 0
        assert answer.headers["connection"] == "close"
        assert process.wait(GRACE_S) in {0, -signal.SIGTERM}
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_reader_that_stands_still_does_not_keep_it_beyond_the_grace(
    house: "House", s3: FaultyS3, start: Start, tmp_path: Path, workers: int
) -> None:
    s3.put("big.pdf", BIG)
    big = house.link("big.pdf", "document").removeprefix(house.url)
    process, port = start(workers)
    with ask(port, big) as reader:
        assert reader.recv(9) == b"HTTP/1.1 "
        process.send_signal(signal.SIGTERM)
        assert process.wait(GRACE_S + PATIENCE_S / 3) in {0, -signal.SIGTERM}
        assert len(read_all(reader)) < len(BIG)
    assert "Traceback" not in (tmp_path / "log").read_text()
