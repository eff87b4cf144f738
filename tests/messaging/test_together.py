"""What several ask for at once is done in one go, and each has its own answer."""

import asyncio
from collections.abc import Sequence

import pytest

from proxy.errors import LedgerAway
from proxy.messaging.together import Together


class Work:
    """Doubles numbers, one go after the other; the first waits until it may."""

    def __init__(self) -> None:
        self.goes: list[list[int]] = []
        self.begun = asyncio.Event()
        self.may = asyncio.Event()

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.goes.append(list(items))
        self.begun.set()
        await self.may.wait()
        if 13 in items:
            raise ValueError("thirteen")
        if 14 in items:
            raise LedgerAway
        return [2 * item for item in items]


async def ask(*asked: list[int], max_items: int = 100) -> tuple[list[list[int]], list[list[int] | BaseException]]:
    work = Work()
    together = Together(work, max_items=max_items)
    first = asyncio.create_task(together([0]))
    await work.begun.wait()
    others = [asyncio.create_task(together(items)) for items in asked]
    await asyncio.sleep(0)
    work.may.set()
    answers = await asyncio.gather(first, *others, return_exceptions=True)
    return work.goes, answers[1:]


def test_who_comes_while_it_works_goes_with_the_others() -> None:
    goes, answers = asyncio.run(ask([1, 2], [3], [4]))
    assert goes == [[0], [1, 2, 3, 4]]
    assert answers == [[2, 4], [6], [8]]


def test_so_many_go_together_and_no_more_but_what_one_brings_alone() -> None:
    goes, answers = asyncio.run(ask([1], [2], [3, 4, 5], [6], max_items=2))
    assert goes == [[0], [1, 2], [3, 4, 5], [6]]
    assert answers == [[2], [4], [6, 8, 10], [12]]


def test_what_nobody_foresaw_spoils_no_other() -> None:
    goes, answers = asyncio.run(ask([1], [13], [3]))
    assert goes == [[0], [1, 13, 3], [1], [13], [3]]
    assert answers[0] == [2]
    assert answers[2] == [6]
    assert isinstance(answers[1], ValueError)


def test_a_ledger_that_is_away_is_not_asked_again_for_each() -> None:
    goes, answers = asyncio.run(ask([1], [14], [3]))
    assert goes == [[0], [1, 14, 3]]
    assert [type(answer) for answer in answers] == [LedgerAway] * 3


def test_who_stops_waiting_stops_nobody() -> None:
    async def run() -> list[int]:
        work = Work()
        together = Together(work, max_items=10)
        first = asyncio.create_task(together([0]))
        await work.begun.wait()
        gone, stays = asyncio.create_task(together([1])), asyncio.create_task(together([2]))
        await asyncio.sleep(0)
        gone.cancel()
        work.may.set()
        with pytest.raises(asyncio.CancelledError):
            await gone
        await first
        return await stays

    assert asyncio.run(run()) == [4]


def test_nobody_waits_behind_too_many_or_for_too_long() -> None:
    async def run() -> list[type[BaseException] | None]:
        work = Work()
        together = Together(work, max_items=1, max_waiting=2, wait_s=0.05)
        first = asyncio.create_task(together([0]))
        await work.begun.wait()
        others = [asyncio.create_task(together([number])) for number in (1, 2, 3)]
        answers = await asyncio.gather(first, *others, return_exceptions=True)
        work.may.set()
        for _ in range(5):
            await asyncio.sleep(0)
        assert await together([4]) == [8]
        assert work.goes == [[0], [4]], "nobody waits for the others any more"
        return [type(answer) if isinstance(answer, BaseException) else None for answer in answers]

    assert asyncio.run(run()) == [LedgerAway] * 4
