"""The disk cache: immutable files, each a body and what its headers need, shared by all worker processes.

A file is the body, then its record, the record's length in four bytes, and a mark. The body stands first so that it
can be sent, mapped or opened as it is; the record stands last so that a body can be written before all is known of
it. Files come to their name whole, by rename, and are only ever unlinked: a crash leaves nothing half, and a reader
keeps its descriptor.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp
from types import TracebackType
from typing import Self

from proxy import telemetry
from proxy.errors import CacheAway, DiskFull

MARK = b"mdlnk\x00\x00\x01"
MAX_RECORD_BYTES = 65_536
TOUCH_AFTER_S = 60
STALE_DRAFT_S = 3600
SWEEP_TO = 0.75
"""A sweep leaves a quarter of the room free."""
SWEEP_EVERY = 1 / 32
"""Each process sweeps when it has added this share of the bound: eight of them fit in what a sweep leaves free."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(slots=True)
class Cached:
    """An open file of the cache; close it, or leave its context."""

    descriptor: int
    size_bytes: int
    record: bytes

    def read(self, offset: int, count: int) -> bytes:
        """Read part of the body."""
        return os.pread(self.descriptor, min(count, self.size_bytes - offset), offset)

    def close(self) -> None:
        os.close(self.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class DiskCache:
    """Keeps at most about `max_bytes`; what was used least recently goes first."""

    def __init__(self, root: Path, max_bytes: int, *, clock: Callable[[], float]) -> None:
        self._drafts = root / "drafts"
        self._files = root / "files"
        self._locks = root / "locks"
        self._max_bytes = max_bytes
        self._clock = clock
        self._unswept_bytes = 0
        try:
            self._drafts.mkdir(parents=True, exist_ok=True)
            self._files.mkdir(exist_ok=True)
            self._locks.mkdir(exist_ok=True)
            self.sweep()
        except OSError as error:
            raise _translated(error) from error

    def open(self, name: str) -> Cached | None:
        """Open a file by its name; a damaged one is taken away and not found."""
        path = self._path(name)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        status = os.fstat(descriptor)
        cached = _read_frame(descriptor, status.st_size)
        if cached is None:
            os.close(descriptor)
            self.drop(name)
        elif self._clock() - status.st_atime > TOUCH_AFTER_S:
            with suppress(OSError):
                os.utime(path, (self._clock(), status.st_mtime))
        return cached

    def drop(self, name: str) -> None:
        """Take a damaged file away."""
        self._path(name).unlink(missing_ok=True)
        telemetry.log.warning("cache.damaged", name=name)

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """Give a new file to write to; what is not published is gone afterwards.

        Raises:
            DiskFull: there was no room, here or while the block wrote.
        """
        try:
            descriptor, name = mkstemp(dir=self._drafts)
            os.close(descriptor)
            try:
                yield Path(name)
            finally:
                Path(name).unlink(missing_ok=True)
        except OSError as error:
            raise _translated(error) from error

    def publish(self, draft: Path, name: str, record: bytes) -> None:
        """Give a draft its name, with its record behind it."""
        seal(draft, record)
        self.adopt(draft, name)

    def adopt(self, draft: Path, name: str) -> bool:
        """Give a draft that holds a whole frame its name; False when it is no frame."""
        try:
            with draft.open("rb") as file:
                size_bytes = os.fstat(file.fileno()).st_size
                if _read_frame(file.fileno(), size_bytes) is None:
                    return False
            path = self._path(name)
            path.parent.mkdir(exist_ok=True)
            draft.replace(path)
        except OSError as error:
            raise _translated(error) from error
        self._unswept_bytes += size_bytes
        return True

    @property
    def wants_sweeping(self) -> bool:
        """Whether enough was added since the last sweep. A sweep of a large cache takes its time: give it a thread."""
        return self._unswept_bytes > self._max_bytes * SWEEP_EVERY

    def lock_of(self, name: str) -> Path:
        """Give the file by whose lock one process of the host at a time brings `name`."""
        return self._locks / name[:2]

    def check(self) -> None:
        """Write and take away a byte.

        Raises:
            DiskFull, CacheAway: the cache cannot be written.
        """
        with self.draft() as draft:
            draft.write_bytes(b"\x00")

    def sweep(self) -> None:
        """Bring the cache under its bound and take away what crashed writers left; one process at a time does it."""
        self._unswept_bytes = 0
        with (self._locks / "sweep").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            oldest = self._clock() - STALE_DRAFT_S
            for draft in self._drafts.iterdir():
                with suppress(FileNotFoundError):
                    if draft.stat().st_mtime < oldest:
                        draft.unlink()
            self._evict()

    def _evict(self) -> None:
        files = []
        for path in self._files.glob("*/*"):
            with suppress(FileNotFoundError):
                status = path.stat()
                files.append((max(status.st_atime, status.st_mtime), status.st_size, path))
        total = sum(size for _, size, _ in files)
        if total <= self._max_bytes:
            return
        for _, size, path in sorted(files):
            path.unlink(missing_ok=True)
            total -= size
            if total <= self._max_bytes * SWEEP_TO:
                break
        telemetry.log.info("cache.swept", bytes_left=total)

    def _path(self, name: str) -> Path:
        return self._files / name[:2] / name


def seal(file: Path, record: bytes) -> None:
    """Put a record behind a body."""
    if len(record) > MAX_RECORD_BYTES:
        raise ValueError(f"a record of {len(record)} bytes is over {MAX_RECORD_BYTES}")
    with file.open("ab") as whole:
        whole.write(record + len(record).to_bytes(4, "big") + MARK)


def _read_frame(descriptor: int, size_bytes: int) -> Cached | None:
    tail_bytes = len(MARK) + 4
    if size_bytes < tail_bytes:
        return None
    tail = os.pread(descriptor, tail_bytes, size_bytes - tail_bytes)
    record_bytes = int.from_bytes(tail[:4], "big")
    body_bytes = size_bytes - tail_bytes - record_bytes
    if tail[4:] != MARK or record_bytes > MAX_RECORD_BYTES or body_bytes < 0:
        return None
    return Cached(descriptor, body_bytes, os.pread(descriptor, record_bytes, body_bytes))


def _translated(error: OSError) -> DiskFull | CacheAway:
    return DiskFull() if error.errno in _FULL else CacheAway()
