"""The list of takedowns as an operator works on it: one is added, undone, or all are shown."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from proxy.delivery.takedowns import FOLDER, MAX_NAMES, MAX_TAKEDOWNS, name_of
from proxy.errors import Malformed, NotFound, TooLarge
from proxy.storage.store import Key, Store

MAX_ENTRY_BYTES = 16_384
"""A key, a version and a date, with each of their characters escaped."""
READ_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Takedown:
    """What is taken down (all versions, where `version` is None), and since when (aware UTC)."""

    key: Key
    version: str | None
    since: datetime

    def __str__(self) -> str:
        return self.key if self.version is None else f"{self.key} in version {self.version}"

    @property
    def name(self) -> str:
        return name_of(self.key, self.version)

    def to_bytes(self) -> bytes:
        return json.dumps({"key": self.key, "version": self.version, "since": self.since.isoformat()}).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Takedown | None":
        """Read an entry; None where it is none of ours."""
        try:
            fields = json.loads(raw)
            since = datetime.fromisoformat(fields["since"]).astimezone(UTC)
            return cls(key=Key(fields["key"]), version=fields["version"], since=since)
        except (ValueError, TypeError, KeyError):
            return None


class TakedownList:
    """Works on the list in the store; services hear of it when they read it the next time."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(self, takedown: Takedown) -> None:
        """Take down; what is taken down already keeps its place.

        Raises:
            Malformed: the list is full.
        """
        names = await self._names()
        if takedown.name in names:
            return
        if len(names) >= MAX_TAKEDOWNS:
            problem = f"at most {MAX_TAKEDOWNS} are kept: delete sources from the store, then undo their takedowns"
            raise Malformed(field="takedowns", problem=problem)
        with TemporaryDirectory() as scratch:
            entry = Path(scratch) / "entry"
            entry.write_bytes(takedown.to_bytes())
            await self._store.put(_in_store(takedown.name), entry, media_type="application/json")

    async def undo(self, key: Key, version: str | None) -> None:
        """Take a takedown back.

        Raises:
            Malformed: there is no such takedown.
        """
        name = name_of(key, version)
        if name not in await self._names():
            whole = "this version of it" if version else "as a whole"
            raise Malformed(field="KEY", problem=f"{key} is not taken down {whole}; --list shows what is")
        await self._store.delete(_in_store(name))

    async def entries(self) -> tuple[Sequence[Takedown], Sequence[str]]:
        """Read all, the oldest first, and the names of those in force whose entry nobody can read."""
        turns = asyncio.Semaphore(READ_AT_ONCE)
        read: list[Takedown] = []
        unreadable: list[str] = []

        async def read_one(name: str, file: Path) -> None:
            try:
                async with turns:
                    with file.open("wb+") as into:
                        await self._store.fetch(_in_store(name), None, into, max_bytes=MAX_ENTRY_BYTES)
                        into.seek(0)
                        entry = Takedown.from_bytes(into.read())
            except NotFound:  # it was undone meanwhile
                return
            except TooLarge:
                entry = None
            if entry is not None and entry.name == name:
                read.append(entry)
            else:
                unreadable.append(name)

        with TemporaryDirectory() as scratch:
            async with asyncio.TaskGroup() as group:
                for number, name in enumerate(await self._names()):
                    group.create_task(read_one(name, Path(scratch) / str(number)))
        return sorted(read, key=lambda entry: (entry.since, entry.key)), sorted(unreadable)

    async def _names(self) -> frozenset[str]:
        return await self._store.names(FOLDER, max_names=MAX_NAMES)


def _in_store(name: str) -> Key:
    return Key(f"{FOLDER}/{name}")
