"""A late answer is asked for once more: the first of the two is taken, and the other is hung up on.

Dean and Barroso, The Tail at Scale (CACM 2013): a request sent again after the usual time takes the tail away for a
few per cent more load. S3's usual time to a first byte is 100 to 200 ms (S3 User Guide, Best practices design
patterns); a new TLS connection over an ocean takes some round trips more.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import TypeVar

from proxy.errors import StoreAway
from proxy.storage.calls import Call
from proxy.storage.threads import Threads

HEDGE_AFTER_S = 1.0
HEDGE_SHARE = 0.1
"""Each request earns a tenth of a second one: a store that is slow for all is asked a tenth more, not twice."""
HEDGE_BURST = 4

T = TypeVar("T")
Wins = Callable[[], bool]
"""Asked once, when the head of an answer is there; False means that the other request was first."""


class Hedges:
    """Runs requests in threads; only the event loop's thread calls it."""

    def __init__(self, threads: Threads, after_s: float = HEDGE_AFTER_S) -> None:
        self._threads = threads
        self._after_s = after_s
        self._earned = float(HEDGE_BURST)

    async def ask(self, request: Callable[[Wins], T]) -> T:
        """Run a request, and a second one when the first is late; a failure counts when no other is under way."""
        self._earned = min(self._earned + HEDGE_SHARE, HEDGE_BURST)
        race = _Race()
        runners = {self._start(request, race)}
        try:
            done, _ = await asyncio.wait(runners, timeout=self._after_s)
            if not done and race.is_open and self._take():
                runners.add(self._start(request, race))
            return await _first_of(runners)
        finally:
            for runner in runners:
                runner.cancel()
            await asyncio.gather(*runners, return_exceptions=True)

    def _start(self, request: Callable[[Wins], T], race: "_Race") -> asyncio.Task[T]:
        call = race.join()
        return asyncio.create_task(self._threads.run(partial(request, partial(race.is_won_by, call)), call))

    def _take(self) -> bool:
        if self._earned < 1 or not self._threads.has_idle:
            return False
        self._earned -= 1
        return True


class _Race:
    """Decided in the thread that has an answer, so that the loser's is free at once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._calls: list[Call] = []
        self._winner: Call | None = None

    @property
    def is_open(self) -> bool:
        return self._winner is None

    def join(self) -> Call:
        call = Call()
        with self._lock:
            self._calls.append(call)
            if self._winner is not None:
                call.end()
        return call

    def is_won_by(self, call: Call) -> bool:
        with self._lock:
            if self._winner is None:
                self._winner = call
                for other in self._calls:
                    if other is not call:
                        other.end()
            return self._winner is call


async def _first_of(runners: set[asyncio.Task[T]]) -> T:
    pending = runners
    while True:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        deciding = [runner for runner in done if not isinstance(runner.exception(), StoreAway)]
        if deciding or not pending:
            return (deciding or list(done))[0].result()
