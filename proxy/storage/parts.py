"""A body fetched in parts, several at once, all of one version; what is small comes with the first of them."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from proxy.errors import SourceReplaced, StoreAway, TooLarge
from proxy.storage.answers import Piece, copy_whole, piece_of, source_of, versions_of
from proxy.storage.arrival import Arrival
from proxy.storage.hedge import Hedges, Wins
from proxy.storage.store import Key, Source

PART_BYTES = 8 << 20
"""Typical sizes for byte-range requests are 8 or 16 MB (AWS, Best Practices Design Patterns: Optimizing S3
Performance); the smaller lets the start of a body grow more evenly, and most media come in one."""
PARTS_AT_ONCE = 4

Open = Callable[[str | None, int, int], AbstractContextManager[Mapping[str, Any]]]
"""Asks for a version's bytes from a first to a last; a store that knows no ranges may answer with all of them."""


class Parts:
    """One fetch; each GET has a thread to itself, and none waits for another."""

    def __init__(self, *, key: Key, version: str | None, max_bytes: int, open_part: Open, arrival: Arrival) -> None:
        self._key = key
        self._version = version
        self._max_bytes = max_bytes
        self._open = open_part
        self._arrival = arrival
        self._loop = asyncio.get_running_loop()
        self._is_known = asyncio.Event()
        self._left: deque[tuple[Source, Piece]] = deque()

    async def bring(self, hedges: Hedges) -> tuple[Source, Mapping[str, Any]]:
        """Write all parts, in order as far as several at once allow; give the source and the first answer.

        Raises:
            SourceReplaced: a part was of another version.
            TooLarge: all of them together are over the limit; nothing is written.
            StoreAway: what came is not what was asked for, or not whole.
        """
        first = asyncio.create_task(self._lead(hedges))
        crew = [first, *(asyncio.create_task(self._help(hedges)) for _ in range(PARTS_AT_ONCE - 1))]
        try:
            await asyncio.gather(*crew)
        finally:
            for member in crew:
                member.cancel()
            await asyncio.gather(*crew, return_exceptions=True)
        return first.result()

    async def _lead(self, hedges: Hedges) -> tuple[Source, Mapping[str, Any]]:
        begun = await hedges.ask(self._begin)
        await self._help(hedges)
        return begun

    async def _help(self, hedges: Hedges) -> None:
        await self._is_known.wait()
        while self._left:
            await hedges.ask(partial(self._go_on, *self._left.popleft()))

    def _begin(self, wins: Wins) -> tuple[Source, Mapping[str, Any]]:
        with self._open(self._version, 0, PART_BYTES - 1) as answer:
            if not wins():
                raise StoreAway
            # SeaweedFS 4.48 answers with the newest bytes when an unversioned bucket is asked for a version.
            if self._version is not None and self._version not in versions_of(answer):
                raise SourceReplaced
            piece = piece_of(answer)
            source = source_of(self._key, answer, size_bytes=piece.total, version=self._version)
            if piece.total > self._max_bytes:
                raise TooLarge(size_bytes=piece.total, limit_bytes=self._max_bytes)
            if piece.start != 0 or piece.stop not in {piece.total, min(PART_BYTES, piece.total)}:
                raise StoreAway
            self._arrival.begin(source)
            self._loop.call_soon_threadsafe(self._learn, source, piece)
            copy_whole(answer["Body"], piece, self._arrival)
        return source, answer

    def _go_on(self, source: Source, wanted: Piece, wins: Wins) -> None:
        with self._open(source.version, wanted.start, wanted.stop - 1) as answer:
            if not wins():
                raise StoreAway
            if source.version not in versions_of(answer):
                raise SourceReplaced
            if piece_of(answer) != wanted:
                raise StoreAway
            copy_whole(answer["Body"], wanted, self._arrival)

    def _learn(self, source: Source, first: Piece) -> None:
        for start in range(first.stop, first.total, PART_BYTES):
            stop = min(start + PART_BYTES, first.total)
            self._left.append((source, Piece(start=start, stop=stop, total=first.total)))
        self._is_known.set()
