"""Fills: readers follow a body that comes in, and none of them takes a part for the whole."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from proxy.delivery import fills as fills_module
from proxy.delivery.cache import DiskCache, reserve
from proxy.delivery.fills import Fills, Following
from proxy.delivery.links import Link
from proxy.errors import Busy, DiskFull, MedialinkError, SourceReplaced, StoreAway, TakenDown
from proxy.media.kinds import Kind
from proxy.storage.folder import FolderStore
from proxy.storage.store import Key, Progress, Source, unheard

LINK = Link(kind=Kind.DOCUMENT, key=Key("a.pdf"), version="h:1", recipe=None, media_type="application/pdf")
BODY = b"0123456789" * 10
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)

Step = bytes | MedialinkError | None


class HandFed(FolderStore):
    """Gives what it is fed: a head, bytes, an error, or None for the end of a body that is right."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.fetches = 0
        self.steps: asyncio.Queue[Step] = asyncio.Queue()

    def feed(self, *steps: Step) -> None:
        for step in steps:
            self.steps.put_nowait(step)

    async def fetch(
        self, source_key: Key, version: str | None, into: BinaryIO, *, max_bytes: int, progress: Progress = unheard
    ) -> Source:
        del max_bytes
        self.fetches += 1
        head = await self.steps.get()
        if isinstance(head, MedialinkError):
            raise head
        source = Source(key=source_key, version=str(version), size_bytes=len(BODY), modified_at=LONG_AGO)
        await asyncio.to_thread(progress, source, 0)
        while (step := await self.steps.get()) is not None:
            if isinstance(step, MedialinkError):
                raise step
            into.write(step)
            into.flush()
            await asyncio.to_thread(progress, source, into.tell())
        return source


class Room:
    def __init__(self, root: Path) -> None:
        self.store = HandFed(root / "store")
        self.cache = DiskCache(root / "cache", 1_000_000, clock=lambda: 1000.0)
        self.fills = self.open(wait_limit_s=20)
        self.drafts = root / "cache" / "drafts"

    def open(self, wait_limit_s: float) -> Fills:
        return Fills(
            store=self.store, cache=self.cache, max_source_bytes=1_000, wait_limit_s=wait_limit_s, landed=lambda: None
        )

    async def follow(self) -> Following:
        _, following = await self.fills.follow(LINK)
        return following

    def cached(self) -> bytes | None:
        cached = self.cache.open(LINK.rendition_id)
        if cached is None:
            return None
        with cached:
            return cached.read(0, cached.size_bytes)


async def read_all(following: Following) -> bytes:
    got = b""
    while len(got) < following.size_bytes:
        got += await following.piece(len(got), 7)
    return got


Story = Callable[[Room], Coroutine[Any, Any, None]]


@pytest.fixture
def tell(tmp_path: Path) -> Callable[[Story], None]:
    async def told(story: Story) -> None:
        room = Room(tmp_path)
        try:
            async with asyncio.timeout(30):
                await story(room)
        finally:
            await room.fills.close()
            await room.store.close()
        assert not list(room.drafts.rglob("tmp*"))

    return lambda story: asyncio.run(told(story))


