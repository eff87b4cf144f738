"""A foreign link becomes an object of the store, and stays the same object for as long as the file stays the same."""

import asyncio
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, assert_never

from proxy import telemetry
from proxy.errors import Busy, ImportAway, ImportRefused, NotFound
from proxy.messaging.import_answers import Moved, Unchanged, Validators
from proxy.messaging.import_hosts import ImportHosts, WebAddress
from proxy.messaging.import_origin import MAX_CONNECTIONS, Brought, ImportOrigin
from proxy.storage.store import Key, Store, parse_key

FOLDER: Final = "imported"
DIGEST_CHARS: Final = 32
"""Of SHA-256: 128 bits, so that no two files meet in one key by chance."""
MEDIA_TYPE: Final = "application/octet-stream"
"""What the host says counts for nothing: types are told from the bytes."""
FRESH_S: Final = 2.0
"""As long as an alias is believed: a burst of sends of one link asks its host once."""
MAX_KNOWN: Final = 4096
"""Links with their validators, 10 KB each at the very most; the one that was sent longest ago is forgotten first."""
MAX_WAITING: Final = 64
MAX_REDIRECTS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a link delivered when it was asked for: `validators` are those of `final`, where its redirects ended."""

    key: Key
    final: WebAddress
    validators: Validators
    asked_at: float = -math.inf


class Importing:
    """Each link is asked for by one at a time. Who stops waiting stops no import: the next who asks finds it done."""

    def __init__(  # noqa: PLR0913 - what it depends on, all by name
        self,
        *,
        hosts: ImportHosts,
        origin: ImportOrigin,
        store: Store,
        draft: Callable[[], AbstractContextManager[Path]],
        total_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._hosts = hosts
        self._origin = origin
        self._store = store
        self._draft = draft
        self._total_s = total_s
        self._clock = clock
        self._known: dict[WebAddress, Known] = {}
        self._flights: dict[WebAddress, asyncio.Task[Key]] = {}
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)

    async def __call__(self, link: str) -> Key:
        """Give the key of what a link delivers now.

        Raises:
            ImportRefused: it may not be imported, or cannot be.
            ImportAway: its host does not deliver it now; what it delivered before may be outdated, and is not sent.
            TooLarge: it is more than is taken in.
            Busy, DiskFull, StoreAway: ask again later.
        """
        address = self._hosts.read(link)
        known = self._known.get(address)
        if known is not None and self._clock() - known.asked_at < FRESH_S:
            return known.key
        flight = self._flights.get(address)
        if flight is None:
            if len(self._flights) >= MAX_WAITING:
                raise Busy
            flight = self._flights[address] = asyncio.create_task(self._import(address, known))
            flight.add_done_callback(lambda done: self._landed(address, done))
        return await asyncio.shield(flight)

    async def close(self) -> None:
        flights = tuple(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        await self._origin.close()

    async def _import(self, address: WebAddress, known: Known | None) -> Key:
        if known is not None and not await self._is_stored(known.key):
            known = None
        async with self._places:
            asked_at = self._clock()
            with self._draft() as draft:
                found = await self._in_time(address, known, draft)
                if not isinstance(found, Known):
                    found = await self._keep(address, *found, draft)
        self._remember(address, replace(found, asked_at=asked_at))
        return found.key

    async def _keep(self, address: WebAddress, final: WebAddress, brought: Brought, draft: Path) -> Known:
        """Put it where this content lies, unless it lies there; so its version stays, and its link with it."""
        key = parse_key(f"{FOLDER}/{brought.sha256[:DIGEST_CHARS]}/{address.name}")
        is_new = await self._store.put_new(key, draft, media_type=MEDIA_TYPE)
        telemetry.log.info("import.brought", host=final.host, bytes=brought.size_bytes, is_new=is_new)
        return Known(key=key, final=final, validators=brought.validators)

    async def _is_stored(self, key: Key) -> bool:
        """See whether an earlier import is still there: its owner may have taken it away."""
        try:
            await self._store.find(key)
        except NotFound:
            return False
        return True

    async def _in_time(
        self, address: WebAddress, known: Known | None, draft: Path
    ) -> Known | tuple[WebAddress, Brought]:
        try:
            async with asyncio.timeout(self._total_s):
                return await self._bring(address, known, draft)
        except TimeoutError:
            raise ImportAway(details=f"it took more than {self._total_s:g} s") from None

    async def _bring(self, address: WebAddress, known: Known | None, draft: Path) -> Known | tuple[WebAddress, Brought]:
        """Follow redirects; only where they ended before is it asked whether the file is still the same."""
        for _ in range(MAX_REDIRECTS + 1):
            asked = known if known is not None and known.final == address else None
            answer = await self._origin.get(address, asked.validators if asked else None, draft)
            match answer:
                case Brought():
                    return address, answer
                case Moved(location):
                    address = self._hosts.follow(address, location)
                case Unchanged() if asked is not None and asked.validators.conditions():
                    return asked
                case Unchanged():
                    raise ImportRefused(problem="is answered with HTTP 304, and nobody asked whether it has changed")
                case _:
                    assert_never(answer)
        raise ImportRefused(problem=f"is redirected more than {MAX_REDIRECTS} times")

    def _remember(self, address: WebAddress, known: Known) -> None:
        self._known.pop(address, None)
        if len(self._known) >= MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[address] = known

    def _landed(self, address: WebAddress, flight: asyncio.Task[Key]) -> None:
        del self._flights[address]
        if not flight.cancelled():
            flight.exception()  # those who waited have heard of it
