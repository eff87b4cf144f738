"""A disk that is really full: what is asked for is served without being cached, and the service says so."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import httpx2
import pytest
from structlog.testing import capture_logs

from proxy.delivery import cache as cache_module
from proxy.delivery import hits, spare
from proxy.delivery.cache import DiskCache
from proxy.errors import DiskFull
from proxy.health import DISK_IS_FULL
from proxy.locks import hold_one
from tests.conftest import NO_TLS, picture

if TYPE_CHECKING:
    from tests.conftest import House

DISK_BYTES = 24_000_000
NOW = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def disk(tmp_path: Path, need: Callable[[str], NoReturn]) -> Iterator[Path]:
    """Mount a small file system of its own."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    folder = tmp_path / "disk"
    folder.mkdir()
    given = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if mount is None or umount is None:
        need("mount is not installed (Debian: mount)")
    mounted = subprocess.run([mount, *given], check=False, capture_output=True)  # noqa: S603 - our own arguments
    if mounted.returncode:
        need("no tmpfs can be mounted here (that takes root)")
    yield folder
    subprocess.run([umount, "--lazy", str(folder)], check=True)  # noqa: S603 - our own arguments


def fill(disk: Path) -> Path:
    """Let somebody else take all the room that there is."""
    filler = disk / "of-somebody-else"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65_536))
        except OSError:
            pass
    assert shutil.disk_usage(disk).free == 0
    return filler


@pytest.fixture
def retried_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try the disk again soon, and remember nothing for long meanwhile."""
    monkeypatch.setattr(cache_module, "SPARE_FOR_S", 0.3)
    monkeypatch.setattr(spare, "KEEP_S", 0.1)
    monkeypatch.setattr(hits, "KEEP_S", 0.1)


def emptied(*folders: Path) -> None:
    for folder in folders:
        for file in folder.rglob("*"):
            if file.is_file() and file.parent.name != "locks":
                file.unlink()


def cached(disk: Path) -> list[Path]:
    return list((disk / "cache" / "files").glob("*/*"))


@contextmanager
def prepared(house: "House", store: Path, disk: Path) -> Iterator[dict[str, bytes]]:
    """Put documents and pictures, learn what they deliver, and make everything cold again."""
    house.put("small.pdf", b"%PDF-1.7\n" + os.urandom(30_000))
    house.put("large.pdf", b"%PDF-1.7\n" + os.urandom(9_000_000))
    house.put("light.jpg", picture(640, 480, quality=70))
    house.put("made.webp", picture(800, 600, form="WEBP"))
    links = [house.link(key, "document") for key in ("small.pdf", "large.pdf")]
    links += [house.link(key) for key in ("light.jpg", "made.webp")]
    right = {link: house.web.get(link).content for link in links}
    emptied(disk / "cache", store / ".medialink")
    yield right


@pytest.mark.usefixtures("retried_soon")
def test_cold_media_are_served_from_a_full_disk_and_cached_when_it_is_freed(
    disk: Path, build: Callable[..., "House"], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.delivery.hits.MAX_MAPPED_BYTES", 0)  # a hit that is dropped would make room on the disk
    house = build(cache_dir=disk / "cache")
    with prepared(house, tmp_path / "store", disk) as right, capture_logs() as told:
        filler = fill(disk)
        for _ in range(3):
            for link, body in right.items():
                answer = httpx2.get(link, trust_env=False, verify=NO_TLS, timeout=30)
                assert (answer.status_code, answer.content == body) == (200, True), answer.text
            assert cached(disk) == []
        ready = house.web.get("/readyz")
        assert (ready.status_code, ready.json()["cache"]) == (200, DISK_IS_FULL)
        assert [line["event"] for line in told].count("cache.full") == 1
        assert "cache.has_room" not in {line["event"] for line in told}
        filler.unlink()
        while len(cached(disk)) < len(right):
            for link, body in right.items():
                assert httpx2.get(link, trust_env=False, verify=NO_TLS, timeout=30).content == body
        assert house.web.get("/readyz").json()["cache"] == "ok"
        assert "cache.has_room" in {line["event"] for line in told}
    assert list((disk / "cache" / "drafts").iterdir()) == []


@pytest.mark.usefixtures("retried_soon")
def test_links_are_made_while_the_disk_is_full(disk: Path, build: Callable[..., "House"]) -> None:
    house = build(cache_dir=disk / "cache")
    filler = fill(disk)
    for key, kind, body in (
        ("a.pdf", "document", b"%PDF-1.7\n" + os.urandom(1_000_000)),
        ("made.webp", "image", picture(800, 600, form="WEBP")),
    ):
        house.put(key, body)
        answer = house.web.get(house.link(key, kind))
        assert answer.status_code == 200
        assert (answer.content == body) is (kind == "document")
    filler.unlink()


def test_a_service_starts_on_a_disk_that_is_full(disk: Path, build: Callable[..., "House"]) -> None:
    build(cache_dir=disk / "cache")
    fill(disk)
    house = build(cache_dir=disk / "cache")
    house.put("a.pdf", b"%PDF-1.7\n")
    assert house.web.get(house.link("a.pdf", "document")).content == b"%PDF-1.7\n"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def small_rooms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a room be as large as it is on a disk of terabytes, by the measure of this one."""
    monkeypatch.setattr(cache_module, "ROOM_BYTES", 4_000_000)