def test_the_first_bytes_are_read_before_the_last_have_come(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        room.store.feed(b"", BODY[:10])
        with await room.follow() as following:
            assert await following.piece(0, 7) == BODY[:7]
            assert await following.piece(7, 7) == BODY[7:10]
            late = asyncio.create_task(following.piece(10, 100))
            room.store.feed(BODY[10:20])
            assert await late == BODY[10:20]
            assert room.cached() is None
            room.store.feed(BODY[20:], None)
            assert await read_all(following) == BODY
        assert (room.cached(), room.store.fetches) == (BODY, 1)

    tell(story)


def test_however_many_follow_it_is_fetched_once(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        joining = [asyncio.create_task(room.follow()) for _ in range(5)]
        room.store.feed(b"", BODY[:50])
        reading = [asyncio.create_task(read_all(await one)) for one in joining]
        with await room.follow() as latecomer:
            room.store.feed(BODY[50:], None)
            assert await asyncio.gather(*reading) == [BODY] * 5
            assert await read_all(latecomer) == BODY
        for one in joining:
            one.result().close()
        assert room.store.fetches == 1

    tell(story)


def test_the_last_byte_is_held_back_until_the_whole_is_right(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        room.store.feed(b"", BODY)
        with await room.follow() as following:
            assert await following.piece(0, 1000) == BODY[:-1]
            last = asyncio.create_task(following.piece(len(BODY) - 1, 1))
            room.store.feed(StoreAway())
            with pytest.raises(StoreAway):
                await last
        assert room.cached() is None

    tell(story)


def test_what_is_not_coming_is_told_to_all_who_wait(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        joining = [asyncio.create_task(room.follow()) for _ in range(3)]
        room.store.feed(SourceReplaced())
        told = await asyncio.gather(*joining, return_exceptions=True)
        assert [type(one) for one in told] == [SourceReplaced] * 3
        room.store.feed(b"", BODY, None)
        with await room.follow() as following:
            assert await read_all(following) == BODY
        assert room.store.fetches == 2

    tell(story)


def test_readers_that_leave_do_not_end_it(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        room.store.feed(b"", BODY[:10])
        (await room.follow()).close()
        room.store.feed(BODY[10:], None)
        with await room.follow() as following:
            assert await read_all(following) == BODY
        assert (room.cached(), room.store.fetches) == (BODY, 1)

    tell(story)


def test_waiting_has_a_limit_before_the_head_and_after(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        await room.fills.close()
        room.fills = room.open(wait_limit_s=0.05)
        with pytest.raises(Busy):
            await room.follow()
        room.store.feed(b"", BODY[:10])
        while True:
            try:
                following = await room.follow()
                break
            except Busy:
                continue
        with following:
            with pytest.raises(Busy):
                await following.piece(10, 1)
            room.store.feed(BODY[10:], None)
            assert await read_all(following) == BODY

    tell(story)


def test_no_more_are_begun_than_the_bound(tell: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(room: Room) -> None:
        monkeypatch.setattr(fills_module, "MAX_FILLS", 1)
        first = asyncio.create_task(room.follow())
        await asyncio.sleep(0)
        other = Link(kind=LINK.kind, key=Key("b.pdf"), version="h:2", recipe=None, media_type=LINK.media_type)
        with pytest.raises(Busy):
            await room.fills.follow(other)
        room.store.feed(b"", BODY, None)
        with await first as following:
            assert await read_all(following) == BODY

    tell(story)


def test_what_cannot_be_kept_is_served_all_the_same(
    tell: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(room: Room) -> None:
        def full(*_: object) -> None:
            raise DiskFull

        monkeypatch.setattr(room.cache, "publish", full)
        room.store.feed(b"", BODY, None)
        with await room.follow() as following:
            assert await read_all(following) == BODY
        assert room.cached() is None

    tell(story)


def test_a_full_disk_is_known_before_a_byte_is_promised_and_room_is_made(
    tell: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(room: Room) -> None:
        really, told = reserve, list[int]()

        def once_full(file: BinaryIO, size_bytes: int) -> None:
            told.append(size_bytes)
            if len(told) == 1:
                raise DiskFull
            really(file, size_bytes)

        monkeypatch.setattr(fills_module, "reserve", once_full)
        room.store.feed(b"", b"", BODY, None)
        with await room.follow() as following:
            assert await read_all(following) == BODY
        assert (told, room.cached()) == ([len(BODY)] * 2, BODY)

    tell(story)


def test_an_end_of_the_service_ends_what_is_under_way(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        room.store.feed(b"", BODY[:10])
        with await room.follow() as following:
            waiting = asyncio.create_task(following.piece(10, 1))
            await asyncio.sleep(0)
            await room.fills.close()
            with pytest.raises(StoreAway):
                await waiting

    tell(story)


def test_what_is_withdrawn_is_read_no_further_and_others_go_on(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        room.store.feed(b"", BODY[:50])
        with await room.follow() as reading, await room.follow() as waiting:
            assert await reading.piece(0, 10) == BODY[:10]
            late = asyncio.create_task(waiting.piece(50, 1))
            await asyncio.sleep(0)
            room.fills.withdraw(lambda link: link.key == "other")
            assert await reading.piece(10, 10) == BODY[10:20]
            room.fills.withdraw(lambda link: link == LINK)
            with pytest.raises(TakenDown):
                await late
            with pytest.raises(TakenDown):
                await reading.piece(20, 10)
        assert room.cached() is None
        room.store.feed(b"", BODY, None)
        with await room.follow() as following:
            assert await read_all(following) == BODY
        assert room.store.fetches == 2

    tell(story)


def test_who_waits_for_the_head_of_what_is_withdrawn_hears_it(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        joining = asyncio.create_task(room.follow())
        while not room.store.fetches:  # noqa: ASYNC110 - told of in no event
            await asyncio.sleep(0)
        room.fills.withdraw(lambda _: True)
        with pytest.raises(TakenDown):
            await joining

    tell(story)
