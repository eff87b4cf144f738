"""A body in parts: what each of them asks for, and what is not taken for a part."""

import asyncio
import re
from asyncio import run
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Barrier, Event, Semaphore

import pytest

from proxy.errors import MedialinkError, SourceReplaced, StoreAway, TooLarge
from proxy.storage.parts import PARTS_AT_ONCE
from proxy.storage.s3 import S3Store
from proxy.storage.store import parse_key
from tests.storage.bodies import asked, body_of, fetch, part, take

KEY = parse_key("folder/photo.jpg")
PART = 1000
BODY = body_of(10 * PART - 1)
Open = Callable[..., S3Store]
Answering = Callable[[Callable[[bytes], bytes]], str]

pytestmark = pytest.mark.usefixtures("_small_parts")


@pytest.fixture
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.storage.parts.PART_BYTES", PART)


@pytest.mark.parametrize("size_bytes", [1, PART - 1, PART])
def test_what_is_small_is_one_request(open_s3: Open, answering: Answering, size_bytes: int) -> None:
    heads: list[bytes] = []

    def answer(head: bytes) -> bytes:
        heads.append(head)
        return part(BODY[:size_bytes], head)

    assert fetch(open_s3(answering(answer)), KEY) == BODY[:size_bytes]
    assert len(heads) == 1


@pytest.mark.parametrize("version", ["e:abc", "v:7", None])
@pytest.mark.parametrize("versioned", [True, False])
def test_every_part_is_asked_for_by_the_version_of_the_first(
    open_s3: Open, answering: Answering, version: str | None, *, versioned: bool
) -> None:
    heads: list[bytes] = []

    def answer(head: bytes) -> bytes:
        heads.append(head)
        return part(BODY, head, more=b"\r\nx-amz-version-id: 7" if versioned else b"")

    store = open_s3(answering(answer))
    if version == "v:7" and not versioned:
        with pytest.raises(SourceReplaced):
            fetch(store, KEY, version)
        return
    assert fetch(store, KEY, version) == BODY
    starts = range(0, len(BODY), PART)
    assert sorted(map(asked, heads)) == [(start, min(start + PART, max(len(BODY), PART))) for start in starts]
    named = version or ("v:7" if versioned else "e:abc")
    pins = {"v": rb"versionId=7 ", "e": rb'(?i)\r\nif-match: "abc"\r\n'}
    for head in heads if version else heads[1:]:
        assert [scheme for scheme, pin in pins.items() if re.search(pin, head)] == [named[0]]


def test_so_many_parts_come_at_once_and_no_more(open_s3: Open, answering: Answering) -> None:
    """No answer but the first comes before a full house stands, and a moment is left for one more."""
    here, stood = Semaphore(0), Event()
    counted: list[bool] = []

    def answer(head: bytes) -> bytes:
        here.release()
        if asked(head)[0] == PART:
            full = [here.acquire(timeout=9) for _ in range(PARTS_AT_ONCE + 1)]
            counted.extend([*full, here.acquire(timeout=0.2)])
            stood.set()
        if asked(head)[0]:
            stood.wait(9)
        return part(BODY, head)

    assert fetch(open_s3(answering(answer), threads=2 * PARTS_AT_ONCE), KEY) == BODY
    assert counted == [True] * (PARTS_AT_ONCE + 1) + [False]


def test_a_part_that_is_late_holds_back_what_is_told_and_nothing_else(
    open_s3: Open, answering: Answering, into: Path
) -> None:
    told: list[int] = []
    others = Semaphore(0)

    def answer(head: bytes) -> bytes:
        start, _ = asked(head)
        if start == PART:
            for _ in range(8):
                assert others.acquire(timeout=9)
            told.append(-1)
        elif start:
            others.release()
        return part(BODY, head)

    run(take(open_s3(answering(answer)), KEY, into=into, progress=lambda _, arrived: told.append(arrived)))
    assert told[: told.index(-1)] == [0, PART]
    assert told[-1] == len(BODY)
    assert into.read_bytes() == BODY


def test_a_store_that_knows_no_ranges_is_read_whole(open_s3: Open, answering: Answering) -> None:
    def answer(head: bytes) -> bytes:
        whole = re.sub(rb"bytes=\d+-\d+", b"bytes=0-999999", head)
        return re.sub(rb"206 Partial Content\r\nContent-Range: [^\r]*", b"200 OK", part(BODY, whole))

    assert fetch(open_s3(answering(answer)), KEY) == BODY


def test_the_limit_is_held_against_the_whole(open_s3: Open, answering: Answering, into: Path) -> None:
    store = open_s3(answering(partial(part, BODY)))
    with pytest.raises(TooLarge) as refused:
        run(take(store, KEY, into=into, max_bytes=len(BODY) - 1))
    assert refused.value.size_bytes == len(BODY)
    assert into.read_bytes() == b""


