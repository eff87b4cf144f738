"""The door to a folder: a file is a source, and the hash of its bytes is its version."""

import errno
import os
import stat
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from proxy.errors import DiskFull, Malformed, MedialinkError, NotFound, SourceReplaced, StoreAway, TooLarge
from proxy.storage.arrival import Arrival, arriving
from proxy.storage.hashes import Memo, read_hashed
from proxy.storage.store import (
    RESERVED_PREFIX,
    Key,
    Pages,
    Progress,
    Source,
    check_key,
    check_prefix,
    check_reserved,
    unheard,
)
from proxy.storage.threads import Threads
from proxy.storage.walk import pages

THREADS = 4
STALE_AFTER_NS = 3600 * 10**9

_TEMPORARY = (RESERVED_PREFIX.rstrip("/"), "tmp")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO without a writer would hold us
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG}
_NO_PLACE = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENOTEMPTY, errno.ENAMETOOLONG}


class FolderStore:
    """Never leaves its root: each segment of a key is opened by itself, and a symlink is not followed."""

    def __init__(self, root: Path, *, threads: int = THREADS, clock_ns: Callable[[], int] = time.time_ns) -> None:
        """Make the root where it is missing, and drop what crashed processes left half written.

        Raises:
            StoreAway, DiskFull: the root cannot be made.
        """
        self._root = root
        self._memo = Memo(clock_ns)
        self._threads = Threads(threads, "folder-store")
        with _translated():
            root.mkdir(parents=True, exist_ok=True)
        self._sweep(clock_ns() - STALE_AFTER_NS)

    async def find(self, key: Key) -> Source:
        return await self._threads.run(partial(self._find, key))

    async def fetch(
        self, source_key: Key, version: str | None, into: BinaryIO, *, max_bytes: int, progress: Progress = unheard
    ) -> Source:
        with arriving(into, progress) as arrival:
            return await self._threads.run(partial(self._fetch, source_key, version, max_bytes, arrival))

    async def put(self, key: Key, body: Path, *, media_type: str) -> Source:
        del media_type  # a folder keeps no types: they are told from the bytes
        return await self._threads.run(partial(self._put, key, body))

    async def put_new(self, key: Key, body: Path, *, media_type: str) -> bool:
        del media_type
        return await self._threads.run(partial(self._put_new, key, body))

    async def names(self, folder: Key, *, max_names: int) -> frozenset[str]:
        return await self._threads.run(partial(self._names, folder, max_names))

    async def keys(self, prefix: str) -> Pages:
        check_prefix(prefix)
        found = pages(prefix, self._there)
        while page := await self._threads.run(lambda: next(found, None)):
            yield page

    async def delete(self, key: Key) -> None:
        await self._threads.run(partial(self._delete, key))

    async def remark(self) -> None:
        """Say nothing: a folder is as it should be."""

    async def check(self) -> None:
        await self._threads.run(self._check)

    async def close(self) -> None:
        await self._threads.close()

    def _find(self, key: Key) -> Source:
        with self._opened(key, missing=NotFound()) as file:
            seen = os.fstat(file)
            return _source(key, self._version(file, seen), seen)

    def _fetch(self, key: Key, version: str | None, max_bytes: int, arrival: Arrival) -> Source:
        """Copy one version. It is hashed before a byte of it is announced: readers may take it as it comes."""
        with self._opened(key, missing=NotFound() if version is None else SourceReplaced()) as file:
            seen = os.fstat(file)
            found = self._version(file, seen)
            if version not in {None, found}:
                raise SourceReplaced
            if seen.st_size > max_bytes:
                raise TooLarge(size_bytes=seen.st_size, limit_bytes=max_bytes)
            source = _source(key, found, seen)
            arrival.begin(source)
            os.lseek(file, 0, os.SEEK_SET)
            if read_hashed(file, seen.st_size, arrival.append) != found:
                raise SourceReplaced if version is not None else StoreAway
            self._settle(file, seen, found)
            return source

    def _version(self, file: int, seen: os.stat_result) -> str:
        known = self._memo.get(seen)
        if known is None:
            known = read_hashed(file, seen.st_size)
            self._settle(file, seen, known)
        return known

    def _settle(self, file: int, seen: os.stat_result, version: str) -> None:
        """Believe a hash only when the file lay still; its ctime may move, as it does when its name is taken away."""
        now = os.fstat(file)
        if (now.st_size, now.st_mtime_ns) != (seen.st_size, seen.st_mtime_ns):
            raise StoreAway
        self._memo.keep(seen, version)

    def _put(self, key: Key, body: Path) -> Source:
        with self._placing(key, body) as move:
            os.replace(move.draft, move.name, src_dir_fd=move.drafts, dst_dir_fd=move.folder)
            return move.source

    def _put_new(self, key: Key, body: Path) -> bool:
        with self._placing(key, body) as move:
            try:
                os.link(move.draft, move.name, src_dir_fd=move.drafts, dst_dir_fd=move.folder)
            except FileExistsError:
                if stat.S_ISREG(os.stat(move.name, dir_fd=move.folder, follow_symlinks=False).st_mode):
                    return False
                raise
            return True

    def _names(self, folder: Key, max_names: int) -> frozenset[str]:
        check_reserved(folder)
        with suppress(NotFound), self._there(folder.split("/")) as opened, os.scandir(opened) as entries:
            files = (entry.name for entry in entries if entry.is_file(follow_symlinks=False))
            return frozenset(islice(files, max_names))
        return frozenset()

    def _delete(self, key: Key) -> None:
        check_reserved(key)
        *folders, name = key.split("/")
        with suppress(NotFound), self._there(folders) as folder:
            os.unlink(name, dir_fd=folder)
            os.fsync(folder)

    def _check(self) -> None:
        with _translated(), self._folder(()) as root, os.scandir(root) as entries:
            next(entries, None)

    @contextmanager
    def _opened(self, key: Key, *, missing: MedialinkError) -> Iterator[int]:
        check_key(key)
        *folders, name = key.split("/")
        with _translated(_NO_FILE, missing):
            with self._folder(folders) as folder:
                file = os.open(name, _READ, dir_fd=folder)
            try:
                if not stat.S_ISREG(os.fstat(file).st_mode):
                    raise missing
                yield file
            finally:
                os.close(file)

    @contextmanager
    def _placing(self, key: Key, body: Path) -> Iterator["_Move"]:
        """Stand before the one step that makes a whole file visible; the draft is gone afterwards in any case."""
        check_key(key)
        *folders, name = key.split("/")
        clash = Malformed(field="key", problem="names a folder, or lies below a file or a symlink")
        with body.open("rb") as given, _translated(), self._folder(_TEMPORARY, make=True) as drafts:
            draft = uuid4().hex
            written = os.open(draft, _CREATE, 0o666, dir_fd=drafts)  # the umask decides who else may read
            try:
                with open(written, "wb") as file:  # noqa: PTH123 # a descriptor has no path
                    version = read_hashed(given.fileno(), os.fstat(given.fileno()).st_size, file.write)
                    file.flush()
                    os.fsync(written)
                    source = _source(key, version, os.fstat(written))
                with _translated(_NO_PLACE, clash), self._folder(folders, make=True) as folder:
                    yield _Move(draft=draft, drafts=drafts, name=name, folder=folder, source=source)
                    os.fsync(folder)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(draft, dir_fd=drafts)

    @contextmanager
    def _there(self, segments: Sequence[str]) -> Iterator[int]:
        """Open a folder that may be missing, and take what goes from it meanwhile for missing, too."""
        with _translated(_NO_FILE, NotFound()), self._folder(segments) as folder:
            yield folder

    @contextmanager
    def _folder(self, segments: Sequence[str], *, make: bool = False) -> Iterator[int]:
        try:
            folder = os.open(self._root, _FOLDER)
        except OSError as error:
            raise StoreAway from error
        try:
            for segment in segments:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(segment, dir_fd=folder)
                deeper = os.open(segment, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
                os.close(folder)
                folder = deeper
            yield folder
        finally:
            os.close(folder)

    def _sweep(self, before_ns: int) -> None:
        """A root that may only be read has nothing to sweep, and must not stop the start."""
        with suppress(OSError), self._folder(_TEMPORARY) as drafts, os.scandir(drafts) as entries:
            for entry in entries:
                if entry.stat(follow_symlinks=False).st_mtime_ns < before_ns:
                    os.unlink(entry.name, dir_fd=drafts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Move:
    draft: str
    drafts: int
    name: str
    folder: int
    source: Source


def _source(key: Key, version: str, seen: os.stat_result) -> Source:
    modified_at = datetime.fromtimestamp(seen.st_mtime, UTC)
    return Source(key=key, version=version, size_bytes=seen.st_size, modified_at=modified_at)


@contextmanager
def _translated(errnos: Collection[int] = (), meaning: MedialinkError | None = None) -> Iterator[None]:
    """The one place where the file system's errors become ours; what has no meaning here is a store that fails."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise DiskFull from error
        if meaning is not None and error.errno in errnos:
            raise meaning from error
        raise StoreAway from error
