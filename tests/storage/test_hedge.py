"""A late answer is asked for once more, and not more often than a store can bear."""

import asyncio
from asyncio import run
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Lock, Semaphore

import pytest

from proxy.errors import SourceReplaced, StoreAway
from proxy.storage.hedge import HEDGE_BURST, HEDGE_SHARE, Hedges, Wins
from proxy.storage.s3 import S3Store
from proxy.storage.store import parse_key
from proxy.storage.threads import Threads
from tests.storage.bodies import asked, fetch, part, take

KEY = parse_key("folder/photo.jpg")
LATE_S = 0.02


@pytest.fixture
def threads() -> Iterator[Threads]:
    opened = Threads(16, "test")
    yield opened
    run(opened.close())


def test_one_late_answer_is_overtaken_and_hung_up_on(
    open_s3: Callable[..., S3Store], answering: Callable[..., str], hang_ups: Semaphore
) -> None:
    answers = iter([b"STALL"])
    store = open_s3(answering(lambda head: next(answers, part(b"12345", head))), read_timeout_s=60)
    assert fetch(store, KEY) == b"12345"
    assert hang_ups.acquire(timeout=5)


def test_a_late_part_in_the_middle_is_overtaken(
    open_s3: Callable[..., S3Store], answering: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.storage.parts.PART_BYTES", 1000)
    body = bytes(range(250)) * 20
    late = iter([b"STALL"])

    def answer(head: bytes) -> bytes:
        return (next(late, b"") if asked(head)[0] == 2000 else b"") or part(body, head)

    assert fetch(open_s3(answering(answer), read_timeout_s=60), KEY) == body


def test_what_the_slower_answer_says_is_not_heard(
    open_s3: Callable[..., S3Store], answering: Callable[..., str], into: Path
) -> None:
    """The first of two is told of once, and the other does not write."""
    second_asked, told = Event(), list[int]()
    heads: list[bytes] = []

    def answer(head: bytes) -> bytes:
        heads.append(head)
        if len(heads) == 1:
            second_asked.wait(9)
            return part(b"12345", head)
        second_asked.set()
        return b"STALL"

    store = open_s3(answering(answer), read_timeout_s=60)
    run(take(store, KEY, into=into, progress=lambda _, arrived: told.append(arrived)))
    assert (into.read_bytes(), told, len(heads)) == (b"12345", [0, 5], 2)


def test_when_all_are_late_the_store_is_asked_a_tenth_more(threads: Threads) -> None:
    lock = Lock()
    calls = 0

    def late(wins: Wins) -> bool:
        nonlocal calls
        with lock:
            calls += 1
        Event().wait(LATE_S)
        if not wins():
            raise StoreAway
        return True

    async def ask() -> None:
        hedges = Hedges(threads, after_s=LATE_S / 4)
        for _ in range(25):
            assert await asyncio.gather(*(hedges.ask(late) for _ in range(4))) == [True] * 4

    run(ask())
    assert 100 < calls <= 100 * (1 + HEDGE_SHARE) + HEDGE_BURST


def test_nothing_is_asked_twice_while_all_threads_are_busy() -> None:
    busy = Threads(1, "test")
    calls: list[Wins] = []

    def late(wins: Wins) -> bool:
        calls.append(wins)
        Event().wait(LATE_S)
        return wins()

    assert run(Hedges(busy, after_s=0).ask(late))
    run(busy.close())
    assert len(calls) == 1


def ask_two(threads: Threads, first: Callable[[Wins], str], second: Callable[[Wins], str]) -> str:
    """Ask, with the first late for as long as it likes."""
    turns = iter([first, second])

    def take_turns(wins: Wins) -> str:
        return next(turns)(wins)

    return run(Hedges(threads, after_s=0).ask(take_turns))


def test_a_failure_waits_for_the_other_answer(threads: Threads) -> None:
    second_asked, failed = Event(), Event()

    def fail(_: Wins) -> str:
        second_asked.wait(9)
        failed.set()
        raise StoreAway

    def answer(wins: Wins) -> str:
        second_asked.set()
        failed.wait(9)
        return "second" if wins() else "lost"

    assert ask_two(threads, fail, answer) == "second"


def test_when_both_fail_the_store_is_away(threads: Threads) -> None:
    second_asked = Event()

    def fail(_: Wins) -> str:
        second_asked.wait(9)
        raise StoreAway

    def fail_too(_: Wins) -> str:
        second_asked.set()
        raise StoreAway

    with pytest.raises(StoreAway):
        ask_two(threads, fail, fail_too)


def test_an_answer_that_says_no_is_an_answer(threads: Threads) -> None:
    second_asked, over = Event(), Event()

    def say_no(_: Wins) -> str:
        second_asked.wait(9)
        raise SourceReplaced

    def hang(_: Wins) -> str:
        second_asked.set()
        over.wait(9)
        return "late"

    with pytest.raises(SourceReplaced):
        ask_two(threads, say_no, hang)
    over.set()
