"""The operator of the tests: takes keys of a running house down, and waits until it has heard."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from proxy.app import build_store
from proxy.delivery.takedown_list import Takedown, TakedownList
from proxy.storage.store import Key

if TYPE_CHECKING:
    from tests.conftest import House

SINCE = datetime(2026, 11, 22, 12, tzinfo=UTC)


def take_down(house: "House", key: str, version: str | None = None) -> None:
    _work(house, lambda listed: listed.add(Takedown(key=Key(key), version=version, since=SINCE)))


def undo(house: "House", key: str, version: str | None = None) -> None:
    _work(house, lambda listed: listed.undo(Key(key), version))


def _work(house: "House", work: Callable[[TakedownList], Awaitable[None]]) -> None:
    async def whole() -> None:
        store = build_store(house.settings)
        try:
            await work(TakedownList(store))
        finally:
            await store.close()

    asyncio.run(whole())
