"""A bounded set of threads with a bounded queue before it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

from proxy.errors import Busy
from proxy.storage.calls import Call

MAX_WAITING = 1000
"""A campaign of that many links is looked at in five seconds by 8 threads at 40 ms a look; more would wait in vain."""

T = TypeVar("T")


class Threads:
    """Counts what its threads have on their hands, whoever still waits for it."""

    def __init__(self, count: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._count = count
        self._on_hand = 0
        self._lock = Lock()

    @property
    def has_idle(self) -> bool:
        return self._on_hand < self._count

    async def run(self, work: Callable[[], T], call: Call | None = None) -> T:
        """Do it in a thread; when the wait for it is cancelled, it is hung up on.

        Raises:
            Busy: too many wait already.
        """
        if self._on_hand >= self._count + MAX_WAITING:
            raise Busy
        call = call or Call()
        self._take(1)
        under_way = self._pool.submit(call.carry_out, work)
        under_way.add_done_callback(lambda _: self._take(-1))
        try:
            return await asyncio.wrap_future(under_way)
        except asyncio.CancelledError:
            call.end()
            raise

    async def close(self) -> None:
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    def _take(self, number: int) -> None:
        with self._lock:
            self._on_hand += number
