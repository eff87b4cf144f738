"""Webhooks passed on to their owner's own system: each until it is taken, those about one message in order."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from proxy import telemetry
from proxy.errors import DiskFull, LedgerAway
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
LAST_POSTS_S: Final = 3.0
"""So long may posts go on when the process is to end; what is cut off is posted again by the next one."""
LAST_S: Final = 6.0
"""That, and the write of what came of them: with the 10 s of requests, less than the 30 s after which it is killed."""

CUT_OFF: Final = "the process ended before an answer came"
_SEALED: Final = Answer(result="sealed", problem="no key of LEDGER_KEY opens it")

Posting = dict[asyncio.Task[Tried], Claimed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """`spread` gives a number from 0 to 1, by which the waits of machines differ.

    `wake` is cleared before the outbox is looked at, never after: what is put while one looks wakes again.
    """

    outbox: Outbox
    owner: Owner
    spread: Callable[[], float]
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def round(self) -> None:
        """Pass on all that is due, so many at once; whoever comes meanwhile is passed on beside them.

        While the ledger is away, posts go on, and what came of them is kept. Cancelled, it ends within LAST_S.
        """
        ending = asyncio.Event()
        passing = asyncio.create_task(self._pass_on(ending))
        try:
            # a claim that is cut off would be nobody's until its lease ends
            await asyncio.shield(passing)
        except asyncio.CancelledError:
            ending.set()
            self.wake.set()
            await asyncio.wait({passing}, timeout=LAST_S)
            raise
        finally:
            passing.cancel()
            await asyncio.gather(passing, return_exceptions=True)

    async def _pass_on(self, ending: asyncio.Event) -> None:
        posting: Posting = {}
        tried: list[Tried] = []
        try:
            while True:
                await asyncio.sleep(GATHER_S)
                if ending.is_set():
                    return await self._hand_back(posting, tried)
                self.wake.clear()
                claimed = await self._turn(tried, MAX_AT_ONCE - len(posting), posting)
                if claimed is None:
                    await _passed(ending, EVERY_S)
                    continue
                posting |= {asyncio.create_task(self._post(one)): one for one in claimed}
                if not posting:
                    return None
                await self._some(posting)
                tried = [task.result() for task in posting if task.done()]
                posting = {task: one for task, one in posting.items() if not task.done()}
        finally:
            await _cut(posting)

    async def _turn(self, tried: Sequence[Tried], take: int, posting: Posting) -> list[Claimed] | None:
        """Take a turn at the outbox; None says that the ledger is away, and the same turn is to be tried again."""
        in_hand = {one.id for one in posting.values()}
        try:
            return await self.outbox.record_and_claim(tried, take, in_hand=in_hand)
        except (LedgerAway, DiskFull) as error:
            telemetry.log.warning("chore.failed", chore="relay", code=error.code)
            return None

    async def _some(self, posting: Posting) -> None:
        """Wait until one is through, or something new may be due."""
        woken = asyncio.create_task(self.wake.wait())
        try:
            await asyncio.wait({*posting, woken}, timeout=EVERY_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()

    async def _hand_back(self, posting: Posting, tried: Sequence[Tried]) -> None:
        """Give posts a last moment, and write down what is known; the rest is due at once, for who comes next."""
        if posting:
            await asyncio.wait(posting, timeout=LAST_POSTS_S)
            await _cut(posting)
        last = [
            Tried(claimed=one, problem=CUT_OFF) if task.cancelled() else task.result() for task, one in posting.items()
        ]
        if tried or last:
            await self._turn([*tried, *last], 0, {})

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


async def _cut(posting: Posting) -> None:
    for task in posting:
        task.cancel()
    await asyncio.gather(*posting, return_exceptions=True)


async def _passed(event: asyncio.Event, within_s: float) -> None:
    """Wait so long, or until it is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()


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
