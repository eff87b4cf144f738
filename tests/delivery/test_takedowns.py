"""Takedowns: heard in time on every way out, and never forgotten because the store stumbles."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from proxy.delivery.takedown_list import MAX_ENTRY_BYTES, Takedown, TakedownList
from proxy.delivery.takedowns import FOLDER, HEARD_WITHIN_S, Takedowns, name_of
from proxy.errors import Malformed, NotFound, StoreAway, TakenDown
from proxy.storage.folder import FolderStore
from proxy.storage.store import MAX_KEY_BYTES, Key, parse_key
from tests.delivery.takedown_desk import SINCE

KEY = Key("a/b.jpg")


class Stumbling(FolderStore):
    """The folder, whose list can be made to fail or to hang."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.answers = asyncio.Event()
        self.answers.set()
        self.error: Exception | None = None
        self.read = 0

    async def names(self, folder: Key, *, max_names: int) -> frozenset[str]:
        self.read += 1
        await self.answers.wait()
        if self.error is not None:
            raise self.error
        return await super().names(folder, max_names=max_names)


@dataclass
class Room:
    root: Path
    store: Stumbling
    now: float = 1000.0
    processes: list[Takedowns] = field(default_factory=list)

    async def process(self) -> Takedowns:
        """Start another process of the same machine."""
        takedowns = Takedowns(self.store, self.root / "data" / "takedowns.json", clock=lambda: self.now)
        self.processes.append(takedowns)
        await takedowns.open()
        return takedowns

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110 - told of in no event
                await asyncio.sleep(0.005)


Story = Callable[[Room], Coroutine[Any, Any, None]]


@pytest.fixture
def tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Story], None]:
    """Run a story whose processes read the list every few milliseconds."""
    monkeypatch.setattr("proxy.delivery.takedowns.REREAD_EVERY_S", 0.005)
    monkeypatch.setattr("proxy.delivery.takedowns.RETRY_AFTER_S", 0.005)

    async def whole(story: Story) -> None:
        room = Room(tmp_path, Stumbling(tmp_path / "store"))
        try:
            await story(room)
        finally:
            for process in room.processes:
                await process.close()
            await room.store.close()

    return lambda story: asyncio.run(whole(story))


@contextmanager
def forbidden() -> Iterator[None]:
    with pytest.raises(TakenDown):
        yield


