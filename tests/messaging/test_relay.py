"""Webhooks reach their owner's system as they came: until it takes them, and in order."""

import asyncio
import json
import random
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx2
import pytest
from sqlalchemy import Connection, text

from proxy.messaging import relay
from proxy.messaging.authenticity import SECRET_HEADER, SIGNATURE_HEADER
from proxy.messaging.chores import Chore, at_work
from proxy.messaging.ledger import Ledger
from proxy.messaging.outbox import LEASE
from proxy.messaging.owner import TOTAL_S, Owner
from proxy.messaging.relay import Relay, Watch
from proxy.telemetry import metrics
from tests.messaging.owners import Clock, OwnSystem, body_of, ledger_at, opened, own_system, parcel_of, put
from tests.messaging.postgres_server import until

SENT, READ, OTHER = body_of(("a", "sent")), body_of(("a", "read")), body_of(("b", "sent"))
SLOW_S = 0.2
PATIENCE_S = 20


@pytest.fixture
def owner() -> Iterator[OwnSystem]:
    with own_system() as system:
        yield system


async def reached(condition: Callable[[], object]) -> None:
    await asyncio.to_thread(until, condition)


@asynccontextmanager
async def relaying(
    url: str, to: str, clock: Clock, *, total_s: float = PATIENCE_S
) -> AsyncIterator[tuple[Ledger, Relay]]:
    async with AsyncExitStack() as running:
        ledger = ledger_at(url, clock)
        await ledger.open()
        running.push_async_callback(ledger.close)
        door = Owner(to, total_s=total_s)
        running.push_async_callback(door.close)
        passes = Relay(outbox=ledger.outbox, owner=door, spread=lambda: 1.0)
        await running.enter_async_context(
            at_work([Chore(name="relay", do=passes.round, every_s=0.02, wake=passes.wake)])
        )
        yield ledger, passes


async def found(ledger: Ledger, query: str, count: int) -> None:
    """Wait until the database finds so many."""
    async with asyncio.timeout(PATIENCE_S):
        while await ledger.database.read(lambda connection: connection.scalar(text(query))) != count:  # noqa: ASYNC110 - a database wakes nobody
            await asyncio.sleep(0.01)


async def emptied(ledger: Ledger) -> None:
    await found(ledger, "SELECT count(*) FROM outbox", 0)


def test_a_lease_outlives_the_longest_post() -> None:
    assert LEASE.total_seconds() > 2 * TOTAL_S


