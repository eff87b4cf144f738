"""Locks between the processes of a host: files that are locked and never unlinked (flock(2)).

The kernel lets go of a lock with the last descriptor of its holder, so a process that dies leaves none behind.
"""

import asyncio
import fcntl
import os
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from proxy.errors import Busy

FIRST_WAIT_S = 0.005
LONGEST_WAIT_S = 0.05


@asynccontextmanager
async def hold_one(paths: Sequence[Path], limit_s: float) -> AsyncIterator[None]:
    """Hold any one of these files, alone on this host, for as long as the block lasts.

    Raises:
        Busy: others held all of them for `limit_s` seconds.
    """
    descriptor = await _take_one(paths, limit_s)
    try:
        yield
    finally:
        os.close(descriptor)


async def _take_one(paths: Sequence[Path], limit_s: float) -> int:
    wait_s = FIRST_WAIT_S
    try:
        async with asyncio.timeout(limit_s):
            while (descriptor := _try_each(paths)) is None:
                await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret: waiters that spread
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            return descriptor
    except TimeoutError:
        raise Busy from None


def _try_each(paths: Sequence[Path]) -> int | None:
    for path in paths:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
        else:
            return descriptor
    return None
