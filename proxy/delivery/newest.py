"""What a key names now, for aliases: the store is asked at most every two seconds, and once however many ask."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from proxy import telemetry
from proxy.delivery.rules import MAX_STALE_S, PrefixRules
from proxy.errors import MedialinkError, NotFound
from proxy.storage.store import Key, Source, Store

FRESH_S = 2.0
MAX_SEEN = 10_000
STALE_AFTER_S = 0.5
"""Who has a stale answer does not wait longer for a store that hangs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a key named at a moment of the clock (None: nothing), and when the store was last asked, even in vain."""

    source: Source | None
    at: float
    asked_at: float


class Newest:
    """Remembers the last look at each key.

    An older look serves while the store is away (stale-if-error, RFC 5861), and, under prefixes whose rule allows it,
    for so many seconds while a new one is under way (stale-while-revalidate).
    """

    def __init__(
        self,
        store: Store,
        rules: PrefixRules,
        clock: Callable[[], float],
        admit: Callable[[], None] = lambda: None,
    ) -> None:
        """Be ready; `admit` is called before the store is asked for a key that was not seen before, and may refuse."""
        self._admit = admit
        self._store = store
        self._rules = rules
        self._clock = clock
        self._seen: dict[Key, Seen] = {}
        self._looks: dict[Key, asyncio.Task[None]] = {}

    async def find(self, key: Key) -> Source:
        """Say what a key names.

        Raises:
            NotFound: nothing.
            StoreAway: nobody can tell.
        """
        now, seen = self._clock(), self._seen.get(key)
        if seen is None or now - seen.at >= MAX_STALE_S:
            self._admit()
            await asyncio.shield(self._look(key))
        elif now - seen.asked_at >= FRESH_S:
            look = self._look(key)
            if now - seen.at >= FRESH_S + self._rules.of(key).stale_while_revalidate_s:
                _, late = await asyncio.wait([look], timeout=STALE_AFTER_S)
                if late:
                    self._remember(key, replace(seen, asked_at=now))
        found = self._seen.get(key, seen)
        if found is None or found.source is None:
            raise NotFound
        return found.source

    def forget(self, key: Key) -> None:
        """Let the next who asks for a key ask the store."""
        self._seen.pop(key, None)

    async def close(self) -> None:
        looks = tuple(self._looks.values())
        for look in looks:
            look.cancel()
        await asyncio.gather(*looks, return_exceptions=True)

    def _look(self, key: Key) -> asyncio.Task[None]:
        look = self._looks.get(key)
        if look is None:
            look = self._looks[key] = asyncio.create_task(self._ask(key))
            look.add_done_callback(lambda done: self._looked(key, done))
        return look

    async def _ask(self, key: Key) -> None:
        now = self._clock()
        try:
            self._remember(key, Seen(source=await self._store.find(key), at=now, asked_at=now))
        except NotFound:
            self._remember(key, Seen(source=None, at=now, asked_at=now))
        except MedialinkError as error:
            seen = self._seen.get(key)
            if seen is None or now - seen.at >= MAX_STALE_S:
                raise
            telemetry.log.warning("alias.stale", key=key, error=error.code)
            self._remember(key, replace(seen, asked_at=self._clock()))

    def _remember(self, key: Key, seen: Seen) -> None:
        self._seen.pop(key, None)
        if len(self._seen) >= MAX_SEEN:
            del self._seen[next(iter(self._seen))]
        self._seen[key] = seen

    def _looked(self, key: Key, look: asyncio.Task[None]) -> None:
        del self._looks[key]
        if not look.cancelled():
            look.exception()  # those who waited have heard of it