def test_our_secret_is_not_passed_on(url: str, owner: OwnSystem) -> None:
    raw = b'{"entry": "\\u00e4\\/",  "b":1}\n'
    headers = {"content-type": "application/json; charset=utf-8", SIGNATURE_HEADER: "sha256=ab", SECRET_HEADER: "ours"}

    async def run() -> None:
        async with relaying(url, owner.url, Clock()) as (ledger, passes):
            await ledger.take([], [ledger.outbox.keeping(parcel_of(raw, httpx2.Headers(headers)))])
            passes.wake.set()
            await emptied(ledger)

    asyncio.run(run())
    assert owner.got == [raw]
    (seen,) = owner.headers
    assert seen["content-type"] == "application/json; charset=utf-8"
    assert seen[SIGNATURE_HEADER.lower()] == "sha256=ab"
    assert set(seen) == {"host", "content-type", "content-length", SIGNATURE_HEADER.lower()}


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        pytest.param(500, "HTTP 500", id="fails"),
        pytest.param(400, "HTTP 400", id="refuses"),
        pytest.param(302, "HTTP 302", id="sends elsewhere"),
        pytest.param(304, "HTTP 304", id="has not changed"),
        pytest.param(0, f"no answer in {SLOW_S:g} s", id="is slow"),
    ],
)
def test_what_is_not_taken_waits_and_is_posted_again(
    url: str, owner: OwnSystem, answer: int, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    owner.answers[:] = [answer, answer]

    async def run() -> None:
        clock = Clock()
        async with relaying(url, owner.url, clock, total_s=PATIENCE_S if answer else SLOW_S) as (ledger, passes):
            await put(ledger, SENT)
            passes.wake.set()
            for posts, wait in ((1, 1.0), (2, 2.0)):
                put_off = (
                    "SELECT count(*) FROM outbox WHERE claimed_until IS NULL AND problem IS NOT NULL AND attempts = "
                )
                await found(ledger, f"{put_off}{posts}", 1)
                assert len(owner.got) == posts, "before its wait is over, it is left alone"
                clock.pass_s(wait)
            await emptied(ledger)

    asyncio.run(run())
    told = [line for line in capsys.readouterr().out.splitlines() if "webhook.not_taken" in line]
    assert owner.got == [SENT] * 3
    assert all(problem in line for line in told)
    assert [line.rpartition("again_in_s=")[2].split()[0] for line in told] == ["1.0", "2.0"]


def test_a_redirect_is_no_answer_and_is_not_followed(owner: OwnSystem) -> None:
    owner.answers[:] = [302, 307]

    async def run() -> None:
        door = Owner(owner.url)
        for status in (302, 307):
            assert (await door.post(parcel_of(SENT))).problem == f"HTTP {status}"
        await door.close()

    asyncio.run(run())
    assert len(owner.got) == 2


def test_no_proxy_is_taken_from_the_environment(owner: OwnSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def run() -> None:
        door = Owner(owner.url)
        assert (await door.post(parcel_of(SENT))).result == "taken"
        await door.close()

    asyncio.run(run())


def test_nobody_there_is_a_word_and_no_exception() -> None:
    async def run() -> None:
        door = Owner("http://127.0.0.1:9/webhooks")
        answer = await door.post(parcel_of(SENT))
        assert (answer.result, answer.problem) == ("away", "ConnectError")
        await door.close()

    asyncio.run(run())


def test_two_machines_keep_the_order_of_each_message_though_posts_fail(
    url: str, owner: OwnSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.messaging.parcels.FIRST_WAIT_S", 0.0)
    chance = random.Random(7)  # noqa: S311 - the same dice in each run
    owner.answers[:] = [chance.choice([200, 200, 503]) for _ in range(150)]
    steps = ("sent", "delivered", "read", "played")
    bodies = [body_of((f"m{message}", step), mark=mark) for mark, step in enumerate(steps) for message in range(12)]

    async def run() -> None:
        clock = Clock()
        async with relaying(url, owner.url, clock) as (one, passes), relaying(url, owner.url, clock) as (two, others):
            for number, body in enumerate(bodies):
                await put((one, two)[number % 2], body)
                (passes, others)[number % 3 % 2].wake.set()
            await emptied(one)

    asyncio.run(run())
    assert sorted(owner.taken) == sorted(bodies), "each is taken once, as nobody died"
    order = defaultdict[str, list[int]](list)
    for body in owner.taken:
        value = json.loads(body)["entry"][0]["changes"][0]["value"]
        order[value["statuses"][0]["id"]].append(value["mark"])
    assert set(map(tuple, order.values())) == {(0, 1, 2, 3)}


def test_one_slow_answer_keeps_no_other_waiting(url: str, owner: OwnSystem) -> None:
    owner.answers[:] = [0]

    async def run() -> None:
        async with relaying(url, owner.url, Clock()) as (ledger, passes):
            await put(ledger, SENT)
            passes.wake.set()
            await reached(lambda: owner.got)
            for number in range(20):
                await put(ledger, body_of((f"m{number}", "sent")))
            passes.wake.set()
            await reached(lambda: len(owner.taken) == 20)
            assert (await ledger.outbox.look()).bodies >= 1
            owner.go_on.set()

    asyncio.run(run())


def test_so_many_are_posted_at_once_and_no_more(url: str, owner: OwnSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "MAX_AT_ONCE", 3)
    owner.answers[:] = [0] * 3

    async def run() -> None:
        async with relaying(url, owner.url, Clock(), total_s=10 * SLOW_S) as (ledger, passes):
            for number in range(10):
                await put(ledger, body_of((f"m{number}", "sent")))
            passes.wake.set()
            await reached(lambda: len(owner.got) == 3)
            assert owner.taken == [], "the others come when one of these is through"
            await reached(lambda: len(owner.taken) == 7)

    asyncio.run(run())


def test_what_a_dead_process_had_is_posted_by_another(url: str, owner: OwnSystem) -> None:
    async def run() -> None:
        clock = Clock()
        dead = ledger_at(url, clock)
        await dead.open()
        await put(dead, SENT)
        assert len(await dead.outbox.record_and_claim([], 1)) == 1
        await dead.close()
        async with relaying(url, owner.url, clock) as (ledger, _passes):
            await put(ledger, body_of(("b", "sent")))
            await reached(lambda: owner.got)
            assert SENT not in owner.got
            clock.pass_s(LEASE.total_seconds())
            await emptied(ledger)

    asyncio.run(run())
    assert owner.taken[-1] == SENT


def test_a_clock_that_steps_has_nothing_posted_twice_at_once(url: str, owner: OwnSystem) -> None:
    owner.answers[:] = [0]

    async def run() -> None:
        clock = Clock()
        async with relaying(url, owner.url, clock) as (ledger, passes):
            await put(ledger, SENT)
            passes.wake.set()
            await reached(lambda: owner.got)
            clock.pass_s(LEASE.total_seconds())
            await put(ledger, OTHER)
            passes.wake.set()
            await reached(lambda: owner.taken == [OTHER])
            owner.go_on.set()
            await emptied(ledger)

    asyncio.run(run())
    assert owner.got == [SENT, OTHER]


async def rename(ledger: Ledger, old: str, new: str) -> None:
    def work(connection: Connection) -> None:
        connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))

    await ledger.database.write(work, idempotent=False)


async def heard(event: str, capsys: pytest.CaptureFixture[str]) -> None:
    await reached(lambda: event in capsys.readouterr().out)


@pytest.mark.parametrize("known_first", [pytest.param(True, id="its answer"), pytest.param(False, id="the post")])
def test_what_is_under_way_outlasts_a_ledger_that_is_away(
    url: str,
    owner: OwnSystem,
    capsys: pytest.CaptureFixture[str],
    known_first: bool,  # noqa: FBT001 - a case
) -> None:
    owner.answers[:] = [0]

    async def run() -> None:
        async with relaying(url, owner.url, Clock()) as (ledger, passes):
            await put(ledger, SENT)
            passes.wake.set()
            await reached(lambda: owner.got)
            await rename(ledger, "outbox", "elsewhere")
            if known_first:
                owner.go_on.set()
            await heard("chore.failed", capsys)
            owner.go_on.set()
            await reached(lambda: owner.taken)
            await rename(ledger, "elsewhere", "outbox")
            await emptied(ledger)

    asyncio.run(run())
    assert owner.got == [SENT]


def test_a_stop_waits_for_no_ledger_that_is_away(
    url: str, owner: OwnSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run() -> float:
        async with relaying(url, owner.url, Clock()) as (ledger, passes):
            await put(ledger, SENT)
            owner.answers[:] = [0]
            passes.wake.set()
            await reached(lambda: owner.got)
            await rename(ledger, "outbox", "elsewhere")
            owner.go_on.set()
            await heard("chore.failed", capsys)
            began = time.monotonic()
        return time.monotonic() - began

    assert asyncio.run(run()) < relay.LAST_S


def test_who_stops_waits_a_little_and_writes_down_what_was_taken(url: str, owner: OwnSystem) -> None:
    owner.answers[:] = [0] * 5

    async def run() -> None:
        clock = Clock()
        async with relaying(url, owner.url, clock) as (ledger, passes):
            for number in range(5):
                await put(ledger, body_of((f"m{number}", "sent")))
            passes.wake.set()
            await reached(lambda: len(owner.got) == 5)
            asyncio.get_running_loop().call_later(SLOW_S, owner.go_on.set)
        async with opened(url, clock) as ledger:
            assert (await ledger.outbox.look()).bodies == 0

    asyncio.run(run())
    assert len(owner.taken) == 5


def test_what_a_stop_cuts_off_is_posted_at_once_by_the_next_process(
    url: str, owner: OwnSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "LAST_POSTS_S", SLOW_S)
    owner.answers[:] = [0]

    async def run() -> None:
        clock = Clock()
        async with relaying(url, owner.url, clock) as (ledger, passes):
            for body in (SENT, READ):
                await put(ledger, body)
            passes.wake.set()
            await reached(lambda: owner.got)
        async with relaying(url, owner.url, clock) as (ledger, _passes):
            await emptied(ledger)

    asyncio.run(run())
    assert owner.got == [SENT, SENT, READ]


def test_what_nobody_took_in_time_is_dropped_and_counted(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    def expired() -> float:
        (value,) = re.findall(rb'forwarded_total\{result="expired"\} (\S+)', metrics.exposition())
        return float(value)

    before = expired()

    async def run() -> None:
        clock = Clock()
        ledger = ledger_at(url, clock)
        await ledger.open()
        await put(ledger, SENT)
        clock.pass_s(8 * 24 * 3600)
        await Watch(outbox=ledger.outbox).round()
        assert (await ledger.outbox.look()).bodies == 0
        await ledger.close()

    asyncio.run(run())
    assert expired() == before + 1
    assert "webhook.expired" in capsys.readouterr().out
