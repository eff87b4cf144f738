"""Renditions: made once, kept in the store and on disk, and opened for whoever has their link."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from proxy import telemetry
from proxy.delivery.cache import Cached, DiskCache, seal
from proxy.delivery.fills import Fills, Following
from proxy.delivery.links import Link, rendition_id
from proxy.delivery.makings import Makings
from proxy.delivery.verdicts import Record, Refused, Verdict
from proxy.errors import Busy, DiskFull, NotFound, SourceReplaced, StoreAway
from proxy.locks import hold_one
from proxy.media.kinds import AsIs, Kind, Made
from proxy.storage.store import Key, Source, Store, reserved_key
from proxy.telemetry import metrics

FORGET_REFUSAL_AFTER_S = 60
MAX_PASSING_REFUSALS = 10_000
_RESULTS = {AsIs: "as_is", Made: "made", Refused: "refused"}
MAX_FLIGHTS = 1024
"""Renditions that are looked for or made at once; each is a task, and most of them wait."""


class Origin(StrEnum):
    """Where an opened rendition came from."""

    DISK = "disk"
    STORE = "store"
    SOURCE = "source"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendition:
    """An open rendition; its taker closes `body`, which may still be coming in."""

    record: Record
    body: Cached | Following
    origin: Origin


class Renditions:
    """Everything is asked of the disk first, then of the store under the reserved prefix, then made."""

    def __init__(  # noqa: PLR0913 - the doors and bounds of the room, each of them needed
        self,
        *,
        store: Store,
        cache: DiskCache,
        makings: Makings,
        max_source_bytes: int,
        wait_limit_s: float,
        clock: Callable[[], float],
        admit: Callable[[], None] = lambda: None,
    ) -> None:
        """Be ready; `admit` is called before whoever asks has something fetched or made, and may refuse."""
        self._admit = admit
        self._store = store
        self._cache = cache
        self._makings = makings
        self._max_source_bytes = max_source_bytes
        self._wait_limit_s = wait_limit_s
        self._clock = clock
        self._fills = Fills(
            store=store,
            cache=cache,
            max_source_bytes=max_source_bytes,
            wait_limit_s=wait_limit_s,
            landed=self.tidy,
        )
        self._flights: dict[str, asyncio.Task[Origin]] = {}
        self._sweep: asyncio.Task[None] | None = None
        self._passing: dict[str, tuple[float, Refused]] = {}
        self.store_takes_writes = True

    async def judge(self, kind: Kind, source: Source) -> Verdict:
        """Say whether a source can be delivered as a kind; what must be made for it is made now.

        Raises:
            TooLarge: the source is over what is taken in.
            SourceReplaced: it was replaced meanwhile.
            Busy, StoreAway, DiskFull: ask again later.
        """
        verdict, _ = await self.judge_and_tell(kind, source)
        return verdict

    async def judge_and_tell(self, kind: Kind, source: Source) -> tuple[Verdict, Origin]:
        """Judge, and tell what it took: what was made a moment ago lies on the disk now, and is no hit."""
        if refused := self._makings.refuse_by_size(kind, source.size_bytes):
            return refused, Origin.DISK
        made_by = self._makings.recipe(kind)
        name = rendition_id(kind, source.key, source.version, made_by)
        origin = Origin.DISK
        if passing := self._passing_refusal(name):
            return passing, origin
        if (known := self._recall(name)) is None:
            self._admit()
            origin = await self._once(name, partial(self._find_or_make, kind, source.key, source.version, made_by))
            known = self._recall(name)
        if known is not None:
            return known.verdict, origin
        if passing := self._passing_refusal(name):
            return passing, origin
        raise Busy

    async def open(self, link: Link, origin: Origin = Origin.DISK) -> Rendition:
        """Open what a link names, or nothing else; what goes out as it is may still be coming in.

        `origin` is where it came from if it lies on the disk.

        Raises:
            SourceReplaced: neither the rendition nor the source's version it was made of is there any more.
            RefusedMedium, Busy, StoreAway, DiskFull: it could not be made again.
        """
        name = link.rendition_id
        if hit := self._open(link, origin):
            return hit
        self._admit()
        if link.recipe is None:
            record, body = await self._fills.follow(link)
            return Rendition(record=record, body=body, origin=Origin.SOURCE)
        origin = await self._once(name, partial(self._bring, link, link.recipe))
        if passing := self._passing_refusal(name):
            raise passing.error()
        if brought := self._open(link, origin):
            return brought
        raise Busy

    async def ensure(self, link: Link) -> Record:
        """Make sure that what a link names lies here whole; raises what `open` raises."""
        rendition = await self.open(link)
        with rendition.body as body:
            if body.size_bytes:
                await body.piece(body.size_bytes - 1, 1)
        return rendition.record

    def _open(self, link: Link, origin: Origin) -> Rendition | None:
        body, record = self._look(link.rendition_id)
        if body is None or record is None:
            return None
        if isinstance(record.verdict, Made if link.recipe else AsIs):
            return Rendition(record=record, body=body, origin=origin)
        body.close()
        raise record.verdict.error() if isinstance(record.verdict, Refused) else SourceReplaced

    def _recall(self, name: str) -> Record | None:
        body, record = self._look(name)
        if body is not None:
            body.close()
        return record

    def _look(self, name: str) -> tuple[Cached | None, Record | None]:
        """Open a file of the disk with its record; one whose record cannot be read is taken away."""
        body = self._cache.open(name)
        if body is None:
            return None, None
        record = Record.from_bytes(body.record)
        if record is None:
            body.close()
            self._cache.drop(name)
            return None, None
        return body, record

    async def _once(self, name: str, work: Callable[[], Awaitable[Origin]]) -> Origin:
        """Do it once, however many ask; each waits only so long."""
        flight = self._flights.get(name)
        if flight is None:
            if len(self._flights) >= MAX_FLIGHTS:
                raise Busy
            flight = self._flights[name] = asyncio.create_task(self._alone(name, work))
            flight.add_done_callback(lambda done: self._landed(name, done))
        try:
            async with asyncio.timeout(self._wait_limit_s):
                return await asyncio.shield(flight)
        except TimeoutError:
            raise Busy from None

    async def _alone(self, name: str, work: Callable[[], Awaitable[Origin]]) -> Origin:
        """Do it while no other process of this host does; what another has brought meanwhile is there."""
        async with hold_one([self._cache.lock_of(name)], self._wait_limit_s):
            if self._recall(name) is not None:
                return Origin.DISK
            try:
                origin = await work()
            except DiskFull:
                await asyncio.to_thread(self._cache.make_room)
                origin = await work()
        return origin

    def tidy(self) -> None:
        """Bring the cache under its bound, where that is due, behind everybody's back."""
        if self._cache.wants_sweeping and (self._sweep is None or self._sweep.done()):
            self._sweep = asyncio.create_task(asyncio.to_thread(self._cache.sweep))

    def withdraw(self, forbidden: Callable[[Link], bool]) -> None:
        """End what goes out while it comes in, where it may not be delivered any more."""
        self._fills.withdraw(forbidden)

    async def close(self) -> None:
        """End what is under way; half-made renditions leave nothing behind."""
        flights = tuple(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(self._fills.close(), *flights, return_exceptions=True)
        if self._sweep is not None:
            await asyncio.gather(self._sweep, return_exceptions=True)

    def _landed(self, name: str, flight: asyncio.Task[Origin]) -> None:
        del self._flights[name]
        self.tidy()
        if not flight.cancelled() and (error := flight.exception()):
            telemetry.log.info("rendition.failed", rendition=name, error=type(error).__name__)

    async def _bring(self, link: Link, made_by: str) -> Origin:
        """Bring to the disk what was made for a link, or make it again where the recipe is still ours."""
        if made_by == self._makings.recipe(link.kind):
            return await self._find_or_make(link.kind, link.key, link.version, made_by)
        if await self._take_from_store(link.rendition_id):
            return Origin.STORE
        raise SourceReplaced

    async def _find_or_make(self, kind: Kind, key: Key, version: str, made_by: str) -> Origin:
        name = rendition_id(kind, key, version, made_by)
        if await self._take_from_store(name):
            return Origin.STORE
        with self._makings.place(), self._cache.draft() as draft, self._cache.draft() as target:
            source = await self._fetch(key, version, draft)
            verdict = await self._makings.make(kind, draft, target)
            _count(kind, verdict)
            if isinstance(verdict, Refused):
                telemetry.log.info("medium.refused", key=key, kind=kind, code=verdict.code)
                if not verdict.error().lasting:
                    self._remember_passing(name, verdict)
                    return Origin.SOURCE
            telemetry.log.info("rendition.made", key=key, rendition=name, outcome=type(verdict).__name__)
            record = Record(verdict=verdict, modified_at=source.modified_at).to_bytes()
            if isinstance(verdict, AsIs):
                self._cache.publish(draft, rendition_id(kind, key, version, None), record)
            seal(target, record)
            await self._keep(name, target, verdict)
        return Origin.SOURCE

    async def _keep(self, name: str, frame: Path, verdict: Verdict) -> None:
        """Keep a frame in the store and on disk; where somebody else was first, theirs is the one."""
        media_type = verdict.media_type if isinstance(verdict, Made) else "application/octet-stream"
        try:
            first = await self._store.put_new(_in_store(name), frame, media_type=media_type)
        except (StoreAway, DiskFull):
            self.store_takes_writes = False
            metrics.NOT_STORED.inc()
            telemetry.log.warning("rendition.not_stored", rendition=name)
        else:
            self.store_takes_writes = True
            if not first and await self._take_from_store(name):
                return
        self._cache.adopt(frame, name)

    async def _take_from_store(self, name: str) -> bool:
        with self._cache.draft() as draft:
            try:
                with draft.open("wb") as file:
                    await self._store.fetch(_in_store(name), None, file, max_bytes=self._max_source_bytes)
            except NotFound:
                return False
            return self._cache.adopt(draft, name) and self._recall(name) is not None

    async def _fetch(self, key: Key, version: str, draft: Path) -> Source:
        with draft.open("wb") as file:
            return await self._store.fetch(key, version, file, max_bytes=self._max_source_bytes)

    def _passing_refusal(self, name: str) -> Refused | None:
        until, refused = self._passing.get(name, (0.0, None))
        return refused if until > self._clock() else None

    def _remember_passing(self, name: str, refused: Refused) -> None:
        now = self._clock()
        if len(self._passing) >= MAX_PASSING_REFUSALS:
            self._passing = {name: kept for name, kept in self._passing.items() if kept[0] > now}
        if len(self._passing) < MAX_PASSING_REFUSALS:
            self._passing[name] = (now + FORGET_REFUSAL_AFTER_S, refused)


def _count(kind: Kind, verdict: Verdict) -> None:
    metrics.RENDITIONS.labels(kind, _RESULTS[type(verdict)]).inc()
    if isinstance(verdict, Made):
        metrics.SAVED_BYTES.labels(kind).inc(max(0, verdict.source_size_bytes - verdict.size_bytes))


def _in_store(name: str) -> Key:
    return reserved_key(f"renditions/{name}")
