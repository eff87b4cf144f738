"""Fills: a body that goes out as it is goes out while it comes in, once for all who ask for it in this process."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from proxy import telemetry
from proxy.delivery.cache import DiskCache, reserve
from proxy.delivery.links import Link
from proxy.delivery.verdicts import Record
from proxy.errors import Busy, DiskFull, MedialinkError, StoreAway, TakenDown, Unavailable
from proxy.media.kinds import AsIs
from proxy.storage.store import Source, Store

MAX_FILLS = 256
"""Each holds a file and a task; the store's threads decide how many of them move."""


class Fill:
    """A body on its way from the store to the disk, and what its readers know of it.

    Its last byte is held back until the whole is known to be right, so that what breaks reaches nobody as a whole.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self.record: Record | None = None
        self.size_bytes = 0
        self.descriptor: int | None = None
        self._arrived_bytes = 0
        self._settled = False
        self._withdrawn = False
        self._error: MedialinkError | None = None
        self._news = asyncio.Event()
        self._holders = 0

    def hold(self) -> None:
        """Keep the file open until as many have let go."""
        self._holders += 1

    def let_go(self) -> None:
        self._holders -= 1
        if self._holders == 0 and self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def begin(self, record: Record, size_bytes: int, descriptor: int) -> None:
        """Say what is coming, and give the descriptor by which it can be read."""
        self.record, self.size_bytes, self.descriptor = record, size_bytes, descriptor
        self._tell()

    def grow(self, arrived_bytes: int) -> None:
        self._arrived_bytes = arrived_bytes
        self._tell()

    def settle(self) -> None:
        """Say that all is there, and right."""
        self._settled = True
        self._tell()

    def fail(self, error: MedialinkError) -> None:
        """Say that nothing more is coming; what was said first holds."""
        self._error = self._error or error
        self._tell()

    def withdraw(self) -> None:
        """Have nothing more read of it, not even what is there."""
        self._withdrawn = True
        self.fail(TakenDown())

    async def begun(self, limit_s: float) -> Record:
        """Wait until it is known what is coming.

        Raises:
            Busy: it was not known in time.
            MedialinkError: it is not coming.
        """
        while self.record is None:
            await self._hear(limit_s)
        return self.record

    async def readable_bytes(self, offset: int, limit_s: float) -> int:
        """Wait until something can be read at an offset, and say how much can be from the start.

        Raises:
            Busy: nothing more came in time.
            MedialinkError: nothing more is coming.
        """
        while self._withdrawn or (not self._settled and self._readable_bytes <= offset):
            await self._hear(limit_s)
        return self._readable_bytes

    @property
    def _readable_bytes(self) -> int:
        return self.size_bytes if self._settled else min(self._arrived_bytes, self.size_bytes - 1)

    async def _hear(self, limit_s: float) -> None:
        if self._error is not None:
            raise self._error
        try:
            async with asyncio.timeout(limit_s):
                await self._news.wait()
        except TimeoutError:
            raise Busy from None

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


@dataclass(frozen=True, slots=True)
class Following:
    """One reader of a fill that it holds; close it, or leave its context."""

    fill: Fill
    limit_s: float

    @property
    def size_bytes(self) -> int:
        return self.fill.size_bytes

    async def piece(self, offset: int, count: int) -> bytes:
        """Read part of the body as soon as some of it is there.

        Raises:
            MedialinkError: it will not come any more, or did not in time.
        """
        readable = await self.fill.readable_bytes(offset, self.limit_s)
        if self.fill.descriptor is None:
            raise StoreAway
        return os.pread(self.fill.descriptor, min(count, readable - offset), offset)

    def close(self) -> None:
        self.fill.let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Fills:
    """Brings as-is bodies to the disk, each once at a time in this process, whoever stays to read it."""

    def __init__(
        self,
        *,
        store: Store,
        cache: DiskCache,
        max_source_bytes: int,
        wait_limit_s: float,
        landed: Callable[[], None],
    ) -> None:
        """Be ready; `landed` is called after each fill."""
        self._store = store
        self._cache = cache
        self._max_source_bytes = max_source_bytes
        self._wait_limit_s = wait_limit_s
        self._landed = landed
        self._fills: dict[str, Fill] = {}
        self._tasks: dict[asyncio.Task[None], Fill] = {}

    async def follow(self, link: Link) -> tuple[Record, Following]:
        """Join the fill of an as-is link, or begin it.

        Raises:
            SourceReplaced, TooLarge, StoreAway, DiskFull: it is not coming.
            Busy: too many others are, or it was not known in time what is.
        """
        fill = self._fills.get(link.rendition_id)
        if fill is None:
            if len(self._fills) >= MAX_FILLS:
                raise Busy
            fill = self._fills[link.rendition_id] = Fill(link)
            fill.hold()
            task = asyncio.create_task(self._fill(link, fill))
            self._tasks[task] = fill
            task.add_done_callback(self._tasks.pop)
        fill.hold()
        try:
            return await fill.begun(self._wait_limit_s), Following(fill, self._wait_limit_s)
        except BaseException:
            fill.let_go()
            raise

    def withdraw(self, forbidden: Callable[[Link], bool]) -> None:
        """End those whose link may not be delivered any more, for whoever reads them."""
        for task, fill in self._tasks.items():
            if forbidden(fill.link):
                fill.withdraw()
                task.cancel()

    async def close(self) -> None:
        """End what is under way; half-filled files leave nothing behind."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fill(self, link: Link, fill: Fill) -> None:
        try:
            try:
                await self._bring(link, fill)
            except DiskFull:
                if fill.record is not None:
                    raise
                await asyncio.to_thread(self._cache.make_room)
                await self._bring(link, fill)
        except MedialinkError as error:
            telemetry.log.info("fill.failed", key=link.key, rendition=link.rendition_id, error=type(error).__name__)
            fill.fail(error)
        except asyncio.CancelledError:
            fill.fail(StoreAway())
            raise
        except BaseException:  # a defect of ours
            fill.fail(MedialinkError())
            raise
        finally:
            del self._fills[link.rendition_id]
            fill.let_go()
            self._landed()

    async def _bring(self, link: Link, fill: Fill) -> None:
        """Fetch the body and give it its name; what cannot be kept is served all the same."""
        loop = asyncio.get_running_loop()
        with self._cache.draft() as draft:
            with draft.open("wb+") as file:

                def progress(source: Source, arrived_bytes: int) -> None:
                    """Hear of it in a thread of the store, and tell it in ours."""
                    if arrived_bytes:
                        loop.call_soon_threadsafe(fill.grow, arrived_bytes)
                    else:
                        reserve(file, source.size_bytes)
                        descriptor = os.dup(file.fileno())
                        loop.call_soon_threadsafe(fill.begin, _record(link, source), source.size_bytes, descriptor)

                await self._store.fetch(
                    link.key, link.version, file, max_bytes=self._max_source_bytes, progress=progress
                )
            fill.settle()
            if fill.record is not None:
                try:
                    self._cache.publish(draft, link.rendition_id, fill.record.to_bytes())
                except Unavailable as error:
                    telemetry.log.warning("fill.not_kept", key=link.key, rendition=link.rendition_id, error=error.code)


def _record(link: Link, source: Source) -> Record:
    verdict = AsIs(media_type=link.media_type, size_bytes=source.size_bytes)
    return Record(verdict=verdict, modified_at=source.modified_at)
