"""Renditions: made once, remembered, and never anything but what was asked for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from proxy.delivery.cache import DiskCache
from proxy.delivery.links import Link, Links
from proxy.delivery.makings import Makings
from proxy.delivery.mint import Mint
from proxy.delivery.renditions import FORGET_REFUSAL_AFTER_S, Origin, Renditions
from proxy.delivery.rules import parse_rules
from proxy.delivery.takedowns import Takedowns
from proxy.delivery.verdicts import Refused
from proxy.errors import Busy, DecodeLimit, SourceReplaced, StoreAway, TypeRefused
from proxy.media.checker import recipe
from proxy.media.kinds import AsIs, ImageRules, Kind, Made, Rules
from proxy.storage.folder import FolderStore
from proxy.storage.store import Key, Progress, Source, unheard

RULES = Rules()
PDF = b"%PDF-1.7\n" + b"x" * 500


class CountingStore(FolderStore):
    """The folder, counting what it is asked, and refusing to take renditions when told so."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.fetched: list[str] = []
        self.read_only = False

    async def fetch(
        self, source_key: Key, version: str | None, into: BinaryIO, *, max_bytes: int, progress: Progress = unheard
    ) -> Source:
        self.fetched.append(source_key)
        return await super().fetch(source_key, version, into, max_bytes=max_bytes, progress=progress)

    async def put_new(self, key: Key, body: Path, *, media_type: str) -> bool:
        if self.read_only:
            raise StoreAway
        return await super().put_new(key, body, media_type=media_type)


class InPlaceWorkers:
    """Runs the craft where it stands: these tests are about what is around it. Counts, and waits when told so."""

    def __init__(self) -> None:
        self.runs = 0
        self.begun = asyncio.Semaphore(0)
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        self.runs += 1
        self.begun.release()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return function(*args)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Room:
    root: Path
    store: CountingStore
    workers: InPlaceWorkers
    clock: Clock = field(default_factory=Clock)
    hosts: int = 0

    def host(self, wait_limit_s: float = 30.0, rules: Rules = RULES, max_makings: int = 100) -> Renditions:
        """Another host: the same store, a disk of its own."""
        self.hosts += 1
        workers: Any = self.workers
        return Renditions(
            store=self.store,
            cache=DiskCache(self.root / f"cache-{self.hosts}", 10_000_000, clock=Clock()),
            makings=Makings(workers, rules, max_at_once=max_makings),
            max_source_bytes=50_000_000,
            wait_limit_s=wait_limit_s,
            clock=self.clock,
        )

    async def put(self, key: str, body: bytes) -> Source:
        file = self.root / "body"
        file.write_bytes(body)
        return await self.store.put(Key(key), file, media_type="application/octet-stream")


Story = Callable[[Room], Coroutine[Any, Any, None]]


@pytest.fixture
def tell(tmp_path: Path) -> Callable[[Story], None]:
    @asynccontextmanager
    async def room() -> AsyncIterator[Room]:
        store = CountingStore(tmp_path / "store")
        yield Room(root=tmp_path, store=store, workers=InPlaceWorkers())
        await store.close()

    def run(story: Story) -> None:
        async def whole() -> None:
            async with room() as opened:
                await story(opened)

        asyncio.run(whole())

    return run


def link_of(kind: Kind, source: Source, verdict: AsIs | Made) -> Link:
    return Link(
        kind=kind,
        key=source.key,
        version=source.version,
        recipe=recipe(kind, RULES) if isinstance(verdict, Made) else None,
        media_type=verdict.media_type,
    )


def test_one_source_is_fetched_and_made_once_however_many_ask(tell: Callable[[Story], None], heavy_jpeg: bytes) -> None:
    async def story(room: Room) -> None:
        renditions = room.host()
        source = await room.put("a.jpg", heavy_jpeg)
        verdicts = await asyncio.gather(*(renditions.judge(Kind.IMAGE, source) for _ in range(200)))
        assert isinstance(verdicts[0], Made)
        assert verdicts == [verdicts[0]] * 200
        assert room.workers.runs == 1
        assert room.store.fetched.count("a.jpg") == 1

    tell(story)


