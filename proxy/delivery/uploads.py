"""Files that lie in no store: judged like those that do, and not kept."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from proxy.delivery.cache import DiskCache
from proxy.delivery.makings import Makings
from proxy.delivery.verdicts import Verdict
from proxy.errors import TooLarge
from proxy.media.kinds import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploads:
    """`admit` is called before anything is taken in, and may refuse."""

    makings: Makings
    cache: DiskCache
    max_bytes: int
    admit: Callable[[], None]

    async def judge_file(self, kind: Kind, file: Path) -> Verdict:
        """Say whether a file can be delivered as a kind; what is made of it is thrown away.

        Raises:
            TooLarge: it is over what is taken in.
            Busy, DiskFull: ask again later.
        """
        size_bytes = (await asyncio.to_thread(file.stat)).st_size
        if refused := self.makings.refuse_by_size(kind, size_bytes):
            return refused
        self._require(size_bytes)
        with self.makings.place(), self.cache.draft() as target:
            return await self.makings.make(kind, file, target)

    async def judge(self, kind: Kind, body: AsyncIterator[bytes], announced_bytes: int = 0) -> Verdict:
        """Take a body in and judge it; raises what `judge_file` raises."""
        if refused := self.makings.refuse_by_size(kind, announced_bytes):
            return refused
        self._require(announced_bytes)
        self.admit()
        with self.makings.place(), self.cache.draft() as source, self.cache.draft() as target:
            await self._take_in(body, source)
            return await self.makings.make(kind, source, target)

    async def _take_in(self, body: AsyncIterator[bytes], source: Path) -> None:
        size_bytes = 0
        with source.open("wb") as file:
            async for piece in body:
                size_bytes += len(piece)
                self._require(size_bytes)
                await asyncio.to_thread(file.write, piece)

    def _require(self, size_bytes: int) -> None:
        if size_bytes > self.max_bytes:
            raise TooLarge(size_bytes=size_bytes, limit_bytes=self.max_bytes)
