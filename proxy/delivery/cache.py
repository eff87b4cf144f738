"""The disk cache: immutable files, each a body and what its headers need, shared by all worker processes.

A file is the body, then its record, the record's length in four bytes, and a mark. The body stands first so that it
can be sent, mapped or opened as it is; the record stands last so that a body can be written before all is known of
it. Files come to their name whole, by rename, and are only ever unlinked: a crash leaves nothing half, and a reader
keeps its descriptor. While the disk is full, drafts lie in a spare place and are not cached.
"""

import errno
import fcntl
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import BinaryIO, Self

from proxy import telemetry
from proxy.delivery.drafts import Drafts
from proxy.delivery.eviction import evict, held_bytes
from proxy.delivery.spare import Spare
from proxy.errors import CacheAway, DiskFull

MARK = b"mdlnk\x00\x00\x01"
MAX_RECORD_BYTES = 65_536
TOUCH_AFTER_S = 60
SWEEP_TO = 0.75
"""A sweep leaves a quarter of the room free."""
SWEEP_EVERY = 1 / 32
"""Each process sweeps when it has added this share of the bound: eight of them fit in what a sweep leaves free."""
SPARE_FOR_S = 30.0
"""Then the disk is tried again."""
ROOM_BYTES = 112 * 1024 * 1024
"""What the largest source and what is made of it take: with less a disk counts as full."""

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

    async def piece(self, offset: int, count: int) -> bytes:
        """Read part of the body; of one that is still coming in (`fills`) this waits."""
        return self.read(offset, count)

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
        self._files = root / "files"
        self._locks = root / "locks"
        self._max_bytes = max_bytes
        self._clock = clock
        self._drafts = Drafts(root / "drafts")
        self._spare = Spare(clock)
        self._spare_until_s = -math.inf
        self._told_full = False
        self._sweeping = Lock()
        self._unswept_bytes = max_bytes
        """Nobody has looked yet at what lies here: the start does not wait for that, the first addition sweeps."""
        with _translating():
            for folder in (root / "drafts", self._files, self._locks):
                folder.mkdir(parents=True, exist_ok=True)
            self._make_locks()
            self._drafts.sweep()

    def open(self, name: str) -> Cached | None:
        """Open a file by its name; a damaged one is taken away and not found."""
        path = self._path(name)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            spare = self._spare.open(name)
            if spare is None:
                return None
            descriptor = spare
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
        self._spare.drop(name)
        telemetry.log.warning("cache.damaged", name=name)

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """Give a new file to write to; what is not published is gone afterwards.

        Raises:
            DiskFull: there was no room, here or while the block wrote. `make_room`, and try once more.
        """
        place = self._spare if self.is_full else self._drafts
        with _translating(), place.draft() as draft:
            yield draft

    def publish(self, draft: Path, name: str, record: bytes) -> None:
        """Give a draft its name, with its record behind it."""
        seal(draft, record)
        self.adopt(draft, name)

    def adopt(self, draft: Path, name: str) -> bool:
        """Give a draft that holds a whole frame its name; False when it is no frame."""
        with _translating():
            with draft.open("rb") as file:
                size_bytes = os.fstat(file.fileno()).st_size
                if _read_frame(file.fileno(), size_bytes) is None:
                    return False
                if self._spare.holds(draft):
                    self._spare.keep(file.fileno(), name)
                    return True
            path = self._path(name)
            path.parent.mkdir(exist_ok=True)
            draft.replace(path)
        self._unswept_bytes += size_bytes
        if self._told_full and not self.is_full:
            self._told_full = False
            telemetry.log.info("cache.has_room")
        return True

    @property
    def is_full(self) -> bool:
        """Whether the disk was found full a moment ago; what is brought meanwhile is served without being cached."""
        return self._clock() < self._spare_until_s

    def make_room(self) -> None:
        """Make room on a full disk, at our own cost; where that is not enough, leave it alone for `SPARE_FOR_S`.

        Among the processes of a host one evicts, once an episode. It takes its time: give it a thread.
        """
        if self.is_full:
            return
        with _translating(), _locked(self._locks / "room") as lock:
            since_s = self._clock() - os.fstat(lock).st_mtime
            if not 0 <= since_s < SPARE_FOR_S:
                held = held_bytes(self._files)
                gone = evict(self._files, max(held * SWEEP_EVERY, min(ROOM_BYTES, held * (1 - SWEEP_TO))))
                telemetry.log.info("cache.evicted", bytes_gone=gone, bytes_left=held - gone)
                os.utime(lock, (self._clock(), self._clock()))
            if self._has_room():
                return
        self._spare_until_s = self._clock() + SPARE_FOR_S
        if not self._told_full:
            self._told_full = True
            telemetry.log.warning("cache.full")

    @property
    def wants_sweeping(self) -> bool:
        """Whether enough was added since the last sweep. A sweep of a large cache takes its time: give it a thread."""
        return self._unswept_bytes > self._max_bytes * SWEEP_EVERY

    def lock_of(self, name: str) -> Path:
        """Give the file by whose lock one process of the host at a time brings `name`."""
        return self._locks / name[:2]

    def check(self) -> None:
        """Write a byte to the disk and take it away.

        Raises:
            DiskFull, CacheAway: the cache cannot be written.
        """
        self._spare.tidy()
        with _translating(), self._drafts.draft() as draft:
            draft.write_bytes(b"\x00")

    def sweep(self) -> None:
        """Bring the cache under its bound and take away what dead writers left.

        Processes take turns: each must have come under the bound before it goes on, so that one which evicts is not
        outrun by others that add. Who is here already is not waited for by the threads of its own process.
        """
        if not self._sweeping.acquire(blocking=False):
            return
        try:
            with _translating(), _locked(self._locks / "sweep"):
                self._unswept_bytes = 0
                self._drafts.sweep()
                held = held_bytes(self._files)
                if held > self._max_bytes:
                    gone = evict(self._files, held - self._max_bytes * SWEEP_TO)
                    telemetry.log.info("cache.swept", bytes_left=held - gone)
        finally:
            self._sweeping.release()

    def _make_locks(self) -> None:
        """Make every lock file now: on a full disk none could be made."""
        wanted = {f"{number:02x}" for number in range(256)} | {"room", "sweep"}
        for name in wanted - {lock.name for lock in self._locks.iterdir()}:
            lock = self._locks / name
            lock.touch(mode=0o600)
            os.utime(lock, (0, 0))

    def _has_room(self) -> bool:
        try:
            with self._drafts.draft() as draft, draft.open("wb") as file:
                reserve(file, ROOM_BYTES)
        except (OSError, DiskFull):
            return False
        return True

    def _path(self, name: str) -> Path:
        return self._files / name[:2] / name


def seal(file: Path, record: bytes) -> None:
    """Put a record behind a body."""
    if len(record) > MAX_RECORD_BYTES:
        raise ValueError(f"a record of {len(record)} bytes is over {MAX_RECORD_BYTES}")
    with file.open("ab") as whole:
        whole.write(record + len(record).to_bytes(4, "big") + MARK)


def reserve(file: BinaryIO, size_bytes: int) -> None:
    """Take the room for a body before any of it is written, where the system can.

    Raises:
        DiskFull: there is not so much.
    """
    if size_bytes and hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size_bytes)
        except OSError as error:
            if error.errno in _FULL:
                raise DiskFull from error


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


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _translating() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise (DiskFull() if error.errno in _FULL else CacheAway()) from error
