"""What a key names now: asked seldom and once, and the last answer while there is no new one."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from proxy.delivery.newest import FRESH_S, STALE_AFTER_S, Newest
from proxy.delivery.rules import MAX_STALE_S, parse_rules
from proxy.errors import NotFound, StoreAway
from proxy.storage.folder import FolderStore
from proxy.storage.store import Key, Source

KEY, LAX, OTHER = Key("a.pdf"), Key("lax/a.pdf"), Key("b.pdf")


class Store(FolderStore):
    """The folder: it counts what it is asked, and answers when its gate is open, or not at all."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.looks = 0
        self.begun = asyncio.Semaphore(0)
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def find(self, key: Key) -> Source:
        self.looks += 1
        self.begun.release()
        await self.gate.wait()
        if self.away:
            raise StoreAway
        return await super().find(key)


class Room:
    def __init__(self, root: Path) -> None:
        self.now = 1000.0
        self.store = Store(root / "store")
        self.newest = Newest(self.store, parse_rules("lax/=stale-while-revalidate=30"), clock=lambda: self.now)
        self._file = root / "body"

    async def put(self, key: Key, body: bytes) -> Source:
        self._file.write_bytes(body)
        return await self.store.put(key, self._file, media_type="application/pdf")


Story = Callable[[Room], Coroutine[Any, Any, None]]


@pytest.fixture
def tell(tmp_path: Path) -> Callable[[Story], None]:
    async def told(story: Story) -> None:
        room = Room(tmp_path)
        try:
            async with asyncio.timeout(30):
                await story(room)
        finally:
            await room.newest.close()
            await room.store.close()

    return lambda story: asyncio.run(told(story))


def test_the_store_is_asked_once_in_two_seconds_and_then_again(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        first = await room.put(KEY, b"1")
        assert await room.newest.find(KEY) == first
        second = await room.put(KEY, b"2")
        room.now += FRESH_S - 0.1
        assert (await room.newest.find(KEY), room.store.looks) == (first, 1)
        room.now += 0.1
        assert (await room.newest.find(KEY), room.store.looks) == (second, 2)

    tell(story)


def test_however_many_ask_the_store_is_asked_once(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        source = await room.put(KEY, b"1")
        for looks in (1, 2):
            found = await asyncio.gather(*(room.newest.find(KEY) for _ in range(50)))
            assert (found, room.store.looks) == ([source] * 50, looks)
            room.now += FRESH_S

    tell(story)


def test_that_there_is_nothing_is_remembered_too(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        for _ in range(2):
            with pytest.raises(NotFound):
                await room.newest.find(KEY)
        assert room.store.looks == 1
        source = await room.put(KEY, b"1")
        room.now += FRESH_S
        assert await room.newest.find(KEY) == source

    tell(story)


def test_while_the_store_is_away_the_last_answer_serves_for_a_day(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        source = await room.put(KEY, b"1")
        await room.newest.find(KEY)
        room.store.away = True
        room.now += FRESH_S
        for _ in range(3):
            assert await room.newest.find(KEY) == source
        assert room.store.looks == 2, "a store that is away is not asked by each who comes"
        with pytest.raises(StoreAway):
            await room.newest.find(OTHER)
        room.now += MAX_STALE_S
        with pytest.raises(StoreAway):
            await room.newest.find(KEY)

    tell(story)


def test_a_store_that_hangs_is_waited_for_a_little_and_by_one(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        first = await room.put(KEY, b"1")
        await room.newest.find(KEY)
        second = await room.put(KEY, b"2")
        room.now += FRESH_S
        room.store.gate.clear()
        began = asyncio.get_running_loop().time()
        found = [await room.newest.find(KEY) for _ in range(10)]
        assert asyncio.get_running_loop().time() - began < 5 * STALE_AFTER_S
        assert (found, room.store.looks) == ([first] * 10, 2)
        room.store.gate.set()
        room.now += FRESH_S
        assert await room.newest.find(KEY) == second

    tell(story)


def test_who_comes_while_it_is_looked_at_waits_for_the_new_answer(tell: Callable[[Story], None]) -> None:
    """A legacy system overwrites and sends at once: nobody is given an answer of more than two seconds ago."""

    async def story(room: Room) -> None:
        await room.put(KEY, b"1")
        await room.newest.find(KEY)
        await room.store.begun.acquire()
        second = await room.put(KEY, b"2")
        room.now += FRESH_S
        room.store.gate.clear()
        both = [asyncio.create_task(room.newest.find(KEY)) for _ in range(2)]
        await room.store.begun.acquire()
        room.store.gate.set()
        assert await asyncio.gather(*both) == [second, second]

    tell(story)


def test_under_a_rule_the_last_answer_serves_while_the_new_one_comes(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        first = await room.put(LAX, b"1")
        await room.newest.find(LAX)
        await room.store.begun.acquire()
        second = await room.put(LAX, b"2")
        room.now += 30
        room.store.gate.clear()
        assert await room.newest.find(LAX) == first
        await room.store.begun.acquire()
        room.store.gate.set()
        while (found := await room.newest.find(LAX)) == first:  # noqa: ASYNC110 - a look in the background tells nobody
            await asyncio.sleep(0.001)
        assert (found, room.store.looks) == (second, 2)
        third = await room.put(LAX, b"3")
        room.now += FRESH_S + 30
        assert await room.newest.find(LAX) == third, "older than the rule allows is not served"

    tell(story)


def test_what_is_forgotten_is_asked_for_anew(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        await room.put(KEY, b"1")
        await room.newest.find(KEY)
        second = await room.put(KEY, b"2")
        room.newest.forget(KEY)
        assert await room.newest.find(KEY) == second

    tell(story)
