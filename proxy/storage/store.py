"""What a store is: the protocol that every door to one keeps, and the values that pass through it."""

import unicodedata
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, NewType, Protocol

from proxy.errors import Malformed

Key = NewType("Key", str)

RESERVED_PREFIX = ".medialink/"
MAX_KEY_BYTES = 1024
"""S3's own limit for a key in UTF-8 (S3 User Guide, Object key naming)."""
MAX_SEGMENT_BYTES = 255
"""NAME_MAX of the file systems under the folder store; one rule for all stores, so that media can move."""


def parse_key(text: str) -> Key:
    """Take a key from outside.

    Raises:
        Malformed: it is empty or too long, climbs, is absolute, has an empty or dotted segment, a backslash or a
            control character, or lies under the reserved prefix (in any case of letters: a folder on macOS ignores it).
    """
    problem = _problem_of(text)
    if problem is not None:
        raise Malformed(field="key", problem=problem)
    return Key(text)


def reserved_key(name: str) -> Key:
    """Name an object of our own, which no caller can name."""
    return Key(RESERVED_PREFIX + name)


def check_reserved(key: Key) -> None:
    """Look at a key at a door that is open to objects of our own alone.

    Raises:
        Malformed: `reserved_key` cannot have made it.
    """
    check_key(key)
    if not key.startswith(RESERVED_PREFIX):
        raise Malformed(field="key", problem=f"must lie under {RESERVED_PREFIX}")


def check_key(key: Key) -> None:
    """Look at a key again at a door: parsed, or one of our own.

    Raises:
        Malformed: neither `parse_key` nor `reserved_key` can have made it.
    """
    parse_key(key.removeprefix(RESERVED_PREFIX))


def check_prefix(prefix: str, *, field: str = "prefix") -> None:
    """Look at what keys are to begin with; the empty prefix is that of all.

    Raises:
        Malformed: `parse_key` takes no key that begins so.
    """
    problem = _problem_of(f"{prefix}x")
    if problem is not None and _problem_of(prefix) is not None:
        raise Malformed(field=field, problem=problem)


def is_reserved(name: str) -> bool:
    """Tell what is ours from media, among names as a store lists them."""
    return name.partition("/")[0].casefold() == RESERVED_PREFIX.rstrip("/")


def _problem_of(text: str) -> str | None:
    segments = text.split("/")
    sizes = [len(segment.encode(errors="surrogatepass")) for segment in segments]
    categories = {unicodedata.category(char) for char in text}
    rules = (
        ("Cs" in categories, "is not valid Unicode"),
        (
            not text or len(text.encode(errors="surrogatepass")) > MAX_KEY_BYTES,
            f"must have 1 to {MAX_KEY_BYTES} bytes in UTF-8",
        ),
        (
            not {"", ".", ".."}.isdisjoint(segments),
            "must not start or end with a slash, nor hold an empty, '.' or '..' segment",
        ),
        (max(sizes) > MAX_SEGMENT_BYTES, f"must not have a segment of more than {MAX_SEGMENT_BYTES} bytes"),
        ("\\" in text or "Cc" in categories, "must not hold a backslash or a control character"),
        (
            is_reserved(text),
            f"must not lie under {RESERVED_PREFIX}, which is ours",
        ),
    )
    return next((problem for broken, problem in rules if broken), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A media object as it lies in the store.

    `version` names these very bytes: `v:<VersionId>` or `e:<ETag>` at S3, `h:<sha-256>` in a folder; opaque to all
    but the store that gave it. `cache_control` is what the object's owner set on it, where the store keeps such.
    """

    key: Key
    version: str
    size_bytes: int
    modified_at: datetime
    cache_control: str | None = None


Progress = Callable[[Source, int], None]
"""Hears of a body that arrives: what it is, and how many of its bytes lie whole from the start of the file."""

Pages = AsyncGenerator[list[str], None]
"""Names as the store has them, some at a time."""


def unheard(_source: Source, _arrived_bytes: int) -> None:
    """Hear of a body that arrives, and do nothing."""


class Store(Protocol):
    """Every door raises StoreAway when the store does not answer, and DiskFull when it has no room.

    It raises Busy at once when too many calls wait for it already.
    """

    async def find(self, key: Key) -> Source:
        """Look at the newest version.

        Raises:
            NotFound: there is no such key.
        """

    async def fetch(
        self, source_key: Key, version: str | None, into: BinaryIO, *, max_bytes: int, progress: Progress = unheard
    ) -> Source:
        """Write one version's bytes to a file that was opened by its path; None means the newest.

        They are written in place from the file's start, past its buffer and its position. `progress` is called from
        any thread, one call at a time: with 0 as soon as the source is known and before any of it is read, then with
        more and more. It must be quick and wait for nobody. The bytes are known to be right only when this returns.
        Once it has returned or raised, nothing is written and nobody is told any more.

        Raises:
            NotFound: there is no such key (asked without a version).
            SourceReplaced: that version is gone, or went while it was read.
            TooLarge: it is over max_bytes; nothing is written.
            Whatever `progress` raises.
        """

    async def put(self, key: Key, body: Path, *, media_type: str) -> Source:
        """Write a whole file, atomically, over whatever is there."""

    async def put_new(self, key: Key, body: Path, *, media_type: str) -> bool:
        """Write a whole file, atomically, unless the key is taken; False when somebody else was first."""

    async def names(self, folder: Key, *, max_names: int) -> frozenset[str]:
        """List the names directly in a folder of our own, at most so many; what is not there holds none.

        Raises:
            Malformed: it does not lie under the reserved prefix.
        """

    def keys(self, prefix: str) -> Pages:
        """Name all media that begin with `prefix`, in any order, a page at a time; a page may be empty.

        What is ours is left out, and so are markers of empty folders. What others put there need not be a key: parse
        it. A first page that does not come is told at once; where the store can be asked for a later one again, it is,
        for a while.

        Raises:
            Malformed: no key can begin so.
        """

    async def delete(self, key: Key) -> None:
        """Take an object of our own away; one that is not there is no mistake.

        Raises:
            Malformed: it does not lie under the reserved prefix: media are never deleted.
        """

    async def check(self) -> None:
        """Ask whether the store answers and would be read from; returns, or raises StoreAway."""

    async def remark(self) -> str | None:
        """Say in a sentence what of the store's set-up is worth a look."""

    async def close(self) -> None:
        """Let go of threads and connections."""
