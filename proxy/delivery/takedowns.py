"""Takedowns: keys and versions that must not be delivered any more, whatever link, alias or message names them.

Each is a small object of ours in the store, named by a hash of what is taken down: the names are all that a service
needs. Every process reads them again and again, and asks its own memory before it delivers anything.
"""

import asyncio
import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp

from proxy import telemetry
from proxy.errors import MedialinkError, StoreAway, TakenDown
from proxy.storage.store import Key, Store, reserved_key

FOLDER = reserved_key("takedowns")
REREAD_EVERY_S = 20.0
READ_LIMIT_S = 5.0
HEARD_WITHIN_S = REREAD_EVERY_S + 2 * READ_LIMIT_S
"""A takedown may come just behind a list that is being read, and the next may take as long as one may take."""
RETRY_AFTER_S = 2.0
MAX_TAKEDOWNS = 10_000
"""Ten pages of S3's list, so that a list is read in time where a page takes half a second; a MB of memory."""
MAX_NAMES = MAX_TAKEDOWNS + 1000
"""Whoever takes down asks for the bound first; several at once may pass it by a few."""

NEVER_READ = "The list of takedowns could not be read yet: nothing is delivered, as anything might be on it."
FROM_COPY = "The list of takedowns could not be read since the start: the last one known on this disk is in force."


def name_of(key: Key, version: str | None) -> str:
    """Name the takedown of a version, or (None) of a key with all its versions: 32 hex characters.

    A key holds no control character, so that no other key and version come to the same text.
    """
    named = key if version is None else f"{key}\n{version}"
    return hashlib.sha256(named.encode()).hexdigest()[:32]


class Takedowns:
    """What one process knows of the list.

    Until it has been read once nothing may be delivered: what was taken down must not come back because the store
    stumbles while a process starts. A copy on the disk stands in for it, so that a machine which starts while the
    store is away still serves what it has cached. While the store is away later, the last list stays in force.
    """

    def __init__(self, store: Store, copy: Path, clock: Callable[[], float]) -> None:
        """Know nothing yet; `copy` is the file that keeps the list on this disk."""
        self._store = store
        self._copy = copy
        self._clock = clock
        self._names: frozenset[str] | None = None
        self._read_at: float | None = None
        self._fails = False
        self._listeners: list[Callable[[], None]] = []
        self._reading: asyncio.Task[None] | None = None

    def listen(self, changed: Callable[[], None]) -> None:
        """Have something called whenever the list has changed."""
        self._listeners.append(changed)

    def forbids(self, key: Key, version: str) -> bool:
        """Whether a version of a key is taken down.

        Raises:
            StoreAway: nobody can tell, as the list was never read.
        """
        if self._names is None:
            raise StoreAway
        return bool(self._names) and not self._names.isdisjoint((name_of(key, None), name_of(key, version)))

    def require(self, key: Key, version: str) -> None:
        """Let through what may be delivered.

        Raises:
            TakenDown: it may not.
            StoreAway: nobody can tell, as the list was never read.
        """
        if self.forbids(key, version):
            raise TakenDown

    @property
    def known(self) -> bool:
        """Whether there is a list to go by; without one nothing is delivered."""
        return self._names is not None

    @property
    def state(self) -> str:
        """Say how the list stands: `ok`, or a sentence."""
        if self._names is None:
            return NEVER_READ
        if self._read_at is None:
            return FROM_COPY
        age_s = self._clock() - self._read_at
        if age_s <= HEARD_WITHIN_S:
            return "ok"
        return f"The list of takedowns was last read {age_s:.0f} s ago: what was taken down since is still delivered."

    async def open(self) -> None:
        """Read the list, or else its copy, and go on reading it."""
        await self._read()
        if self._names is None:
            self._names = await asyncio.to_thread(_copied, self._copy)
        self._reading = asyncio.create_task(self._go_on())

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(RETRY_AFTER_S if self._fails else REREAD_EVERY_S)
            await self._read()

    async def _read(self) -> None:
        began_at = self._clock()
        try:
            async with asyncio.timeout(READ_LIMIT_S):
                names = await self._store.names(FOLDER, max_names=MAX_NAMES)
        except (MedialinkError, TimeoutError) as error:
            if not self._fails:
                telemetry.log.warning("takedowns.not_read", error=repr(error), cause=repr(error.__cause__))
            self._fails = True
            return
        self._fails, self._read_at = False, began_at
        if names != self._names:
            self._names = names
            for changed in self._listeners:
                changed()
            telemetry.log.info("takedowns.changed", count=len(names))
            await asyncio.to_thread(_keep, self._copy, names)


def _keep(copy: Path, names: frozenset[str]) -> None:
    """Write the copy, whole or not at all; a disk that takes none costs a start while the store is away."""
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = mkstemp(dir=copy.parent, prefix=f"{copy.name}.")
        try:
            with os.fdopen(descriptor, "w") as file:
                json.dump(sorted(names), file)
                file.flush()
                os.fsync(descriptor)
            Path(draft).replace(copy)
        finally:
            Path(draft).unlink(missing_ok=True)
    except OSError as error:
        telemetry.log.warning("takedowns.not_kept", cause=repr(error))


def _copied(copy: Path) -> frozenset[str] | None:
    """Read the copy; None where there is none, or a damaged one."""
    with suppress(OSError, ValueError):
        names = json.loads(copy.read_text())
        if isinstance(names, list):
            return frozenset(map(str, names))
    return None
