"""The version of a file in a folder: the hash of its bytes, remembered while the file lies still."""

import hashlib
import os
from collections.abc import Callable
from threading import Lock

MEMO_ENTRIES = 50_000
CHUNK_BYTES = 1 << 20
SETTLED_AFTER_NS = 2 * 10**9
"""The coarsest times that a file system keeps (FAT): within them a file can change under the same times.
git calls such an entry racily clean (git's Documentation/technical/racy-git)."""


def read_hashed(file: int, size_bytes: int, write: Callable[[bytes], object] | None = None) -> str:
    """Read so many bytes, hand on what was read, and name it: `h:<sha-256 hex>`."""
    digest = hashlib.sha256()
    while size_bytes and (chunk := os.read(file, min(size_bytes, CHUNK_BYTES))):
        digest.update(chunk)
        if write is not None:
            write(chunk)
        size_bytes -= len(chunk)
    return f"h:{digest.hexdigest()}"


def _stamp(seen: os.stat_result) -> tuple[int, ...]:
    """Nobody can set ctime, so bytes that change under the same size and mtime still change the stamp."""
    return (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)


class Memo:
    """Versions by stamp; the oldest entry goes first."""

    def __init__(self, clock_ns: Callable[[], int], entries: int = MEMO_ENTRIES) -> None:
        self._versions: dict[tuple[int, ...], str] = {}
        self._lock = Lock()
        self._clock_ns = clock_ns
        self._entries = entries

    def get(self, seen: os.stat_result) -> str | None:
        return self._versions.get(_stamp(seen))

    def keep(self, seen: os.stat_result, version: str) -> None:
        if self._clock_ns() - seen.st_ctime_ns < SETTLED_AFTER_NS:
            return
        with self._lock:
            self._versions[_stamp(seen)] = version
            if len(self._versions) > self._entries:
                del self._versions[next(iter(self._versions))]
