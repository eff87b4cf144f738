"""Chores go on while the service runs, whatever becomes of one round."""

import asyncio

import pytest

from proxy.errors import LedgerAway
from proxy.messaging.chores import Chore, at_work

NEVER = 10**6
NEVER_S = 3600.0


class Rounds:
    """Counts rounds, fails in those that it is told to, and tells when so many were done."""

    def __init__(self, fails: dict[int, Exception], until: int) -> None:
        self.done = 0
        self.enough = asyncio.Event()
        self._fails = fails
        self._until = until

    async def __call__(self) -> None:
        self.done += 1
        if self.done >= self._until:
            self.enough.set()
        if self.done in self._fails:
            raise self._fails[self.done]


def test_a_round_that_fails_is_told_and_the_next_one_comes(capsys: pytest.CaptureFixture[str]) -> None:
    async def run() -> None:
        rounds = Rounds({1: LedgerAway(), 2: ValueError("unforeseen")}, until=4)
        async with at_work([Chore(name="sweep", do=rounds, every_s=0.001)]):
            await rounds.enough.wait()

    asyncio.run(run())
    told = capsys.readouterr().out
    assert "chore.failed" in told
    assert "ledger_away" in told
    assert "chore.broken" in told
    assert "unforeseen" in told


def test_who_wakes_it_need_not_wait() -> None:
    async def run() -> int:
        rounds = Rounds({}, until=1)
        chore = Chore(name="forward", do=rounds, every_s=NEVER_S)
        async with at_work([chore]):
            chore.wake.set()
            await rounds.enough.wait()
        return rounds.done

    assert asyncio.run(run()) == 1


@pytest.mark.parametrize(("at_last", "done"), [(True, 1), (False, 0)])
def test_what_must_not_be_left_is_done_at_the_end(at_last: bool, done: int) -> None:  # noqa: FBT001 - a case
    async def run() -> int:
        rounds = Rounds({}, until=NEVER)
        async with at_work([Chore(name="flush", do=rounds, every_s=NEVER_S, at_last=at_last)]):
            pass
        return rounds.done

    assert asyncio.run(run()) == done
