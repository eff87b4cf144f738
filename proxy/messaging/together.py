"""What several ask for at the same time, done in one go: a commit waits for the disk, however little it writes."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from proxy.errors import LedgerAway, MedialinkError
from proxy.messaging.database import CALL_TIMEOUT_S, MAX_WAITING

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class _Asked(Generic[T, R]):
    items: Sequence[T]
    answer: "asyncio.Future[list[R]]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Together(Generic[T, R]):
    """`do` takes items and gives an answer for each. Who comes while it works is done with the others afterwards.

    At most `max_items` go together, but for what one brings alone. What fails as nobody foresaw is done again, one by
    one: `do` must have left nothing behind then. Nobody waits longer than `wait_s`, nor behind `max_waiting` others.
    """

    def __init__(
        self,
        do: Callable[[Sequence[T]], Awaitable[list[R]]],
        *,
        max_items: int,
        max_waiting: int = MAX_WAITING,
        wait_s: float = CALL_TIMEOUT_S,
    ) -> None:
        self._do = do
        self._max_items = max_items
        self._max_waiting = max_waiting
        self._wait_s = wait_s
        self._waiting: deque[_Asked[T, R]] = deque()
        self._working: asyncio.Task[None] | None = None

    async def __call__(self, items: Sequence[T]) -> list[R]:
        """Have items done.

        Raises:
            LedgerAway: too many wait, or it takes too long; it may be done yet.
        """
        if len(self._waiting) >= self._max_waiting:
            raise LedgerAway
        asked: _Asked[T, R] = _Asked(items)
        self._waiting.append(asked)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        try:
            async with asyncio.timeout(self._wait_s):
                return await asked.answer
        except TimeoutError as error:
            raise LedgerAway from error

    async def _work(self) -> None:
        while self._waiting:
            taken = [self._waiting.popleft()]
            if taken[0].answer.done():  # nobody waits for it any more, and who sent it sends it again
                continue
            count = len(taken[0].items)
            while self._waiting and count + len(self._waiting[0].items) <= self._max_items:
                taken.append(self._waiting.popleft())
                count += len(taken[-1].items)
            await self._answer(taken)

    async def _answer(self, taken: list[_Asked[T, R]]) -> None:
        """Do it once for all; where that fails as nobody foresaw, one by one, so that one spoils no other."""
        try:
            answers = await self._do([item for asked in taken for item in asked.items])
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            if len(taken) > 1 and not isinstance(error, MedialinkError):
                for asked in taken:
                    await self._answer([asked])
                return
            for asked in taken:
                if not asked.answer.done():
                    asked.answer.set_exception(error)
            return
        at = 0
        for asked in taken:
            if not asked.answer.done():
                asked.answer.set_result(answers[at : at + len(asked.items)])
            at += len(asked.items)
