"""Kills processes that share a disk cache, by the hundred, in the midst of fills and evictions; `make crash` for long.

    python tests/faults/crashing.py KILLS

Prints in JSON what was seen. Bodies can be told by their names, which are their hashes.
"""

import asyncio
import fcntl
import hashlib
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NoReturn

from proxy.delivery.cache import DiskCache
from proxy.locks import hold_one

PROCESSES = 4
BODIES = 1500
LARGEST_BYTES = 40_000
MAX_BYTES = 10_000_000
"""A third of what is asked for in turn: something must always go."""
PIECES = 8
LOCK_WAIT_S = 20.0
LONGEST_PAUSE_S = 0.04
HIT, FILL, WRONG = b"h", b"f", b"X"


def body_of(number: int) -> bytes:
    noise = Random(number)  # noqa: S311 - bodies, not secrets
    return noise.randbytes(noise.randrange(1, LARGEST_BYTES))


def name_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]


async def work(folder: Path, names: list[str], events: int, seed: int) -> NoReturn:
    """Open, verify and fill, at random, until killed."""
    cache = DiskCache(folder, MAX_BYTES, clock=time.time)
    chance = Random(seed)  # noqa: S311 - no secret
    cache.sweep()
    while True:
        number = chance.randrange(BODIES)
        name = names[number]
        if (cached := cache.open(name)) is not None:
            with cached:
                right = name_of(cached.read(0, cached.size_bytes)) == name and cached.record == name.encode()
            os.write(events, HIT if right else WRONG)
            continue
        async with hold_one([cache.lock_of(name)], LOCK_WAIT_S):
            body = body_of(number)
            with cache.draft() as draft:
                with draft.open("wb", buffering=0) as file:
                    for part in range(PIECES):
                        file.write(body[part * len(body) // PIECES : (part + 1) * len(body) // PIECES])
                cache.publish(draft, name, name.encode())
            os.write(events, FILL)
        if cache.wants_sweeping:
            cache.sweep()


def start(folder: Path, names: list[str], events: int, seed: int) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(work(folder, names, events, seed))
        except BaseException:  # noqa: BLE001 # a child of fork must not go on as its parent
            traceback.print_exc()
        os._exit(1)
    return pid


def is_free(lock: Path) -> bool:
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def held(files: Path) -> int:
    """Add up the files; those that go meanwhile count for nothing."""
    sizes = 0
    for path in files.glob("*/*"):
        try:
            sizes += path.stat().st_size
        except FileNotFoundError:
            continue
    return sizes


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    if os.waitpid(pid, 0)[1] != signal.SIGKILL:
        raise SystemExit("a process ended by itself")


def main(folder: Path, kills: int) -> dict[str, int | bool]:
    names = [name_of(body_of(number)) for number in range(BODIES)]
    cache = DiskCache(folder, MAX_BYTES, clock=time.time)
    chance = Random(kills)  # noqa: S311 - no secret
    log = folder / "events"
    events = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    most_bytes = most_drafts = 0
    with cache.draft() as slow:
        slow.write_bytes(b"a slow writer that lives")
        processes = [start(folder, names, events, seed) for seed in range(PROCESSES)]
        try:
            for seed in range(PROCESSES, PROCESSES + kills):
                time.sleep(chance.uniform(0, LONGEST_PAUSE_S))  # the moment of the kill is what chance must choose
                kill(processes.pop(chance.randrange(PROCESSES)))
                most_bytes = max(most_bytes, held(folder / "files"))
                most_drafts = max(most_drafts, len(list((folder / "drafts").iterdir())))
                processes.append(start(folder, names, events, seed))
        finally:
            for pid in processes:
                kill(pid)
        DiskCache(folder, MAX_BYTES, clock=time.time)
        drafts = list((folder / "drafts").iterdir())
        cache.publish(slow, "ff" * 16, b"{}")
    told = log.read_bytes()
    return {
        "kills": kills,
        "hits": told.count(HIT),
        "fills": told.count(FILL),
        "wrong": told.count(WRONG),
        "most_bytes": most_bytes,
        "most_drafts": most_drafts,
        "only_the_living_writer_is_left": drafts == [slow],
        "locks_left": sum(not is_free(lock) for lock in (folder / "locks").iterdir()),
    }


if __name__ == "__main__":
    with TemporaryDirectory(prefix="medialink-crash-") as scratch:
        seen = main(Path(scratch), int(sys.argv[1]))
        sys.stdout.write(f"\n{json.dumps(seen)}\n")  # whoever was killed may have left half a line
