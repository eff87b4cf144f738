"""A body on its way into a file: written in place by whichever thread has some of it, and shut for good at the end."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import BinaryIO

from proxy.storage.store import Progress, Source


class ArrivalShut(Exception):
    """Tells a thread of the store that nothing is wanted of it any more; it never passes the door."""


class Arrival:
    """Its lock is held for one chunk at most, so that shutting it waits for no store."""

    def __init__(self, into: BinaryIO, progress: Progress) -> None:
        self._file = into.fileno()
        self._progress = progress
        self._lock = Lock()
        self._shut = False
        self._source: Source | None = None
        self._whole_bytes = 0
        self._islands: dict[int, int] = {}
        self.failure: BaseException | None = None

    def begin(self, source: Source) -> None:
        """Say what is coming, before any of it."""
        with self._lock:
            self._source = source
            self._tell()

    def write(self, offset: int, chunk: bytes) -> None:
        """Write some bytes at their place; nobody else writes there."""
        with self._lock:
            self._check()
            written = 0
            while written < len(chunk):
                written += os.pwrite(self._file, memoryview(chunk)[written:], offset + written)
            if self._grown(offset, len(chunk)):
                self._tell()

    def append(self, chunk: bytes) -> None:
        self.write(self._whole_bytes, chunk)

    def shut(self) -> None:
        """Let nothing more be written or told; when this returns, nothing is."""
        with self._lock:
            self._shut = True

    def _grown(self, offset: int, count: int) -> bool:
        """Count what lies whole from the start; each island beyond it is kept by its first byte, as its end."""
        if offset != self._whole_bytes:
            first = next((first for first, end in self._islands.items() if end == offset), offset)
            self._islands[first] = offset + count
            return False
        self._whole_bytes += count
        while (end := self._islands.pop(self._whole_bytes, None)) is not None:
            self._whole_bytes = end
        return True

    def _tell(self) -> None:
        self._check()
        if self._source is None:
            raise ArrivalShut
        try:
            self._progress(self._source, self._whole_bytes)
        except BaseException as error:  # the caller's own: it is raised where the caller waits, as it is
            self.failure, self._shut = error, True
            raise ArrivalShut from error

    def _check(self) -> None:
        if self._shut:
            raise ArrivalShut


@contextmanager
def arriving(into: BinaryIO, progress: Progress) -> Iterator[Arrival]:
    """Take a body in for as long as the block lasts; what `progress` raises comes out of it unchanged."""
    arrival = Arrival(into, progress)
    try:
        yield arrival
    except ArrivalShut as shut:
        if arrival.failure is None:
            raise
        raise arrival.failure from shut
    finally:
        arrival.shut()