def test_a_key_goes_with_all_its_versions_and_a_version_goes_alone(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        listed = TakedownList(room.store)
        await listed.add(Takedown(key=KEY, version=None, since=SINCE))
        await listed.add(Takedown(key=Key("c.jpg"), version="h:1", since=SINCE))
        process = await room.process()
        for key, version in ((KEY, "h:1"), (KEY, "h:2"), (Key("c.jpg"), "h:1")):
            with forbidden():
                process.require(key, version)
        for key, version in ((Key("c.jpg"), "h:2"), (Key("a/b"), "h:1"), (Key("a/B.jpg"), "h:1"), (Key("d"), "null")):
            process.require(key, version)

    tell(story)


def test_a_running_process_hears_of_it_and_of_its_undoing(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        listed, process = TakedownList(room.store), await room.process()
        told: list[bool] = []
        process.listen(lambda: told.append(process.forbids(KEY, "h:1")))
        process.require(KEY, "h:1")
        await listed.add(Takedown(key=KEY, version=None, since=SINCE))
        await room.until(lambda: process.forbids(KEY, "h:1"))
        await listed.undo(KEY, None)
        await room.until(lambda: not process.forbids(KEY, "h:1"))
        assert told == [True, False]

    tell(story)


def test_the_figures_keep_the_word_of_thirty_seconds() -> None:
    assert HEARD_WITHIN_S == 30


def test_while_the_store_is_away_the_last_list_stays_in_force_and_its_age_is_told(
    tell: Callable[[Story], None],
) -> None:
    async def story(room: Room) -> None:
        await TakedownList(room.store).add(Takedown(key=KEY, version=None, since=SINCE))
        process = await room.process()
        assert process.state == "ok"
        room.store.error = StoreAway()
        room.now += HEARD_WITHIN_S + 12
        read = room.store.read
        await room.until(lambda: room.store.read > read + 3)
        with forbidden():
            process.require(KEY, "h:1")
        assert process.state.startswith("The list of takedowns was last read 42 s ago")
        room.store.error = None
        await room.until(lambda: process.state == "ok")

    tell(story)


def test_a_start_without_any_list_delivers_nothing_until_there_is_one(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        room.store.error = StoreAway()
        process = await room.process()
        assert not process.known
        assert "nothing is delivered" in process.state
        with pytest.raises(StoreAway):
            process.require(KEY, "h:1")
        room.store.error = None
        await room.until(lambda: process.known)
        process.require(KEY, "h:1")

    tell(story)


def test_a_start_without_the_store_goes_by_what_this_machine_knew(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        await TakedownList(room.store).add(Takedown(key=KEY, version=None, since=SINCE))
        await (await room.process()).close()
        room.store.error = StoreAway()
        process = await room.process()
        with forbidden():
            process.require(KEY, "h:1")
        process.require(Key("other"), "h:1")
        assert "last one known on this disk" in process.state

    tell(story)


@pytest.mark.parametrize("damage", ["", "[", "{}", '"x"'], ids=["empty", "cut", "object", "text"])
def test_a_damaged_copy_is_none(tell: Callable[[Story], None], damage: str) -> None:
    async def story(room: Room) -> None:
        await (await room.process()).close()
        copy = room.root / "data" / "takedowns.json"
        assert copy.read_text() == "[]"
        copy.write_text(damage)
        room.store.error = StoreAway()
        assert not (await room.process()).known

    tell(story)


def test_a_disk_that_takes_no_copy_is_no_reason_to_stop(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        (room.root / "data").write_text("a file where a folder should be")
        process = await room.process()
        process.require(KEY, "h:1")
        await TakedownList(room.store).add(Takedown(key=KEY, version=None, since=SINCE))
        await room.until(lambda: process.forbids(KEY, "h:1"))

    tell(story)


def test_a_store_that_hangs_holds_up_neither_the_start_nor_the_next_reading(
    tell: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(room: Room) -> None:
        monkeypatch.setattr("proxy.delivery.takedowns.READ_LIMIT_S", 0.02)
        room.store.answers.clear()
        process = await room.process()
        await room.until(lambda: room.store.read >= 3)
        assert not process.known
        room.store.answers.set()
        await room.until(lambda: process.known)

    tell(story)


def test_the_longest_keys_fit_and_their_names_tell_nothing(tell: Callable[[Story], None]) -> None:
    keys = [
        parse_key("/".join(["ж" * 127] * 4)[: MAX_KEY_BYTES // 2]),
        parse_key("/".join(["x" * 255] * 4)),
        parse_key("tab'\"%2F\u202e😀.jpg"),
    ]
    versions = [None, "v:" + "x" * 1024, 'e:"quoted"']

    async def story(room: Room) -> None:
        listed = TakedownList(room.store)
        wanted = [Takedown(key=key, version=version, since=SINCE) for key in keys for version in versions]
        for entry in wanted:
            assert len(entry.to_bytes()) < MAX_ENTRY_BYTES
            await listed.add(entry)
        entries, unreadable = await listed.entries()
        assert {(entry.key, entry.version) for entry in entries} == {(entry.key, entry.version) for entry in wanted}
        assert unreadable == []
        names = await room.store.names(FOLDER, max_names=100)
        assert names == {name_of(entry.key, entry.version) for entry in wanted}
        assert {len(name) for name in names} == {32}

    tell(story)


def test_who_takes_down_twice_keeps_the_first_date_and_undoing_needs_something_to_undo(
    tell: Callable[[Story], None],
) -> None:
    async def story(room: Room) -> None:
        listed = TakedownList(room.store)
        await listed.add(Takedown(key=KEY, version=None, since=SINCE))
        await listed.add(Takedown(key=KEY, version=None, since=SINCE.replace(year=2030)))
        assert [entry.since for entry in (await listed.entries())[0]] == [SINCE]
        with pytest.raises(Malformed, match="not taken down this version of it"):
            await listed.undo(KEY, "h:1")
        await listed.undo(KEY, None)
        with pytest.raises(Malformed, match="not taken down as a whole"):
            await listed.undo(KEY, None)

    tell(story)


def test_the_list_is_bounded(tell: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(room: Room) -> None:
        monkeypatch.setattr("proxy.delivery.takedown_list.MAX_TAKEDOWNS", 2)
        listed = TakedownList(room.store)
        for name in ("a", "b", "a"):
            await listed.add(Takedown(key=Key(name), version=None, since=SINCE))
        with pytest.raises(Malformed, match="at most 2"):
            await listed.add(Takedown(key=Key("c"), version=None, since=SINCE))

    tell(story)


def test_an_entry_that_nobody_can_read_is_in_force_all_the_same(tell: Callable[[Story], None]) -> None:
    async def story(room: Room) -> None:
        listed = TakedownList(room.store)
        bodies = {
            name_of(KEY, None): b"damaged",
            name_of(Key("other"), None): Takedown(key=KEY, version=None, since=SINCE).to_bytes(),
            name_of(Key("shape"), None): b'["a"]',
            name_of(Key("huge"), None): json.dumps(["x" * MAX_ENTRY_BYTES]).encode(),
        }
        for name, body in bodies.items():
            file = room.root / "body"
            file.write_bytes(body)
            await room.store.put(Key(f"{FOLDER}/{name}"), file, media_type="application/json")
        assert await listed.entries() == ([], sorted(bodies))
        process = await room.process()
        for key in ("a/b.jpg", "other", "shape", "huge"):
            with forbidden():
                process.require(Key(key), "h:1")

    tell(story)


def test_what_is_undone_while_the_list_is_shown_is_left_out(
    tell: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(room: Room) -> None:
        async def gone(*_: object, **__: object) -> None:
            raise NotFound

        listed = TakedownList(room.store)
        await listed.add(Takedown(key=KEY, version=None, since=SINCE))
        monkeypatch.setattr(room.store, "fetch", gone)
        assert await listed.entries() == ([], [])

    tell(story)
