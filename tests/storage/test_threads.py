"""What a store that hangs costs: a bounded wait, and no thread for longer than somebody waits."""

import asyncio
import time
from asyncio import run
from collections.abc import Callable
from pathlib import Path
from threading import Event, Semaphore

import pytest

from proxy.errors import Busy, StoreAway
from proxy.storage.s3 import LOOK_LIMIT_S, S3Settings, S3Store
from proxy.storage.store import parse_key
from proxy.storage.threads import Threads
from tests.storage.bodies import fetch, part, take

KEY = parse_key("folder/photo.jpg")
JPEG = "image/jpeg"
FOUND = (
    b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: "abc"\r\n'
    b"Last-Modified: Sun, 22 Nov 2026 14:00:00 GMT\r\nConnection: close\r\n\r\n"
)
Open = Callable[..., S3Store]
Answering = Callable[[Callable[[bytes], bytes]], str]


def test_more_than_may_wait_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.storage.threads.MAX_WAITING", 2)
    threads, go_on = Threads(1, "test"), Event()

    async def crowd() -> list[object]:
        waiting = [asyncio.create_task(threads.run(lambda: go_on.wait(9))) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await threads.run(lambda: True)
        waiting.pop().cancel()
        await asyncio.sleep(0)
        waiting.append(asyncio.create_task(threads.run(lambda: True)))
        await asyncio.sleep(0)
        go_on.set()
        return list(await asyncio.gather(*waiting))

    assert run(crowd()) == [True, True, True]
    run(threads.close())


@pytest.mark.parametrize("name", ["find", "check"])
def test_a_look_has_a_limit_of_its_own_and_frees_its_thread(
    open_s3: Open, answering: Answering, hang_ups: Semaphore, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("proxy.storage.s3.LOOK_LIMIT_S", 0.2)
    answers = iter([b"STALL"])
    store = open_s3(answering(lambda _: next(answers, FOUND)), read_timeout_s=60, attempts=3, threads=1)
    look = {"find": lambda: store.find(KEY), "check": store.check}[name]
    with pytest.raises(StoreAway):
        run(look())
    assert hang_ups.acquire(timeout=5)
    run(look())


def test_the_limit_lets_a_slow_store_answer_twice() -> None:
    """A store that takes two seconds for each request is slow, not away; a forbidden key takes two requests."""
    assert 2 * 2.0 < LOOK_LIMIT_S < S3Settings().read_timeout_s


def test_bodies_that_hang_keep_nobody_from_a_look(open_s3: Open, answering: Answering, into: Path) -> None:
    all_hang = Semaphore(0)

    def answer(head: bytes) -> bytes:
        if head.startswith(b"HEAD"):
            return FOUND
        all_hang.release()
        return b"STALL"

    store = open_s3(answering(answer), read_timeout_s=60, threads=2)

    async def crowd() -> int:
        fetches = [asyncio.create_task(take(store, KEY, into=into.with_name(f"into-{number}"))) for number in range(9)]
        for _ in range(2):
            assert await asyncio.to_thread(all_hang.acquire, timeout=9)
        started = time.monotonic()
        found = await store.find(KEY)
        assert time.monotonic() - started < LOOK_LIMIT_S
        for fetching in fetches:
            fetching.cancel()
        await asyncio.gather(*fetches, return_exceptions=True)
        return found.size_bytes

    assert run(crowd()) == 5


def test_a_body_that_trickles_is_given_up(open_s3: Open, answering: Answering, hang_ups: Semaphore) -> None:
    """Its thread waits for a whole chunk, and would for ever."""
    answers = iter([b"STALL"])

    def answer(head: bytes) -> bytes:
        return part(b"12345", head).replace(b"12345", b"12") + b"STALL" if next(answers, b"") else part(b"12345", head)

    store = open_s3(answering(answer), read_timeout_s=60, total_timeout_s=0.5, threads=1)
    with pytest.raises(StoreAway):
        fetch(store, KEY)
    assert hang_ups.acquire(timeout=5)
    assert fetch(store, KEY) == b"12345"


def test_a_put_that_is_given_up_frees_its_thread(
    open_s3: Open, answering: Answering, hang_ups: Semaphore, file_of: Callable[[bytes], Path]
) -> None:
    store = open_s3(answering(lambda _: b"STALL"), read_timeout_s=60, total_timeout_s=0.3, threads=1)
    with pytest.raises(StoreAway):
        run(store.put(KEY, file_of(b"one"), media_type=JPEG))
    assert hang_ups.acquire(timeout=5)
