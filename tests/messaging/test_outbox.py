"""What is to be passed on waits in one commit with its statuses, is claimed by one at a time, and keeps its order."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from proxy.messaging import outbox
from proxy.messaging.ledger import Ledger
from proxy.messaging.outbox import LEASE, Claimed, Tried
from proxy.messaging.parcels import LONGEST_WAIT_S, wait_s
from proxy.messaging.webhooks import parse_webhook
from tests.messaging.ledgers import NUMBER
from tests.messaging.owners import Clock, body_of, opened, parcel_of, put
from tests.messaging.postgres_server import PostgresServer

Work = Callable[[Ledger, Ledger, Clock], Awaitable[None]]
SENT, READ, OTHER = body_of(("a", "sent")), body_of(("a", "read")), body_of(("b", "sent"))
ALL = 100


def two_machines(url: str, work: Work) -> None:
    async def run() -> None:
        clock = Clock()
        async with opened(url, clock) as one, opened(url, clock) as other:
            await work(one, other, clock)

    asyncio.run(run())


def bodies(claimed: list[Claimed]) -> list[bytes]:
    return [each.parcel.body for each in claimed if each.parcel is not None]


def test_a_body_waits_while_an_earlier_one_shares_a_lane(url: str) -> None:
    async def work(one: Ledger, other: Ledger, _clock: Clock) -> None:
        for body in (SENT, READ, OTHER):
            await put(one, body)
        first = await one.outbox.record_and_claim([], ALL)
        assert bodies(first) == [SENT, OTHER]
        assert await other.outbox.record_and_claim([], ALL) == []
        assert bodies(await other.outbox.record_and_claim([Tried(claimed=first[0])], ALL)) == [READ]

    two_machines(url, work)


def test_what_a_sender_wrote_keeps_its_order_and_what_is_about_nothing_waits_for_nobody(url: str) -> None:
    mine, next_of_mine = body_of(sender=NUMBER, mark=1), body_of(sender=NUMBER, mark=2)
    nothing = [b"[]", b"{}"]

    async def work(one: Ledger, _other: Ledger, _clock: Clock) -> None:
        for body in (mine, next_of_mine, *nothing):
            await put(one, body)
        assert bodies(await one.outbox.record_and_claim([], ALL)) == [mine, *nothing]

    two_machines(url, work)


def test_a_body_of_many_lanes_waits_for_each_of_them(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_AT_ONCE", 2)
    both = body_of(*((name, "delivered") for name in "xyzab"))

    async def work(one: Ledger, _other: Ledger, _clock: Clock) -> None:
        for body in (SENT, OTHER, both):
            await put(one, body)
        sent, other = await one.outbox.record_and_claim([], ALL)
        assert await one.outbox.record_and_claim([Tried(claimed=sent)], ALL) == []
        assert bodies(await one.outbox.record_and_claim([Tried(claimed=other)], ALL)) == [both]

    two_machines(url, work)


def test_two_machines_never_claim_the_same(url: str) -> None:
    expected = {body_of((f"m{number}", "sent")) for number in range(20)}

    async def work(one: Ledger, other: Ledger, _clock: Clock) -> None:
        for body in sorted(expected):
            await put(one, body)
        turns = [machine.outbox.record_and_claim([], 3) for machine in (one, other) * 6]
        claimed = [body for found in await asyncio.gather(*turns) for body in bodies(found)]
        assert len(claimed) == len(set(claimed))
        rest = bodies(await one.outbox.record_and_claim([], ALL))
        assert {*claimed, *rest} == expected
        assert len(claimed) + len(rest) == len(expected)

    two_machines(url, work)


@pytest.mark.parametrize("problem", [pytest.param(None, id="taken"), pytest.param("HTTP 503", id="refused")])
def test_who_dies_with_a_claim_loses_it_when_its_lease_ends(url: str, problem: str | None) -> None:
    async def work(one: Ledger, other: Ledger, clock: Clock) -> None:
        await put(one, SENT)
        (lost,) = await one.outbox.record_and_claim([], ALL)
        clock.pass_s(LEASE.total_seconds() - 1)
        assert await other.outbox.record_and_claim([], ALL) == []
        clock.pass_s(1)
        (again,) = await other.outbox.record_and_claim([], ALL)
        assert (lost.attempts, again.attempts) == (1, 2)
        late = Tried(claimed=lost, problem=problem)
        assert await one.outbox.record_and_claim([late], ALL) == [], "late, it takes nothing from who has it now"
        assert (await one.outbox.look()).bodies == 1
        assert await other.outbox.record_and_claim([Tried(claimed=again)], ALL) == []
        assert (await one.outbox.look()).bodies == 0

    two_machines(url, work)


@pytest.mark.parametrize("problem", [pytest.param(None, id="taken"), pytest.param("HTTP 503", id="refused")])
def test_who_comes_back_late_touches_nobody_who_has_its_number_now(url: str, problem: str | None) -> None:
    async def work(one: Ledger, other: Ledger, clock: Clock) -> None:
        await put(one, OTHER)
        (lost,) = await one.outbox.record_and_claim([], ALL)
        clock.pass_s(LEASE.total_seconds())
        (again,) = await other.outbox.record_and_claim([], ALL)
        assert await other.outbox.record_and_claim([Tried(claimed=again)], ALL) == []
        for body in (SENT, READ):
            await put(other, body)
        (sent,) = await other.outbox.record_and_claim([], ALL)
        assert sent.id == lost.id or not url.startswith("sqlite"), "SQLite gives the highest number out again"
        assert await one.outbox.record_and_claim([Tried(claimed=lost, problem=problem, wait_s=60)], ALL) == []
        assert bodies(await other.outbox.record_and_claim([Tried(claimed=sent)], ALL)) == [READ]

    two_machines(url, work)


def test_what_is_in_hand_is_not_claimed_again_and_its_late_answer_counts(url: str) -> None:
    async def work(one: Ledger, _other: Ledger, clock: Clock) -> None:
        await put(one, SENT)
        (mine,) = await one.outbox.record_and_claim([], ALL)
        clock.pass_s(LEASE.total_seconds())
        await put(one, OTHER)
        assert bodies(await one.outbox.record_and_claim([], 1, in_hand={mine.id})) == [OTHER]
        await one.outbox.record_and_claim([Tried(claimed=mine)], 0)
        assert (await one.outbox.look()).bodies == 1

    two_machines(url, work)


def test_what_was_not_taken_is_due_again_after_its_wait_and_its_followers_with_it(url: str) -> None:
    async def work(one: Ledger, _other: Ledger, clock: Clock) -> None:
        await put(one, SENT)
        await put(one, READ)
        (first,) = await one.outbox.record_and_claim([], ALL)
        assert await one.outbox.record_and_claim([Tried(claimed=first, problem="HTTP 500", wait_s=60)], ALL) == []
        await put(one, body_of(("a", "played")))
        due = "SELECT count(*) FROM outbox WHERE problem IS NULL AND due_at < (SELECT max(due_at) FROM outbox)"
        assert await one.database.read(lambda connection: connection.scalar(text(due))) == 0
        clock.pass_s(59)
        assert await one.outbox.record_and_claim([], ALL) == []
        clock.pass_s(1)
        assert bodies(await one.outbox.record_and_claim([], ALL)) == [SENT]

    two_machines(url, work)


def test_what_nobody_took_for_a_week_is_dropped_with_its_lanes(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_AT_ONCE", 2)

    def left(connection: Connection) -> tuple[object, ...]:
        return tuple(connection.scalars(text("SELECT count(*) FROM outbox UNION ALL SELECT count(*) FROM lanes")))

    async def work(one: Ledger, _other: Ledger, clock: Clock) -> None:
        for body in (SENT, READ, OTHER):
            await put(one, body)
        clock.pass_s(outbox.KEPT_FOR.total_seconds() - 1)
        await put(one, body_of(("a", "played")))
        assert await one.outbox.drop_expired() == 0
        clock.pass_s(1)
        assert await one.outbox.record_and_claim([], ALL) == [], (
            "what is over is not posted, and holds its lane until it is gone"
        )
        assert [await one.outbox.drop_expired() for _ in range(3)] == [2, 1, 0]
        assert await one.database.read(left) == (1, 1)
        assert len(await one.outbox.record_and_claim([], ALL)) == 1

    two_machines(url, work)


def test_a_body_that_no_key_opens_is_claimed_without_its_contents(url: str) -> None:
    async def run() -> None:
        clock = Clock()
        async with opened(url, clock) as one, opened(url, clock, (b"n" * 32,)) as rotated:
            await put(one, SENT)
            (claimed,) = await rotated.outbox.record_and_claim([], ALL)
            assert claimed.parcel is None

    asyncio.run(run())


def test_how_much_waits_is_told_and_when_it_is_too_much(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MAX_BODIES", 2)

    async def work(one: Ledger, _other: Ledger, clock: Clock) -> None:
        await put(one, SENT)
        clock.pass_s(299)
        assert await one.outbox.remark() is None
        assert not one.outbox.is_full
        await put(one, OTHER)
        clock.pass_s(1)
        told = await one.outbox.remark()
        assert told is not None
        assert told.startswith("2 webhooks wait to be passed on, the oldest for 5 minutes.")
        assert one.outbox.is_full

    two_machines(url, work)


def test_statuses_and_what_goes_beside_them_are_one_commit(url: str) -> None:
    def broken(_connection: Connection) -> None:
        raise ValueError("the power went")

    async def work(one: Ledger, _other: Ledger, _clock: Clock) -> None:
        webhook = parse_webhook(SENT, received_at=Clock().at)
        keeping = one.outbox.keeping(parcel_of(SENT))
        with pytest.raises(ValueError, match="power"):
            await one.take(webhook.statuses, [keeping, broken])
        assert (await one.outbox.look()).bodies == 0
        (kept,) = await one.take(webhook.statuses, [keeping])
        assert kept.new
        assert (await one.outbox.look()).bodies == 1

    two_machines(url, work)


def test_waits_double_up_to_ten_minutes_and_differ_by_half() -> None:
    assert [wait_s(attempts, 1.0) for attempts in (1, 2, 3, 10)] == [1.0, 2.0, 4.0, 512.0]
    assert {wait_s(attempts, 1.0) for attempts in (11, 1000)} == {LONGEST_WAIT_S}
    assert wait_s(3, 0.0) == 2.0


def fill(url: str) -> None:
    async def work(one: Ledger, _other: Ledger, _clock: Clock) -> None:
        await put(one, body_of((f"wamid.{NUMBER}", "sent"), sender=NUMBER))
        await one.take([], [one.unread.keeping(body_of(sender=NUMBER))])
        (claimed,) = await one.outbox.record_and_claim([], ALL)
        await one.outbox.record_and_claim([Tried(claimed=claimed, problem="HTTP 500", wait_s=1)], 0)

    two_machines(url, work)


def test_no_file_of_the_database_holds_what_waits(file: Path) -> None:
    fill(f"sqlite:///{file}")
    held = b"".join(path.read_bytes() for path in file.parent.iterdir())
    assert b"HTTP 500" in held
    # the id of a message stands in the history of its statuses, and nowhere else
    assert held.count(NUMBER.encode()) == held.count(f"wamid.{NUMBER}".encode())
    assert b"Guten Tag" not in held


def test_no_file_of_the_server_holds_what_waits(own_postgres: PostgresServer) -> None:
    fill(own_postgres.url(own_postgres.new_database()))
    own_postgres.run("CHECKPOINT")
    held = b"".join(path.read_bytes() for path in own_postgres.data.parent.rglob("*") if path.is_file())
    assert b"HTTP 500" in held
    assert b"Guten Tag" not in held
    assert b'"from": "' not in held
