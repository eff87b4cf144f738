"""The bounded pool of processes in which untrusted bytes are decoded."""

import asyncio
import multiprocessing
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from proxy.errors import Busy, DecodeLimit, Undecodable
from proxy.locks import hold_one

P = ParamSpec("P")
T = TypeVar("T")

TASKS_PER_WORKER: Final = 500
"""A worker is replaced after so many, so that what leaks stays small."""
NICENESS: Final = 5
STUCK_AFTER_S: Final = 5.0
"""A pool that is so late past the time limit has lost its locks with a killed worker, and is replaced whole."""
IDLE_S: Final = 60.0
"""Then the processes end: most workers of a host serve hits, and each idle decoder keeps what it took (25 MB measured
after 12 megapixels). They start with the first task, and again with the next."""
SLOT_WAIT_S: Final = 120.0
"""How long a task waits for one of the host's slots while other processes hold them."""
MB: Final = 1_000_000

_PRELOADED: Final = [
    "proxy.media.checker",
    "pebble.pool.process",
    "PIL.MpoImagePlugin",
]
_CRASHES: Final = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS}
)


class Workers:
    """`slots` tasks at work on this host and `queue` callers of this process waiting; more are Busy at once.

    `slots_dir` holds the locks by which all processes of the host share the slots.

    `memory_bytes` is what a task may take beyond what an idle worker maps. A caller that is cancelled while it waits
    leaves the queue; one that is cancelled later leaves its task to end within the time limit, and its slot is free
    only then.
    """

    def __init__(  # noqa: PLR0913 - the bounds of the pool, each of them needed
        self,
        *,
        slots: int,
        queue: int,
        time_limit_s: float,
        memory_bytes: int,
        slots_dir: Path,
        idle_s: float = IDLE_S,
    ) -> None:
        slots_dir.mkdir(parents=True, exist_ok=True)
        self._slots = slots
        self._slot_files = [slots_dir / str(number) for number in range(slots)]
        self._queue = queue
        self._time_limit_s = time_limit_s
        self._memory_bytes = memory_bytes
        self._idle_s = idle_s
        self._rest: asyncio.TimerHandle | None = None
        self._free = asyncio.Semaphore(slots)
        self._waiting = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._futures: set[ProcessFuture[Any]] = set()
        self._pool: ProcessPool | None = None
        self._pool_lock = threading.Lock()
        self._closed = False

    @property
    def memory_is_limited(self) -> bool:
        """RLIMIT_AS is accepted and not enforced on macOS (getrlimit(2) there)."""
        return sys.platform.startswith("linux")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that can be imported by name.

        Raises:
            Busy: too many are waiting, or the pool was closed.
            DecodeLimit: it took too much time or memory.
            Undecodable: its process crashed.
            MedialinkError: whatever the function itself raised; anything else that it raises is a defect of ours.
        """
        if self._free.locked() and self._waiting >= self._queue:
            raise Busy
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        task = asyncio.create_task(self._in_slot(function, *args, **kwargs))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def close(self) -> None:
        """End the processes; whoever still waits is told Busy."""
        self._closed = True
        if self._rest is not None:
            self._rest.cancel()
        for future in tuple(self._futures):
            future.cancel()  # type: ignore[no-untyped-call]  # pebble leaves it unannotated
        with self._pool_lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            _end(pool)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a caller that was cancelled no longer asks for it
        if self._rest is not None:
            self._rest.cancel()
        self._rest = asyncio.get_running_loop().call_later(self._idle_s, self._end_idle)

    def _end_idle(self) -> None:
        if not self._tasks and self._pool is not None:
            pool, self._pool = self._pool, None
            asyncio.get_running_loop().run_in_executor(None, _end, pool)

    async def _in_slot(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            async with hold_one(self._slot_files, SLOT_WAIT_S):
                with suppress(BrokenProcessPool):
                    return await self._attempt(function, *args, **kwargs)
                return await self._attempt(function, *args, **kwargs)
        except BrokenProcessPool:
            raise Busy from None
        finally:
            self._free.release()

    async def _attempt(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        pool = self._pool
        if pool is None or not pool.active:
            pool = await asyncio.to_thread(self._renew, pool)
        try:
            future = pool.schedule(function, args, kwargs, timeout=self._time_limit_s)
        except RuntimeError as error:  # it broke just now
            raise BrokenProcessPool from error
        self._futures.add(future)
        try:
            async with asyncio.timeout(self._time_limit_s + STUCK_AFTER_S) as patience:
                return await asyncio.wrap_future(future)
        except TimeoutError:
            if patience.expired():
                await asyncio.to_thread(self._renew, pool)
                raise Busy from None
            raise DecodeLimit(limit=f"{self._time_limit_s:g} seconds") from None
        except MemoryError:
            raise DecodeLimit(limit=self._memory_limit) from None
        except ProcessExpired as expired:
            raise self._translate(expired.exitcode) from None
        except asyncio.CancelledError:
            if self._closed:
                raise Busy from None
            raise
        finally:
            self._futures.discard(future)

    def _translate(self, exit_code: int) -> DecodeLimit | Undecodable:
        if -exit_code in _CRASHES:
            return Undecodable(media_type="file", reason=f"the decoder crashed ({signal.Signals(-exit_code).name})")
        return DecodeLimit(limit=self._memory_limit)  # killed from outside, which is mostly the kernel's memory killer

    @property
    def _memory_limit(self) -> str:
        return f"{self._memory_bytes // MB} MB of memory"

    def _renew(self, broken: ProcessPool | None) -> ProcessPool:
        """Start a pool in place of one that broke; takes as long as the fork server needs to import the craft."""
        with self._pool_lock:
            if self._closed:
                raise Busy
            if self._pool is None or self._pool is broken:
                if broken is not None:
                    _end(broken)
                self._pool = _start(self._slots, self._memory_bytes)
            return self._pool


def _start(slots: int, memory_bytes: int) -> ProcessPool:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    pool = ProcessPool(slots, TASKS_PER_WORKER, _confine, (memory_bytes,), context)
    if not pool.active:  # asking starts it
        raise BrokenProcessPool
    return pool


def _end(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]  # pebble leaves it unannotated
    pool.join()


def _confine(memory_bytes: int) -> None:
    """Prepare a worker; pebble's own handler for SIGTERM would wait for a decoder that hangs outside of Python."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit = _mapped_bytes() + memory_bytes
    with suppress(ValueError, OSError):  # where the limit may not be set, `memory_is_limited` has said so
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _mapped_bytes() -> int:
    """Read the address space in use (proc(5), statm), 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except OSError:
        return 0
