"""SIGKILL, again and again, at whatever moment: nothing wrong is served, and nothing is left lying about."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

import httpx2

from tests.conftest import NO_TLS, picture
from tests.faults import crashing
from tests.s3_servers import free_ports

if TYPE_CHECKING:
    from tests.conftest import House

KILLS = 200
SERVICE_KILLS = 6
ASKERS = 3
PATIENCE_S = 60.0
ANSWERS_BETWEEN_KILLS = 15


def test_processes_that_are_killed_leave_no_wrong_body_no_draft_and_no_lock() -> None:
    """Four processes fill and evict one cache; the bound is a third of what they bring again and again."""
    told = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, crashing.__file__, str(KILLS)], stdout=subprocess.PIPE, check=True, timeout=110
    )
    assert b"cache.damaged" not in told.stdout
    seen = json.loads(told.stdout.splitlines()[-1])
    assert seen["wrong"] == seen["locks_left"] == 0, seen
    assert seen["only_the_living_writer_is_left"] is True, seen
    assert seen["most_bytes"] < 1.25 * crashing.MAX_BYTES, seen
    assert seen["most_drafts"] <= 1 + 2 * crashing.PROCESSES, seen
    assert min(seen["hits"], seen["fills"]) > KILLS, seen


def test_a_service_whose_workers_are_killed_serves_nothing_wrong(build: Callable[..., "House"], tmp_path: Path) -> None:
    house = build()
    right = dict(media(house))
    data_dir = tmp_path / "other"
    with served(house, data_dir) as (url, server):
        asked = Asked(url=url, right=right)
        with asked.constantly():
            for number in range(SERVICE_KILLS):
                asked.wait_for_answers(ANSWERS_BETWEEN_KILLS)
                empty(data_dir / "cache" / "files")
                before = workers_of(server.pid)
                os.kill(before[number % len(before)], signal.SIGKILL)
                wait_until(lambda old=before: len(set(workers_of(server.pid)) - set(old)) > 0)  # type: ignore[misc]
            asked.wait_for_answers(ANSWERS_BETWEEN_KILLS)
        assert asked.wrong == []
        assert asked.answers["200"] >= SERVICE_KILLS * ANSWERS_BETWEEN_KILLS
        assert set(asked.answers) <= {"200", "broke"}, asked.answers
        for path, body in right.items():
            assert httpx2.get(url + path, timeout=PATIENCE_S, trust_env=False, verify=NO_TLS).content == body
    assert list((data_dir / "cache" / "drafts").iterdir()) == []
    wait_until(lambda: processes_with(str(data_dir)) == [])


def media(house: "House") -> Iterator[tuple[str, bytes]]:
    """Put documents and pictures, one of which must be made; give their paths and what they deliver."""
    noise = random.Random(1)  # noqa: S311 - bodies, not secrets
    for number, size_bytes in enumerate((20_000, 300_000, 3_000_000, 3_000_001)):
        house.put(f"{number}.pdf", b"%PDF-1.7\n" + noise.randbytes(size_bytes))
        yield served_by(house, house.link(f"{number}.pdf", "document"))
    house.put("light.jpg", picture(640, 480, quality=70))
    house.put("made.webp", picture(400, 300, form="WEBP"))
    for key in ("light.jpg", "made.webp"):
        yield served_by(house, house.link(key))


def served_by(house: "House", link: str) -> tuple[str, bytes]:
    return link.removeprefix(house.url), house.web.get(link).content


@contextmanager
def served(house: "House", data_dir: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serve the house's store from another host's disk, by two worker processes."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    given = {"DATA_DIR": str(data_dir), "STORE": house.settings.store, "LINK_KEYS": "1:" + "a" * 43}
    with (
        data_dir.with_suffix(".log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "proxy", "serve", "--only", "delivery", "--workers", "2"],
            env=os.environ | given | {"LISTEN_PORT": str(port)},
            stderr=log,
            stdout=log,
        ) as server,
    ):
        try:
            wait_until(lambda: is_up(url))
            yield url, server
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(PATIENCE_S)


@dataclass(kw_only=True)
class Asked:
    """Asks for everything, again and again, and keeps count of what comes."""

    url: str
    right: dict[str, bytes]
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    over: Event = field(default_factory=Event)

    @contextmanager
    def constantly(self) -> Iterator[None]:
        threads = [Thread(target=self._ask, args=(seed,)) for seed in range(ASKERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.over.set()
            for thread in threads:
                thread.join()

    def wait_for_answers(self, more: int) -> None:
        enough = self.answers["200"] + more
        wait_until(lambda: self.answers["200"] >= enough)

    def _ask(self, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - no secret
        with httpx2.Client(base_url=self.url, timeout=PATIENCE_S, trust_env=False, verify=NO_TLS) as client:
            while not self.over.is_set():
                path = chance.choice(list(self.right))
                try:
                    answer = client.get(path)
                except httpx2.TransportError:
                    self.answers["broke"] += 1
                    continue
                self.answers[str(answer.status_code)] += 1
                if answer.status_code == 200 and answer.content != self.right[path]:
                    self.wrong.append(path)


def empty(files: Path) -> None:
    """Empty a cache, as anybody may at any time."""
    for file in files.glob("*/*"):
        file.unlink(missing_ok=True)


def workers_of(supervisor: int) -> list[int]:
    """Find the processes of a server that serve, forked or spawned; multiprocessing's resource tracker does not."""
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text(encoding="ascii").split()
    found = []
    for child in children:
        with suppress(FileNotFoundError, ProcessLookupError):
            if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(int(child))
    return found


def processes_with(text: str) -> list[int]:
    """Find the processes in whose environment a text stands."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if text.encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


def is_up(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", trust_env=False, verify=NO_TLS).status_code == 200
    except httpx2.TransportError:
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)
