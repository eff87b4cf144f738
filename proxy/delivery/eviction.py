"""What lies in the cache, and what goes first. Nothing is remembered between two looks but what is about to go."""

import os
from collections.abc import Iterator
from contextlib import suppress
from heapq import heappop, heappush
from pathlib import Path


def held_bytes(files: Path) -> int:
    """Add up what lies in a folder of folders."""
    return sum(size_bytes for _, size_bytes, _ in _scan(files))


def evict(files: Path, need_bytes: float) -> int:
    """Take away what was used least recently, until `need_bytes` are gone; gives how many are."""
    gone_bytes = 0
    for _, size_bytes, path in sorted(_oldest(files, need_bytes), reverse=True):
        with suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108 - a Path interns its name, and the table of those only grows
        gone_bytes += size_bytes
    return gone_bytes


def _oldest(files: Path, need_bytes: float) -> list[tuple[float, int, str]]:
    """Find the least recently used that hold `need_bytes` together: a heap with the newest of them on top."""
    oldest: list[tuple[float, int, str]] = []
    going_bytes = 0
    for used_at, size_bytes, path in _scan(files):
        heappush(oldest, (-used_at, size_bytes, path))
        going_bytes += size_bytes
        while oldest and going_bytes - oldest[0][1] >= need_bytes:
            going_bytes -= heappop(oldest)[1]
    return oldest


def _scan(files: Path) -> Iterator[tuple[float, int, str]]:
    """Give when each file was used last, its size, and its path. Others may take files away meanwhile."""
    with os.scandir(files) as folders:
        for folder in folders:
            with os.scandir(folder) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        yield max(status.st_atime, status.st_mtime), status.st_size, entry.path
