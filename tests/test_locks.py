"""Locks between processes: one holder, freed by death, waited for only so long."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.errors import Busy
from proxy.locks import hold_one

HOLDER = """
import asyncio, sys
from pathlib import Path
from proxy.locks import hold_one

async def hold():
    async with hold_one([Path(sys.argv[1])], 1):
        print("held", flush=True)
        await asyncio.Event().wait()

asyncio.run(hold())
"""


def test_one_holds_and_the_others_wait_their_turn(tmp_path: Path) -> None:
    inside, most = 0, 0

    async def one() -> None:
        nonlocal inside, most
        async with hold_one([tmp_path / "lock"], 30):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    async def story() -> None:
        await asyncio.gather(*(one() for _ in range(20)))

    asyncio.run(story())
    assert most == 1


def test_as_many_hold_as_there_are_files(tmp_path: Path) -> None:
    async def story() -> None:
        files = [tmp_path / name for name in "ab"]
        async with hold_one(files, 1), hold_one(files, 1):
            with pytest.raises(Busy):
                async with hold_one(files, 0.05):
                    pass
        async with hold_one(files, 1):
            pass

    asyncio.run(story())


def test_who_dies_lets_go(tmp_path: Path) -> None:
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", HOLDER, str(tmp_path / "lock")],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"

        async def story() -> None:
            with pytest.raises(Busy):
                async with hold_one([tmp_path / "lock"], 0.05):
                    pass
            waiting = asyncio.create_task(take())
            holder.send_signal(signal.SIGKILL)
            await waiting

        async def take() -> None:
            async with hold_one([tmp_path / "lock"], 30):
                pass

        asyncio.run(story())