def whole_instead(head: bytes) -> bytes:
    return re.sub(rb"206 Partial Content\r\nContent-Range: [^\r]*", b"200 OK", part(BODY, head))


GONE = b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
NO_SUCH_RANGE = b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
WRONG: dict[str, tuple[Callable[[bytes], bytes], type[MedialinkError]]] = {
    "of-another-version": (lambda head: part(BODY, head, etag=b"other"), SourceReplaced),
    "replaced": (lambda _: GONE, SourceReplaced),
    "cut-off": (lambda head: part(BODY, head)[:-1], StoreAway),
    "shorter-than-its-range": (lambda head: part(BODY, head, length=PART // 2), StoreAway),
    "from-elsewhere": (lambda head: part(BODY, head, shift=1), StoreAway),
    "of-an-object-of-another-size": (lambda head: part(BODY, head, total=b"123456"), StoreAway),
    "of-an-object-of-unknown-size": (lambda head: part(BODY, head, total=b"*"), StoreAway),
    "of-an-unknown-range": (lambda head: part(BODY, head).replace(b"bytes ", b"pages "), StoreAway),
    "less-than-was-asked-for": (lambda head: part(BODY[:-PART], head, total=b"%d" % len(BODY)), StoreAway),
    "no-such-range": (lambda _: NO_SUCH_RANGE, StoreAway),
    "hangs-up": (lambda _: b"", StoreAway),
}


@pytest.mark.parametrize(("wrong", "error"), WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("start", [5 * PART, 9 * PART])
def test_a_part_that_is_not_what_was_asked_for_is_not_taken(
    open_s3: Open, answering: Answering, wrong: Callable[[bytes], bytes], error: type[MedialinkError], start: int
) -> None:
    if wrong is WRONG["less-than-was-asked-for"][0]:
        start = 8 * PART
    store = open_s3(answering(lambda head: wrong(head) if asked(head)[0] == start else part(BODY, head)))
    with pytest.raises(error):
        fetch(store, KEY)


@pytest.mark.parametrize(
    "name", ["short-and-consistent", "shorter-than-its-range", "from-elsewhere", "of-unknown-size", "cut-off"]
)
def test_a_first_part_that_is_not_what_was_asked_for_is_not_taken(
    open_s3: Open, answering: Answering, into: Path, name: str
) -> None:
    told: list[int] = []
    for size_bytes in (PART // 2, 3 * PART):
        body = BODY[:size_bytes]
        answers: dict[str, Callable[[bytes], bytes]] = {
            "short-and-consistent": partial(part, body[: size_bytes // 4], total=b"%d" % size_bytes),
            "shorter-than-its-range": partial(part, body, length=size_bytes // 4),
            "from-elsewhere": partial(part, body, shift=1),
            "of-unknown-size": partial(part, body, total=b"*"),
            "cut-off": lambda head, body=body: part(body, head)[:-1],  # type: ignore[misc]
        }
        with pytest.raises(StoreAway):
            run(take(open_s3(answering(answers[name])), KEY, into=into, progress=lambda _, count: told.append(count)))
    assert name == "cut-off" or told == []


def test_when_one_part_fails_the_others_are_hung_up_on(
    open_s3: Open, answering: Answering, hang_ups: Semaphore, into: Path
) -> None:
    all_here = Barrier(3)

    def answer(head: bytes) -> bytes:
        start, _ = asked(head)
        if start in {PART, 2 * PART, 3 * PART}:
            all_here.wait(9)
        if start == PART:
            return part(BODY, head)[:-600] + b"STALL"
        return {2 * PART: b"STALL", 3 * PART: GONE}.get(start) or part(BODY, head)

    store = open_s3(answering(answer), read_timeout_s=60)
    with pytest.raises(SourceReplaced):
        run(take(store, KEY, into=into))
    assert hang_ups.acquire(timeout=5)
    assert hang_ups.acquire(timeout=5)


@pytest.mark.parametrize("stalled", ["", "the first 400 bytes"], ids=["before-its-head", "in-its-body"])
def test_a_fetch_that_is_given_up_frees_its_thread_at_once(
    open_s3: Open, answering: Answering, hang_ups: Semaphore, into: Path, stalled: str
) -> None:
    """There is one thread: the next fetch could not begin before the store's time limit."""
    asked_for = Event()

    def answer(head: bytes) -> bytes:
        if asked_for.is_set():
            return part(BODY, head)
        asked_for.set()
        return (part(BODY, head)[:-600] if stalled else b"") + b"STALL"

    store = open_s3(answering(answer), read_timeout_s=60, threads=1)

    async def give_up() -> None:
        fetching = asyncio.create_task(take(store, KEY, into=into))
        await asyncio.to_thread(asked_for.wait, 9)
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching

    run(give_up())
    assert hang_ups.acquire(timeout=5)
    assert fetch(store, KEY) == BODY
