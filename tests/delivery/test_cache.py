"""The disk cache: whole files or none, bounded, and indifferent to crashes."""

import contextlib
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from tempfile import mkstemp
from typing import Any, cast

import pytest

from proxy.delivery import drafts
from proxy.delivery.cache import TOUCH_AFTER_S, Cached, DiskCache, seal
from proxy.errors import DiskFull

NOW = 1_800_000_000.0
LONG_AGO = 1_000_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(tmp_path: Path, clock: Clock) -> DiskCache:
    return DiskCache(tmp_path / "cache", 10_000, clock=clock)


def publish(cache: DiskCache, name: str, body: bytes, record: bytes = b"{}") -> None:
    with cache.draft() as draft:
        draft.write_bytes(body)
        cache.publish(draft, name, record)
    if cache.wants_sweeping:
        cache.sweep()


def read(cache: DiskCache, name: str) -> tuple[bytes, bytes] | None:
    cached = cache.open(name)
    if cached is None:
        return None
    with cached:
        return cached.read(0, cached.size_bytes), cached.record


def files(cache_root: Path) -> list[Path]:
    return [path for path in cache_root.rglob("*") if path.is_file() and path.parent.name != "locks"]


@pytest.mark.parametrize("body", [b"", b"x", bytes(9000)], ids=["empty", "one-byte", "large"])
def test_what_is_published_is_opened(cache: DiskCache, body: bytes) -> None:
    publish(cache, "aa01", body, b'{"a": 1}')
    assert read(cache, "aa01") == (body, b'{"a": 1}')


def test_part_of_a_body_ends_where_the_body_ends(cache: DiskCache) -> None:
    publish(cache, "aa01", b"0123456789", b"RECORD")
    cached = cache.open("aa01")
    assert cached is not None
    with cached:
        assert cached.read(4, 3) == b"456"
        assert cached.read(8, 100) == b"89"


def test_it_survives_a_restart(cache: DiskCache, tmp_path: Path, clock: Clock) -> None:
    publish(cache, "aa01", b"body")
    assert read(DiskCache(tmp_path / "cache", 10_000, clock=clock), "aa01") == (b"body", b"{}")


def test_a_draft_that_is_not_published_is_gone(cache: DiskCache, tmp_path: Path) -> None:
    with cache.draft() as draft:
        draft.write_bytes(b"half")
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda whole: whole[:-1], id="last-byte-missing"),
        pytest.param(lambda whole: whole[: len(whole) // 2], id="half"),
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda whole: whole + b"\x00", id="one-byte-more"),
        pytest.param(lambda whole: bytes(len(whole)), id="zeroed-by-power-loss"),
        pytest.param(lambda whole: whole[:-12] + b"\xff\xff\xff\xff" + whole[-8:], id="record-over-its-limit"),
        pytest.param(lambda whole: whole[:-12] + b"\x00\x00\x04\x00" + whole[-8:], id="record-longer-than-all"),
    ],
)
def test_a_damaged_file_is_taken_away(cache: DiskCache, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    publish(cache, "aa01", b"body")
    (path,) = files(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    assert cache.open("aa01") is None
    assert files(tmp_path) == []


def test_what_is_no_frame_is_not_adopted(cache: DiskCache) -> None:
    with cache.draft() as draft:
        draft.write_bytes(b"just bytes")
        assert cache.adopt(draft, "aa01") is False
        seal(draft, b"{}")
        assert cache.adopt(draft, "aa01") is True


def test_a_use_is_noted_at_most_once_a_minute(cache: DiskCache, tmp_path: Path, clock: Clock) -> None:
    """By our own clock and touch: file systems may be mounted without noting uses."""
    publish(cache, "aa01", b"body")
    (path,) = files(tmp_path)
    read(cache, "aa01")
    first = clock.now
    assert path.stat().st_atime == first
    for after_s, noted in ((TOUCH_AFTER_S, first), (TOUCH_AFTER_S + 1, first + TOUCH_AFTER_S + 1)):
        os.utime(path, (first, path.stat().st_mtime))
        clock.now = first + after_s
        with contextlib.closing(cast("Cached", cache.open("aa01"))):
            assert path.stat().st_atime == noted


def test_what_was_used_least_recently_goes_first(cache: DiskCache, tmp_path: Path) -> None:
    ages = {"aa03": 9, "aa00": 8, "aa05": 7, "aa01": 6, "aa04": 5, "aa02": 4, "aa06": 3, "aa07": 2}
    for name in ages:
        publish(cache, name, bytes(1000))
    for path in files(tmp_path):
        os.utime(path, (LONG_AGO - ages[path.name], LONG_AGO - 100))
    for name in ("bb01", "bb02"):
        publish(cache, name, bytes(1000))
    assert {path.name for path in files(tmp_path)} == {"aa01", "aa04", "aa02", "aa06", "aa07", "bb01", "bb02"}


def test_it_stays_within_its_bound(cache: DiskCache, tmp_path: Path) -> None:
    for number in range(100):
        publish(cache, f"{number:04}", bytes(900))
        assert sum(path.stat().st_size for path in files(tmp_path)) <= 11_000
    assert len(files(tmp_path)) >= 5


def test_an_open_body_outlives_its_eviction(cache: DiskCache, tmp_path: Path) -> None:
    publish(cache, "aa01", b"still here")
    cached = cache.open("aa01")
    assert cached is not None
    with cached:
        for path in files(tmp_path):
            path.unlink()
        assert cached.read(0, 100) == b"still here"


def test_drafts_of_dead_writers_are_taken_away_at_once_and_of_live_ones_never(
    cache: DiskCache, tmp_path: Path, clock: Clock
) -> None:
    left = tmp_path / "cache" / "drafts" / "left"
    with cache.draft() as slow:
        slow.write_bytes(b"half")
        os.utime(slow, (LONG_AGO, LONG_AGO))
        for sweeper in (cache.sweep, lambda: DiskCache(tmp_path / "cache", 10_000, clock=clock)):
            left.write_bytes(b"half")
            sweeper()
            assert (left.exists(), slow.exists()) == (False, True)
        cache.publish(slow, "aa01", b"{}")
    assert read(cache, "aa01") == (b"half", b"{}")


def test_a_draft_that_a_sweep_takes_before_its_lock_is_begun_anew(
    cache: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moment between a file's making and its lock, held open."""
    taken: list[str] = []

    def made_and_swept(**place: Any) -> tuple[int, str]:
        descriptor, name = mkstemp(**place)
        if not taken:
            taken.append(name)
            cache.sweep()
        return descriptor, name

    monkeypatch.setattr(drafts, "mkstemp", made_and_swept)
    with cache.draft() as draft:
        assert taken
        assert str(draft) not in taken
        assert draft.exists()


def test_a_full_disk_is_an_error_and_leaves_no_half_file(cache: DiskCache, tmp_path: Path) -> None:
    """RLIMIT_FSIZE really fails the write, with EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(DiskFull):
            publish(cache, "aa01", bytes(8000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert files(tmp_path) == []
    assert cache.open("aa01") is None
