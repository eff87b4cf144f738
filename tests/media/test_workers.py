"""The pool: it bounds time, memory and waiting, and one bad task is nobody else's trouble."""

import asyncio
import os
import re
import resource
import signal
import time
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from proxy.errors import Busy, DecodeLimit, TooManyPixels, Undecodable
from proxy.locks import hold_one
from proxy.media.checker import check
from proxy.media.kinds import ImageRules, Kind, Made, Rules
from proxy.media.workers import Workers
from tests.media.pictures import png

MB = 1_000_000


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    pool = Workers(slots=2, queue=2, time_limit_s=1.0, memory_bytes=256 * MB, slots_dir=tmp_path / "slots")
    yield pool
    pool.close()


def hang(workers: Workers) -> Coroutine[Any, Any, object]:
    """Hang in C and hold the interpreter, as a decoder does: no Python signal handler would ever run."""
    return workers.run(re.match, "(a+)+$", "a" * 60 + "b")


def outcome(work: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
    async def caught() -> object:
        try:
            return await work
        except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
            return error

    return asyncio.ensure_future(caught())


def test_a_task_runs_in_another_process(workers: Workers) -> None:
    assert asyncio.run(workers.run(os.getpid)) != os.getpid()


def test_craft_runs_there_and_gives_its_verdict(workers: Workers, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    Image.new("L", (300, 200), 80).save(source, "PNG")
    verdict = asyncio.run(workers.run(check, Kind.IMAGE, source, target, Rules()))
    assert isinstance(verdict, Made)
    assert target.stat().st_size == verdict.size_bytes


def test_a_typed_error_comes_through_unchanged(workers: Workers, tmp_path: Path) -> None:
    source = tmp_path / "source"
    Image.new("L", (300, 200)).save(source, "PNG")
    with pytest.raises(TooManyPixels) as refused:
        asyncio.run(workers.run(check, Kind.IMAGE, source, tmp_path / "target", Rules(image=ImageRules(max_pixels=9))))
    assert refused.value.evidence == {"width": 300, "height": 200, "limit_pixels": 9}


def test_a_defect_of_ours_comes_through_as_itself(workers: Workers) -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(workers.run(divmod, 1, 0))


def test_a_task_that_hangs_is_killed_in_time_and_the_worker_is_replaced(workers: Workers) -> None:
    async def story() -> None:
        await workers.run(os.getpid)
        began = time.monotonic()
        hanging = [outcome(hang(workers)) for _ in range(2)]
        first, second = await asyncio.gather(*hanging)
        assert isinstance(first, DecodeLimit)
        assert isinstance(second, DecodeLimit)
        assert first.limit == "1 seconds"
        assert not first.lasting
        assert await workers.run(os.getpid) > 0
        assert 1.0 <= time.monotonic() - began < 6

    asyncio.run(story())


def test_others_do_not_notice_a_task_that_hangs(workers: Workers) -> None:
    async def story() -> None:
        await workers.run(os.getpid)
        hanging = outcome(hang(workers))
        served = [await workers.run(abs, -number) for number in range(50)]
        assert served == list(range(50))
        assert not hanging.done()
        assert isinstance(await hanging, DecodeLimit)

    asyncio.run(story())


def test_a_task_that_wants_too_much_memory_is_refused(workers: Workers) -> None:
    if not workers.memory_is_limited:
        pytest.skip("this system does not enforce RLIMIT_AS")

    async def story() -> None:
        greedy = await outcome(workers.run(bytearray, 512 * MB))
        assert isinstance(greedy, DecodeLimit)
        assert greedy.limit == "256 MB of memory"
        assert await workers.run(abs, -1) == 1

    asyncio.run(story())


def test_a_picture_that_wants_too_much_memory_is_refused(tmp_path: Path) -> None:
    patient = Workers(slots=1, queue=1, time_limit_s=60, memory_bytes=256 * MB, slots_dir=tmp_path / "slots")
    if not patient.memory_is_limited:
        pytest.skip("this system does not enforce RLIMIT_AS")
    source = tmp_path / "source"
    source.write_bytes(png((9_500, 9_500), 8, 2, b""))
    with pytest.raises(DecodeLimit, match="memory"):
        asyncio.run(patient.run(check, Kind.IMAGE, source, tmp_path / "target", Rules()))
    patient.close()


@pytest.mark.parametrize(
    ("end", "refusal"),
    [((os._exit, 3), DecodeLimit), ((os.abort,), Undecodable), ((signal.raise_signal, signal.SIGKILL), DecodeLimit)],
    ids=["exit", "abort", "killed"],
)
def test_a_worker_that_dies_is_a_refusal_and_is_replaced(
    workers: Workers, end: tuple[Any, ...], refusal: type[Exception]
) -> None:
    async def story() -> None:
        await workers.run(os.getpid)
        steady = outcome(workers.run(time.sleep, 0.3))
        assert isinstance(await outcome(workers.run(*end)), refusal)
        assert await steady is None
        assert await workers.run(abs, -1) == 1

    asyncio.run(story())


def test_idle_workers_that_are_killed_are_replaced(workers: Workers) -> None:
    async def ask(number: int) -> int:
        try:
            return await workers.run(abs, -number)
        except Busy:  # it was not quite idle, and took the pool's lock with it: who asks again is served
            return await workers.run(abs, -number)

    async def story() -> None:
        for _ in range(3):
            pid = await workers.run(os.getpid)
            while not _is_idle(pid):
                pass
            os.kill(pid, signal.SIGKILL)
            served = [await ask(number) for number in range(5)]
            assert served == list(range(5))

    asyncio.run(story())


def _is_idle(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "S"


def test_a_pool_whose_locks_are_lost_is_replaced(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is killed between sending and unlocking takes the lock with it, and pebble waits for ever."""
    monkeypatch.setattr("proxy.media.workers.STUCK_AFTER_S", 0.1)

    async def story() -> None:
        await workers.run(os.getpid)
        lost = workers._pool._pool_manager.worker_manager.workers_channel.mutex  # type: ignore[union-attr]  # noqa: SLF001 - no other way to lose it for sure
        assert lost.acquire()
        assert isinstance(await outcome(workers.run(abs, -1)), Busy)
        assert await workers.run(abs, -1) == 1

    asyncio.run(story())


def test_more_than_the_queue_holds_are_busy_at_once(workers: Workers) -> None:
    async def story() -> None:
        await workers.run(os.getpid)
        tasks = [outcome(workers.run(time.sleep, 0.3)) for _ in range(6)]
        first, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert {type(task.result()) for task in first} == {Busy}, "nobody waits to be turned away"
        results = await asyncio.gather(*tasks)
        assert [type(result) for result in results] == [type(None)] * 4 + [Busy] * 2

    asyncio.run(story())


def test_a_cancelled_waiter_frees_its_place(workers: Workers) -> None:
    async def story() -> None:
        await workers.run(os.getpid)
        running = [outcome(workers.run(time.sleep, 0.3)) for _ in range(2)]
        waiting = [asyncio.ensure_future(workers.run(abs, -number)) for number in range(2)]
        await asyncio.sleep(0)
        assert isinstance(await outcome(workers.run(abs, -1)), Busy)
        waiting[0].cancel()
        await asyncio.wait(waiting[:1])
        assert await workers.run(abs, -7) == 7
        assert await waiting[1] == 1
        assert await asyncio.gather(*running) == [None, None]

    asyncio.run(story())


def test_cancelled_tasks_give_their_slots_back(workers: Workers) -> None:
    async def story() -> None:
        await workers.run(os.getpid)
        for _ in range(3):
            running = [asyncio.ensure_future(hang(workers)) for _ in range(2)]
            await asyncio.sleep(0)
            for task in running:
                task.cancel()
            await asyncio.wait(running)
            assert all(task.cancelled() for task in running)
            assert await workers.run(abs, -1) == 1

    asyncio.run(story())


def test_closing_tells_whoever_waits(workers: Workers) -> None:
    async def story() -> None:
        await workers.run(os.getpid)
        pid = await workers.run(os.getpid)
        tasks = [outcome(hang(workers)) for _ in range(4)]
        await asyncio.sleep(0)
        workers.close()
        assert {type(result) for result in await asyncio.gather(*tasks)} == {Busy}
        assert isinstance(await outcome(workers.run(abs, -1)), Busy)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    asyncio.run(story())


def wait_for_the_end_of(pid: int) -> None:
    with suppress(ProcessLookupError):
        while True:
            os.kill(pid, 0)
            time.sleep(0.01)


def test_idle_processes_end_and_the_next_task_starts_others(tmp_path: Path) -> None:
    pool = Workers(slots=2, queue=2, time_limit_s=5.0, memory_bytes=256 * MB, slots_dir=tmp_path / "slots", idle_s=0.1)

    async def story() -> None:
        first = await pool.run(os.getpid)
        await asyncio.to_thread(wait_for_the_end_of, first)
        assert await pool.run(os.getpid) != first

    asyncio.run(story())
    pool.close()


def test_processes_at_work_are_not_idle(tmp_path: Path) -> None:
    pool = Workers(slots=1, queue=2, time_limit_s=5.0, memory_bytes=256 * MB, slots_dir=tmp_path / "slots", idle_s=0.05)

    async def story() -> None:
        first = await pool.run(os.getpid)
        await pool.run(time.sleep, 0.3)
        assert await pool.run(os.getpid) == first

    asyncio.run(story())
    pool.close()


def test_a_pool_that_was_never_used_closes(tmp_path: Path) -> None:
    Workers(slots=1, queue=0, time_limit_s=1, memory_bytes=MB, slots_dir=tmp_path / "slots").close()


def test_processes_of_a_host_share_its_slots(workers: Workers, tmp_path: Path) -> None:
    """Another process is another set of descriptors: here they are held by the test itself."""

    async def story() -> None:
        slots = sorted((tmp_path / "slots").iterdir()) or [tmp_path / "slots" / name for name in "01"]
        async with hold_one(slots, 1), hold_one(slots, 1):
            waiting = asyncio.create_task(workers.run(abs, -1))
            done, _ = await asyncio.wait([waiting], timeout=0.5)
            assert not done
        assert await waiting == 1

    asyncio.run(story())


def test_workers_are_confined(workers: Workers) -> None:
    async def story() -> None:
        assert await workers.run(os.nice, 0) - os.nice(0) == 5
        assert await workers.run(resource.getrlimit, resource.RLIMIT_CORE) == (0, 0)
        assert await workers.run(signal.getsignal, signal.SIGINT) == signal.SIG_IGN
        if workers.memory_is_limited:
            soft, hard = await workers.run(resource.getrlimit, resource.RLIMIT_AS)
            assert 256 * MB < soft == hard < 1024 * MB

    asyncio.run(story())


def test_a_recycled_worker_is_replaced(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.media.workers.TASKS_PER_WORKER", 2)

    async def story() -> set[int]:
        return {await workers.run(os.getpid) for _ in range(12)}

    assert len(asyncio.run(story())) > 2