def test_a_verdict_is_remembered_on_this_host_and_the_next(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        first, second = room.host(), room.host()
        source = await room.put("a.jpg", PDF)
        told = [await host.judge(Kind.IMAGE, source) for host in (first, first, second)]
        assert told == [told[0]] * 3
        assert isinstance(told[0], Refused)
        assert isinstance(told[0].error(), TypeRefused)
        assert room.workers.runs == 1

    tell(story)


def test_a_passing_refusal_is_forgotten_after_a_minute(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        renditions = room.host()
        source = await room.put("a.pdf", PDF)
        room.workers.error = DecodeLimit(limit="20 seconds")
        for _ in range(3):
            verdict = await renditions.judge(Kind.DOCUMENT, source)
            assert isinstance(verdict, Refused)
            assert verdict.code == "decode_limit"
        assert room.workers.runs == 1
        room.workers.error = None
        room.clock.now += FORGET_REFUSAL_AFTER_S + 1
        assert isinstance(await renditions.judge(Kind.DOCUMENT, source), AsIs)

    tell(story)


def test_a_failure_is_not_remembered(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        renditions = room.host()
        source = await room.put("a.pdf", PDF)
        room.workers.error = Busy()
        with pytest.raises(Busy):
            await renditions.judge(Kind.DOCUMENT, source)
        room.workers.error = None
        assert isinstance(await renditions.judge(Kind.DOCUMENT, source), AsIs)

    tell(story)


def test_who_waits_too_long_is_sent_away_and_the_work_goes_on(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        renditions = room.host(wait_limit_s=0.05)
        source = await room.put("a.pdf", PDF)
        room.workers.gate.clear()
        with pytest.raises(Busy):
            await renditions.judge(Kind.DOCUMENT, source)
        room.workers.gate.set()
        patient = room.host()
        assert isinstance(await patient.judge(Kind.DOCUMENT, source), AsIs)
        assert isinstance(await renditions.judge(Kind.DOCUMENT, source), AsIs)

    tell(story)


def test_who_leaves_takes_nobody_along(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        renditions = room.host()
        source = await room.put("a.pdf", PDF)
        room.workers.gate.clear()
        leaving = asyncio.create_task(renditions.judge(Kind.DOCUMENT, source))
        staying = asyncio.create_task(renditions.judge(Kind.DOCUMENT, source))
        await room.workers.begun.acquire()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        room.workers.gate.set()
        assert isinstance(await staying, AsIs)

    tell(story)


def test_a_link_that_says_made_delivers_nothing_that_was_not(tell: Callable[[Story], None], light_jpeg: bytes) -> None:
    async def story(room: Room) -> None:
        renditions = room.host()
        for key, body, error in (("a.jpg", light_jpeg, SourceReplaced), ("b.jpg", PDF, TypeRefused)):
            source = await room.put(key, body)
            made = Link(
                kind=Kind.IMAGE,
                key=source.key,
                version=source.version,
                recipe=recipe(Kind.IMAGE, RULES),
                media_type="image/jpeg",
            )
            for _ in range(2):
                with pytest.raises(error):
                    await renditions.open(made)

    tell(story)


def test_what_is_under_way_ends_with_the_room_and_leaves_nothing(tell: Callable[[Story], None], tmp_path: Path) -> None:
    async def story(room: Room) -> None:
        renditions = room.host()
        source = await room.put("a.pdf", PDF)
        room.workers.gate.clear()
        asking = asyncio.create_task(renditions.judge(Kind.DOCUMENT, source))
        await room.workers.begun.acquire()
        assert list((tmp_path / "cache-1" / "drafts").iterdir())
        await renditions.close()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert not list((tmp_path / "cache-1" / "drafts").iterdir())

    tell(story)


def test_one_too_many_is_busy_before_its_source_is_fetched(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        renditions = room.host(max_makings=1)
        first, second = await room.put("a.pdf", PDF), await room.put("b.pdf", PDF)
        room.workers.gate.clear()
        asking = asyncio.create_task(renditions.judge(Kind.DOCUMENT, first))
        await room.workers.begun.acquire()
        with pytest.raises(Busy):
            await renditions.judge(Kind.DOCUMENT, second)
        assert "b.pdf" not in room.store.fetched
        room.workers.gate.set()
        assert isinstance(await asking, AsIs)
        assert isinstance(await renditions.judge(Kind.DOCUMENT, second), AsIs)

    tell(story)


def test_a_source_that_is_replaced_meanwhile_is_looked_at_once_more(
    tell: Callable[[Story], None], light_jpeg: bytes
) -> None:
    async def story(room: Room) -> None:
        takedowns = Takedowns(room.store, room.root / "takedowns.json", room.clock)
        await takedowns.open()
        mint = Mint(
            store=room.store,
            renditions=room.host(),
            links=Links({1: bytes(32)}),
            rules=RULES,
            prefix_rules=parse_rules(""),
            takedowns=takedowns,
            public_url="https://media.example.com",
            clock=room.clock,
        )
        stale = await room.put("a.jpg", b"first")
        newest = await room.put("a.jpg", light_jpeg)
        answers = iter([stale, newest])

        async def find(_: Key) -> Source:
            return next(answers)

        room.store.find = find  # type: ignore[method-assign,assignment] # the race, made certain
        minted = await mint.mint(Kind.IMAGE, Key("a.jpg"))
        assert minted.link.version == newest.version
        await takedowns.close()

    tell(story)


def test_a_store_that_refuses_writes_is_worked_around_and_told(
    tell: Callable[[Story], None], heavy_jpeg: bytes
) -> None:
    async def story(room: Room) -> None:
        renditions = room.host()
        source = await room.put("a.jpg", heavy_jpeg)
        room.store.read_only = True
        verdict = await renditions.judge(Kind.IMAGE, source)
        assert isinstance(verdict, Made)
        assert not renditions.store_takes_writes
        rendition = await renditions.open(link_of(Kind.IMAGE, source, verdict))
        with rendition.body:
            assert rendition.origin is Origin.DISK

    tell(story)


def test_who_comes_second_takes_the_rendition_of_the_first(tell: Callable[[Story], None], heavy_jpeg: bytes) -> None:
    """Two hosts make the same at once; the store keeps one, and both serve that one."""

    async def story(room: Room) -> None:
        first, second = room.host(), room.host()
        source = await room.put("a.jpg", heavy_jpeg)
        room.workers.gate.clear()
        both = [asyncio.create_task(host.judge(Kind.IMAGE, source)) for host in (first, second)]
        async with asyncio.timeout(30):
            for _ in both:
                await room.workers.begun.acquire()
        room.workers.gate.set()
        verdicts = await asyncio.gather(*both)
        bodies = []
        for host, verdict in zip((first, second), verdicts, strict=True):
            assert isinstance(verdict, Made)
            rendition = await host.open(link_of(Kind.IMAGE, source, verdict))
            with rendition.body as body:
                bodies.append(await body.piece(0, body.size_bytes))
        assert bodies[0] == bodies[1]
        assert len([key for key in room.store.fetched if key.startswith(".medialink/")]) >= 3

    tell(story)


def test_a_link_of_another_recipe_is_served_from_the_store_or_not_at_all(
    tell: Callable[[Story], None], heavy_jpeg: bytes
) -> None:
    async def story(room: Room) -> None:
        before, after = room.host(), room.host(rules=Rules(image=ImageRules(heavy_bytes=500_000)))
        source = await room.put("a.jpg", heavy_jpeg)
        verdict = await before.judge(Kind.IMAGE, source)
        assert isinstance(verdict, Made)
        old = link_of(Kind.IMAGE, source, verdict)
        rendition = await after.open(old)
        with rendition.body:
            assert rendition.origin is Origin.STORE
        unknown = Link(kind=old.kind, key=old.key, version=old.version, recipe="0" * 16, media_type=old.media_type)
        with pytest.raises(SourceReplaced):
            await after.open(unknown)

    tell(story)


def test_a_lost_rendition_is_made_again_from_the_same_version(
    tell: Callable[[Story], None], heavy_jpeg: bytes, tmp_path: Path
) -> None:
    async def story(room: Room) -> None:
        first, second = room.host(), room.host()
        source = await room.put("a.jpg", heavy_jpeg)
        verdict = await first.judge(Kind.IMAGE, source)
        assert isinstance(verdict, Made)
        (kept,) = (path for path in (tmp_path / "store" / ".medialink" / "renditions").iterdir())
        kept.unlink()
        rendition = await second.open(link_of(Kind.IMAGE, source, verdict))
        with rendition.body as body:
            assert rendition.origin is Origin.SOURCE
            assert body.size_bytes == verdict.size_bytes

    tell(story)