def publish(cache: DiskCache, name: str, body: bytes) -> None:
    with cache.draft() as draft:
        draft.write_bytes(body)
        cache.publish(draft, name, b"{}")


@pytest.mark.usefixtures("small_rooms")
def test_a_disk_that_we_fill_ourselves_makes_room_for_what_is_asked(disk: Path, clock: Clock) -> None:
    cache = DiskCache(disk / "cache", 2 * DISK_BYTES, clock=clock)
    for number in range(60):
        body = bytes([number]) * 1_000_000
        try:
            publish(cache, f"{number:04}", body)
        except DiskFull:
            cache.make_room()
            publish(cache, f"{number:04}", body)
        clock.now += 60
    assert not cache.is_full
    assert 12 <= len(cached(disk)) <= DISK_BYTES // 1_000_000
    assert "0059" in {path.name for path in cached(disk)}


@pytest.mark.usefixtures("small_rooms")
def test_one_process_of_a_host_evicts_once_an_episode(disk: Path, clock: Clock) -> None:
    caches = [DiskCache(disk / "cache", DISK_BYTES, clock=clock) for _ in range(8)]
    for number in range(16):
        publish(caches[0], f"{number:04}", bytes(1_000_000))
    fill(disk)
    for cache in caches:
        fill_up = disk / "of-yet-another"
        cache.make_room()
        with fill_up.open("ab", buffering=0) as file, ExitStack() as failing:
            failing.enter_context(pytest.raises(OSError, match="No space"))
            while True:
                file.write(bytes(65_536))
    assert len(cached(disk)) == 12
    assert [cache.is_full for cache in caches] == [False] + [True] * 7


def test_what_is_spare_can_be_opened_by_other_processes_and_goes_after_a_moment(disk: Path, clock: Clock) -> None:
    cache = DiskCache(disk / "cache", DISK_BYTES, clock=clock)
    fill(disk)
    cache.make_room()
    with cache.draft() as draft:
        subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", f"from pathlib import Path; Path({str(draft)!r}).write_bytes(b'made')"], check=True
        )
        cache.publish(draft, "aa01", b"{}")
    for _ in range(2):
        body = cache.open("aa01")
        assert body is not None
        with body:
            assert (body.read(0, 100), body.record) == (b"made", b"{}")
    clock.now += 11
    assert cache.open("aa01") is None


def test_a_disk_without_an_inode_left_is_full_too_and_the_locks_are_there(disk: Path, clock: Clock) -> None:
    cache = DiskCache(disk / "cache", DISK_BYTES, clock=clock)
    remount = ["mount", "-o", "remount,nr_inodes=400", str(disk)]
    subprocess.run(remount, check=True)  # noqa: S603 - our own arguments
    with suppress(OSError):
        for number in count():
            (disk / str(number)).touch()

    async def hold_each() -> None:
        for number in range(256):
            async with hold_one([cache.lock_of(f"{number:02x}aa")], 1):
                pass

    asyncio.run(hold_each())
    with pytest.raises(DiskFull):
        publish(cache, "aa01", b"body")
    cache.make_room()
    publish(cache, "aa01", b"body")
    assert cache.is_full


@pytest.mark.usefixtures("small_rooms")
def test_the_spare_place_is_bounded_in_drafts_and_in_bytes(
    disk: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = DiskCache(disk / "cache", DISK_BYTES, clock=clock)
    fill(disk)
    cache.make_room()
    with ExitStack() as open_drafts:
        for _ in range(spare.MAX_DRAFTS):
            open_drafts.enter_context(cache.draft())
        with pytest.raises(DiskFull):
            open_drafts.enter_context(cache.draft())
    monkeypatch.setattr(spare, "MAX_BYTES", 3_000_000)
    publish(cache, "aa01", bytes(3_000_000))
    reader = cache.open("aa01")
    assert reader is not None
    clock.now += spare.KEEP_S + 1
    with reader, pytest.raises(DiskFull):
        publish(cache, "aa02", b"body")
    publish(cache, "aa03", b"body")


def test_what_is_kept_goes_by_age_when_there_is_too_much_of_it(
    disk: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = DiskCache(disk / "cache", DISK_BYTES, clock=clock)
    fill(disk)
    cache.make_room()
    monkeypatch.setattr(spare, "MAX_KEPT_BYTES", 2_500_000)
    for name in ("aa01", "aa02", "aa03"):
        publish(cache, name, bytes(1_000_000))
    assert [opened(cache, name) for name in ("aa01", "aa02", "aa03")] == [False, True, True]
    publish(cache, "aa04", bytes(5_000_000))
    assert [opened(cache, name) for name in ("aa02", "aa03", "aa04")] == [False, False, True]


def opened(cache: DiskCache, name: str) -> bool:
    body = cache.open(name)
    if body is not None:
        body.close()
    return body is not None
