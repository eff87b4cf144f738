"""Webhooks passed on to their owner's own system: each until it is taken, those about one message in order."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from proxy import telemetry
from proxy.messaging.outbox import Claimed, Outbox, Tried
from proxy.messaging.owner import Answer, Owner
from proxy.messaging.parcels import wait_s
from proxy.telemetry import metrics

MAX_AT_ONCE: Final = 16
GATHER_S: Final = 0.05
"""So long may bodies and answers gather for one commit: each turn takes time from those who wait for their 200."""
EVERY_S: Final = 1.0
"""How late what is due may be found; what this process has taken wakes it at once."""
LOOK_EVERY_S: Final = 15.0

_SEALED: Final = Answer(result="sealed", problem="no key of LEDGER_KEY opens it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """`spread` gives a number from 0 to 1, by which the waits of machines differ."""

    outbox: Outbox
    owner: Owner
    spread: Callable[[], float]
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def round(self) -> None:
        """Pass on all that is due, so many at once; whoever comes meanwhile is passed on beside them.

        Raises:
            LedgerAway: it is left for another round.
        """
        posting: set[asyncio.Task[Tried]] = set()
        tried: list[Tried] = []
        try:
            while True:
                await asyncio.sleep(GATHER_S)
                self.wake.clear()
                claimed = await self.outbox.turn(tried, MAX_AT_ONCE - len(posting))
                posting |= {asyncio.create_task(self._post(one)) for one in claimed}
                if not posting:
                    return
                done, posting = await self._some(posting)
                tried = [task.result() for task in done]
        finally:
            for task in posting:
                task.cancel()
            await asyncio.gather(*posting, return_exceptions=True)

    async def _some(
        self, posting: set[asyncio.Task[Tried]]
    ) -> tuple[set[asyncio.Task[Tried]], set[asyncio.Task[Tried]]]:
        """Wait until one is through, or something new may be due."""
        woken = asyncio.create_task(self.wake.wait())
        try:
            await asyncio.wait({*posting, woken}, timeout=EVERY_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
        done = {task for task in posting if task.done()}
        return done, posting - done

    async def _post(self, claimed: Claimed) -> Tried:
        answer = _SEALED if claimed.parcel is None else await self.owner.post(claimed.parcel)
        metrics.FORWARDED.labels(answer.result).inc()
        if answer.problem is None:
            return Tried(claimed=claimed)
        wait = wait_s(claimed.attempts, self.spread())
        telemetry.log.warning(
            "webhook.not_taken",
            body=claimed.id,
            attempts=claimed.attempts,
            problem=answer.problem,
            again_in_s=round(wait, 1),
        )
        return Tried(claimed=claimed, problem=answer.problem, wait_s=wait)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Counts what waits, and drops what nobody took in time, also where nothing is passed on any more."""

    outbox: Outbox

    async def round(self) -> None:
        """Look once.

        Raises:
            LedgerAway: it is left for another round.
        """
        while dropped := await self.outbox.drop_expired():
            metrics.FORWARDED.labels("expired").inc(dropped)
            telemetry.log.error("webhook.expired", bodies=dropped)
        backlog = await self.outbox.look()
        metrics.OUTBOX.set(backlog.bodies)
        metrics.OUTBOX_OLDEST_SECONDS.set(backlog.oldest_s)
