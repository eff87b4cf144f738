"""A cache of very many files: the start does not look through them, and looking through them takes little memory."""

import os
import tracemalloc
from pathlib import Path

import pytest

from proxy.delivery.cache import DiskCache
from proxy.delivery.eviction import evict, held_bytes

FILES = 10_000
FILE_BYTES = 1000
MAX_BYTES_OF_MEMORY_BY_FILE = 100
"""100,000 files make 10 MB of it; a quarter of the files goes, and only what goes is remembered."""
NOW = 1_800_000_000.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Fill a cache with links to one file: as many names to read and to look at, and quick to lay and to take away."""
    root = tmp_path / "cache"
    DiskCache(root, FILES * FILE_BYTES, clock=lambda: NOW)
    first = tmp_path / "first"
    first.write_bytes(bytes(FILE_BYTES))
    for number in range(FILES):
        folder = root / "files" / f"{number % 256:02x}"
        if number < 256:
            folder.mkdir()
        os.link(first, folder / f"{number % 256:02x}{number:030}")
    return root


def test_what_is_in_the_cache_is_counted_without_being_remembered(root: Path) -> None:
    tracemalloc.start()
    try:
        assert held_bytes(root / "files") == FILES * FILE_BYTES
        assert tracemalloc.get_traced_memory()[1] < 100_000
        tracemalloc.reset_peak()
        assert evict(root / "files", FILES * FILE_BYTES / 4) == FILES * FILE_BYTES / 4
        assert tracemalloc.get_traced_memory()[1] < FILES * MAX_BYTES_OF_MEMORY_BY_FILE
    finally:
        tracemalloc.stop()
    assert held_bytes(root / "files") == FILES * FILE_BYTES * 3 / 4


def test_the_start_takes_nothing_away_and_the_first_sweep_does(root: Path) -> None:
    cache = DiskCache(root, FILES * FILE_BYTES // 2, clock=lambda: NOW)
    assert held_bytes(root / "files") == FILES * FILE_BYTES
    assert cache.wants_sweeping
    cache.sweep()
    assert held_bytes(root / "files") <= FILES * FILE_BYTES // 2
    assert not cache.wants_sweeping


@pytest.mark.parametrize("need_bytes", [1, 2500, 3000, 3001, 5999], ids=str)
def test_no_more_goes_than_must_and_the_oldest_of_it(tmp_path: Path, need_bytes: int) -> None:
    folder = tmp_path / "files" / "aa"
    folder.mkdir(parents=True)
    for age in (3, 1, 4, 0, 5, 2):
        (folder / str(age)).write_bytes(bytes(1000))
        os.utime(folder / str(age), (NOW - age, NOW - 100))
    goes = -(-need_bytes // 1000)
    assert evict(tmp_path / "files", need_bytes) == 1000 * goes
    assert sorted(path.name for path in folder.iterdir()) == [str(age) for age in range(6 - goes)]
