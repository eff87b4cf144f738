"""A spare place for drafts while the disk is full: in memory (memfd_create(2)), few of them, and not for long.

A file here has a path that other processes of the same user can open, and goes with its last descriptor. Where there
are no files in memory, the system's folder for temporary files serves.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp

from proxy.errors import DiskFull

MAX_DRAFTS = 8
"""At once; a picture takes two. Each grows to at most one source."""
MAX_BYTES = 256 * 1024 * 1024
"""With so much in memory, readers' files included, no further draft is begun."""
KEEP_S = 10.0
"""Who asked for a file opens it at once; who asks a moment later is served too."""
MAX_KEPT = 32
MAX_KEPT_BYTES = 64 * 1024 * 1024
"""The newest is kept in any case."""

_NAME = "medialink-spare"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    descriptor: int
    size_bytes: int
    until_s: float


class Spare:
    """Drafts, and a small table of those that have been given a name."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._drafts: set[Path] = set()
        self._kept: dict[str, _Kept] = {}

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """Give a new file to write to.

        Raises:
            DiskFull: there are as many as may be.
        """
        self.tidy()
        if len(self._drafts) >= MAX_DRAFTS or _bytes_in_memory() >= MAX_BYTES:
            raise DiskFull
        descriptor, draft = _new()
        self._drafts.add(draft)
        try:
            yield draft
        finally:
            self._drafts.discard(draft)
            os.close(descriptor)
            if not _is_in_memory(draft):
                draft.unlink(missing_ok=True)

    def holds(self, draft: Path) -> bool:
        return draft in self._drafts

    def keep(self, descriptor: int, name: str) -> None:
        """Keep an open draft under a name, for a moment."""
        self.drop(name)
        size_bytes = os.fstat(descriptor).st_size
        while self._kept and (
            len(self._kept) >= MAX_KEPT
            or sum(kept.size_bytes for kept in self._kept.values()) > MAX_KEPT_BYTES - size_bytes
        ):
            self.drop(next(iter(self._kept)))
        self._kept[name] = _Kept(descriptor=os.dup(descriptor), size_bytes=size_bytes, until_s=self._clock() + KEEP_S)

    def open(self, name: str) -> int | None:
        """Give a descriptor of the taker's own."""
        self.tidy()
        kept = self._kept.get(name)
        return None if kept is None else os.dup(kept.descriptor)

    def drop(self, name: str) -> None:
        if kept := self._kept.pop(name, None):
            os.close(kept.descriptor)

    def tidy(self) -> None:
        """Let go of what was kept long enough; the oldest stand first."""
        while self._kept and self._kept[oldest := next(iter(self._kept))].until_s <= self._clock():
            self.drop(oldest)


def _new() -> tuple[int, Path]:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create(_NAME)
        return descriptor, Path(f"/proc/{os.getpid()}/fd/{descriptor}")
    descriptor, name = mkstemp(prefix=_NAME)
    return descriptor, Path(name)


def _is_in_memory(draft: Path) -> bool:
    return draft.parts[:2] == ("/", "proc")


def _bytes_in_memory() -> int:
    """Count what this process holds open here, whoever has taken it over; a file on a disk counts for nothing."""
    if not hasattr(os, "memfd_create"):
        return 0
    blocks: dict[int, int] = {}
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # it was closed meanwhile
            if str(descriptor.readlink()).startswith(f"/memfd:{_NAME}"):
                status = descriptor.stat()
                blocks[status.st_ino] = status.st_blocks
    return 512 * sum(blocks.values())
