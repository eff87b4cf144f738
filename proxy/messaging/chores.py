"""What goes on beside the requests, again and again, while the service runs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from proxy import telemetry
from proxy.errors import MedialinkError

LAST_ROUND_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    """`do` is done every `every_s` seconds, or as soon as `wake` is set; once more at the end where it is `at_last`."""

    name: str
    do: Callable[[], Awaitable[None]]
    every_s: float
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    at_last: bool = False


@asynccontextmanager
async def at_work(chores: Sequence[Chore]) -> AsyncIterator[None]:
    """Do them until it closes: then each is cancelled, may end what it has begun, and is waited for."""
    tasks = [asyncio.create_task(_again_and_again(chore)) for chore in chores]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for chore in chores:
            if chore.at_last:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LAST_ROUND_S):
                        await _round(chore)


async def _again_and_again(chore: Chore) -> None:
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(chore.every_s):
                await chore.wake.wait()
        chore.wake.clear()
        await _round(chore)


async def _round(chore: Chore) -> None:
    """Do it once. A round that fails is told, and the next one is another try."""
    try:
        await chore.do()
    except MedialinkError as error:
        telemetry.log.warning("chore.failed", chore=chore.name, code=error.code)
    except Exception:  # noqa: BLE001 - else the chore would be done no more, and nobody would know
        telemetry.log.exception("chore.broken", chore=chore.name)
