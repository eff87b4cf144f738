"""Once, however many ask: a cold heavy image, two worker processes, and everybody at the same moment."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2

from tests.conftest import NO_TLS

if TYPE_CHECKING:
    from tests.conftest import House

ASKERS = 200
PATIENCE_S = 60
POLL_S = 0.05


@contextmanager
def served(house: "House", data_dir: Path) -> Iterator[str]:
    """Serve the house's store from another host's disk, by two worker processes."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    log = data_dir.with_suffix(".log")
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "proxy", "serve", "--only", "delivery", "--workers", "2"],
            env={
                **os.environ,
                "DATA_DIR": str(data_dir),
                "STORE": house.settings.store,
                "LINK_KEYS": "1:" + "a" * 43,
                "LISTEN_PORT": str(port),
                "LOG_LEVEL": "debug",
                "LOG_FORMAT": "json",
            },
            stderr=errors,
        ) as server,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=PATIENCE_S) as client:
                while True:
                    try:
                        assert client.get(f"{url}/readyz").status_code == 200
                        break
                    except httpx2.ConnectError:
                        with suppress(subprocess.TimeoutExpired):
                            assert server.wait(POLL_S) is None, log.read_text()
            yield url
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(PATIENCE_S) in {0, -signal.SIGTERM, 128 + signal.SIGTERM}


async def ask_together(url: str, path: str) -> list[httpx2.Response]:
    limits = httpx2.Limits(max_connections=ASKERS)
    async with httpx2.AsyncClient(
        base_url=url, limits=limits, timeout=PATIENCE_S, trust_env=False, verify=NO_TLS
    ) as client:
        return await asyncio.gather(*(client.get(path) for _ in range(ASKERS)))


def test_two_processes_make_a_cold_rendition_once(
    build: Callable[..., "House"], heavy_jpeg: bytes, tmp_path: Path
) -> None:
    house = build()
    house.put("a.jpg", heavy_jpeg)
    path = house.link("a.jpg").removeprefix(house.url)
    made = house.web.get(path).content
    for kept in (tmp_path / "store" / ".medialink" / "renditions").iterdir():
        kept.unlink()
    with served(house, tmp_path / "other") as url:
        answers = asyncio.run(ask_together(url, path))
    assert [answer.status_code for answer in answers] == [200] * ASKERS
    assert {answer.content for answer in answers} == {made}
    assert len({answer.headers["etag"] for answer in answers}) == 1
    told = (tmp_path / "other.log").read_text()
    assert len(re.findall(r'"event": "rendition.made"', told)) == 1
    assert not list((tmp_path / "other" / "cache" / "drafts").iterdir())
