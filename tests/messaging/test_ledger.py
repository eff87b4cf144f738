"""What the ledger promises, on SQLite and on PostgreSQL: what was sent, and what became of it."""

import asyncio
import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

import proxy
from proxy.errors import LedgerAway, Malformed, NotFound, SettingsInvalid
from proxy.media.kinds import Kind
from proxy.messaging.entries import LedgerMedium
from proxy.messaging.histories import Histories
from proxy.messaging.ledger import Fate, Ledger, LedgerMessage
from proxy.messaging.ledger_urls import parse_ledger_url
from proxy.messaging.outcomes import Accepted, NotSent, Outcome, Refused, Uncertain
from proxy.messaging.statuses import State, Status, rank
from proxy.messaging.tables import metadata
from tests.messaging.ledgers import EPOCH, entry, known, make_ledger, status, using


def test_a_message_that_was_begun_is_found_after_a_crash(url: str) -> None:
    media = (
        LedgerMedium(kind=Kind.IMAGE, key="offers/ä.jpg", rendition_id="r1", link="https://m.example/x"),
        LedgerMedium(kind=Kind.VIDEO),
    )
    whole = entry(media=media, warnings=("a warning", "ünother"))
    using(url, lambda ledger: ledger.begin(whole))
    found = using(url, known)
    assert found == LedgerMessage(
        id="m1",
        provider_message_id=None,
        type="image",
        media=media,
        recipient_last4="4567",
        outcome=Fate.POSTING,
        error_code=None,
        error_details=None,
        warnings=("a warning", "ünother"),
        status=None,
        status_at=None,
        created_at=EPOCH,
        updated_at=EPOCH,
    )


OUTCOMES: dict[str, tuple[Outcome, tuple[Fate, str | None, int | None, str | None]]] = {
    "accepted": (Accepted(message_id="wamid.1"), (Fate.ACCEPTED, "wamid.1", None, None)),
    "refused": (Refused(code=131009, details="bad"), (Fate.REFUSED, None, 131009, "bad")),
    "refused_without_code": (Refused(code=None, details="bad"), (Fate.REFUSED, None, None, "bad")),
    "uncertain": (Uncertain(details="ReadTimeout"), (Fate.UNCERTAIN, None, None, "ReadTimeout")),
    "not_sent": (NotSent(details="ConnectError"), (Fate.NOT_SENT, None, None, "ConnectError")),
}


@pytest.mark.parametrize(("outcome", "expected"), OUTCOMES.values(), ids=OUTCOMES.keys())
def test_an_outcome_is_written_down(
    url: str, outcome: Outcome, expected: tuple[Fate, str | None, int | None, str | None]
) -> None:
    async def work(ledger: Ledger) -> LedgerMessage:
        await ledger.begin(entry())
        await ledger.finish("m1", outcome)
        return await known(ledger)

    found = using(url, work)
    assert (found.outcome, found.provider_message_id, found.error_code, found.error_details) == expected
    assert found.updated_at > found.created_at


def test_an_id_is_used_once(url: str) -> None:
    async def work(ledger: Ledger) -> None:
        await ledger.begin(entry())
        with pytest.raises(Malformed):
            await ledger.begin(entry(media=(LedgerMedium(kind=Kind.VIDEO),)))
        assert [medium.kind for medium in (await known(ledger)).media] == [Kind.IMAGE]

    using(url, work)


def test_a_message_that_was_not_begun_is_not_found(url: str) -> None:
    async def work(ledger: Ledger) -> None:
        assert await ledger.message("m1") is None
        with pytest.raises(NotFound):
            await ledger.finish("m1", Accepted(message_id="wamid.1"))

    using(url, work)


ORDERS = list(itertools.permutations([State.SENT, State.FAILED, State.DELIVERED, State.READ]))


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_statuses_in_any_order_come_to_the_same(url: str, order: tuple[State, ...]) -> None:
    times = {State.SENT: 1, State.FAILED: 2, State.DELIVERED: 3, State.READ: 4}

    async def work(ledger: Ledger) -> LedgerMessage:
        await ledger.begin(entry())
        await ledger.finish("m1", Accepted(message_id="wamid.1"))
        for state in order:
            code = 131053 if state is State.FAILED else None
            assert await ledger.record([status(state, at_s=times[state], error_code=code)]) == 1
        return await known(ledger)

    found = using(url, work)
    assert (found.status, found.status_at, found.error_code) == (State.READ, EPOCH + timedelta(seconds=4), None)
    assert [passed.status for passed in found.history] == list(times)


def test_a_failure_tells_its_code_and_details(url: str) -> None:
    async def work(ledger: Ledger) -> LedgerMessage:
        await ledger.begin(entry())
        await ledger.finish("m1", Accepted(message_id="wamid.1"))
        failed = status(State.FAILED, error_code=131053, error_details="http code 404")
        await ledger.record([failed, status(State.SENT, at_s=5)])
        return await known(ledger)

    found = using(url, work)
    assert (found.status, found.error_code, found.error_details) == (State.FAILED, 131053, "http code 404")
    assert found.outcome is Fate.ACCEPTED


def test_a_duplicate_status_is_kept_once(url: str) -> None:
    async def work(ledger: Ledger) -> LedgerMessage:
        await ledger.begin(entry())
        await ledger.finish("m1", Accepted(message_id="wamid.1"))
        sent = status(State.SENT)
        assert await ledger.record([sent, sent]) == 1
        assert await ledger.record([sent, status(State.SENT, at_s=9)]) == 0
        anonymous = status(State.SENT, recipient=None)
        assert await ledger.record([anonymous, anonymous]) == 1
        assert await ledger.record([status(State.SENT, recipient="16505550100")]) == 1
        assert await ledger.record([]) == 0
        return await known(ledger)

    assert len(using(url, work).history) == 3


def test_statuses_that_come_before_the_answer_are_taken_up_with_it(url: str) -> None:
    async def work(ledger: Ledger) -> LedgerMessage:
        await ledger.begin(entry())
        assert await ledger.record([status(State.DELIVERED)]) == 1
        assert (await known(ledger)).status is None
        await ledger.finish("m1", Accepted(message_id="wamid.1"))
        return await known(ledger)

    found = using(url, work)
    assert (found.status, found.outcome) == (State.DELIVERED, Fate.ACCEPTED)


LOST: dict[str, Outcome | None] = {
    "crashed": None,
    "uncertain": Uncertain(details="ReadTimeout"),
    "taken_for_refused": Refused(code=None, details="?"),
}


@pytest.mark.parametrize("outcome", LOST.values(), ids=LOST.keys())
def test_a_lost_answer_is_settled_by_its_callback_data(url: str, outcome: Outcome | None) -> None:
    async def work(ledger: Ledger) -> LedgerMessage:
        await ledger.begin(entry())
        if outcome is not None:
            await ledger.finish("m1", outcome)
        await ledger.record([status(State.SENT, callback_data="m1")])
        await ledger.record([status(State.DELIVERED, at_s=1)])
        return await known(ledger)

    found = using(url, work)
    assert (found.outcome, found.provider_message_id) == (Fate.ACCEPTED, "wamid.1")
    assert (found.status, found.error_details) == (State.DELIVERED, None)


@pytest.mark.parametrize(
    "late", [Uncertain(details="ReadTimeout"), Accepted(message_id="wamid.1")], ids=["uncertain", "accepted"]
)
def test_an_answer_later_than_its_webhook_takes_nothing_back(url: str, late: Outcome) -> None:
    async def work(ledger: Ledger) -> LedgerMessage:
        await ledger.begin(entry())
        await ledger.record([status(State.SENT, callback_data="m1")])
        await ledger.finish("m1", late)
        return await known(ledger)

    found = using(url, work)
    assert (found.outcome, found.provider_message_id, found.status) == (Fate.ACCEPTED, "wamid.1", State.SENT)
    assert found.error_details is None


def test_callback_data_moves_no_id_from_one_message_to_another(url: str) -> None:
    async def work(ledger: Ledger) -> None:
        for message_id in ("m1", "m2"):
            await ledger.begin(entry(message_id))
        await ledger.finish("m1", Accepted(message_id="wamid.1"))
        await ledger.record([status(State.READ, callback_data="m2")])
        await ledger.record([status(State.READ, message_id="wamid.2", callback_data="m1")])
        first, second = await known(ledger, "m1"), await known(ledger, "m2")
        assert (first.provider_message_id, first.status) == ("wamid.1", State.READ)
        assert (second.provider_message_id, second.outcome) == (None, Fate.POSTING)

    using(url, work)


def test_a_provider_that_repeats_an_id_loses_no_message(url: str) -> None:
    async def work(ledger: Ledger) -> LedgerMessage:
        for message_id in ("m1", "m2"):
            await ledger.begin(entry(message_id))
            await ledger.finish(message_id, Accepted(message_id="wamid.1"))
        return await known(ledger, "m2")

    found = using(url, work)
    assert (found.outcome, found.provider_message_id) == (Fate.ACCEPTED, None)
    assert "another message" in str(found.error_details)


def test_the_newest_messages_come_first(url: str) -> None:
    async def work(ledger: Ledger) -> None:
        for message_id in ("m1", "m2", "m3"):
            await ledger.begin(entry(message_id))
        await ledger.finish("m3", Accepted(message_id="wamid.1"))
        await ledger.record([status(State.SENT)])
        recent = await ledger.recent(2)
        assert [message.id for message in recent] == ["m3", "m2"]
        assert [len(message.history) for message in recent] == [1, 0]
        assert await ledger.recent(-1) == ()

    using(url, work)


def test_times_come_back_in_utc(url: str) -> None:
    at = datetime(2026, 6, 1, 14, 0, 0, 5, tzinfo=timezone(timedelta(hours=2)))

    async def work(ledger: Ledger) -> LedgerMessage:
        await ledger.begin(entry())
        await ledger.finish("m1", Accepted(message_id="wamid.1"))
        await ledger.record([status(State.SENT, at=at)])
        return await known(ledger)

    found = using(url, work)
    assert found.status_at == found.history[0].at == at
    assert found.status_at.utcoffset() == found.created_at.utcoffset() == timedelta(0)


OPENER = """
import asyncio, sys
from datetime import UTC, datetime
from proxy.media.kinds import Kind
from proxy.messaging.ledger import Entry, Ledger

async def main(url, message_id):
    ledger = Ledger(url, keys=(b"k" * 32,), now=lambda: datetime.now(UTC))
    print("ready", flush=True)
    sys.stdin.read()
    await ledger.open()
    await ledger.begin(Entry(id=message_id, type="image", recipient="491701234567"))
    await ledger.close()

asyncio.run(main(*sys.argv[1:]))
"""

RECORDER = """
import asyncio, json, sys
from datetime import UTC, datetime
from proxy.messaging.ledger import Ledger
from proxy.messaging.statuses import State, Status

def status(fields):
    return Status(**fields | {"status": State(fields["status"]), "at": datetime.fromisoformat(fields["at"])})

async def main(url, bodies):
    ledger = Ledger(url, keys=(b"k" * 32,), now=lambda: datetime.now(UTC))
    await ledger.open()
    print("ready", flush=True)
    sys.stdin.read()
    await asyncio.gather(*(ledger.record([status(fields) for fields in body]) for body in json.loads(bodies)))
    await ledger.close()

asyncio.run(main(*sys.argv[1:]))
"""


def run_at_once(program: str, arguments: Sequence[Sequence[str]], folder: Path) -> None:
    """Start one process for each row of arguments, and let them go when all are ready."""
    environment = os.environ | {"PYTHONPATH": str(Path(proxy.__file__).parents[1]) + ":/tmp/pgw/psy"}
    started = [
        subprocess.Popen(  # noqa: S603  # our own words
            [sys.executable, "-c", program, *row],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=folder,
        )
        for row in arguments
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
    for process in started:
        with process:
            assert process.stderr is not None
            assert process.stderr.read() == b""
        assert process.returncode == 0


def test_processes_that_open_at_once_all_find_the_tables(url: str, tmp_path: Path) -> None:
    run_at_once(OPENER, [[url, f"m{number}"] for number in range(3)], tmp_path)
    found = using(url, lambda ledger: ledger.recent(10))
    assert {message.id for message in found} == {"m0", "m1", "m2"}


def test_what_processes_record_at_once_out_of_order_and_twice_comes_to_the_same_as_in_order(
    url: str, tmp_path: Path
) -> None:
    members = ("16505550100", "16505550101", None)
    told = [
        status(state, message_id=f"wamid.{number}", recipient=member, callback_data=f"m{number}", at_s=rank(state) // 2)
        for number in range(4)
        for state in State
        for member in members
    ]
    chance = random.Random(1)  # noqa: S311 - the same disorder every time

    def bodies() -> str:
        """Put everything in twice, in any order, into webhooks of any length."""
        shuffled = chance.sample(told * 2, len(told) * 2)
        cuts = sorted(chance.sample(range(1, len(shuffled)), 12))
        return json.dumps([list(map(in_json, shuffled[a:b])) for a, b in itertools.pairwise([0, *cuts, None])])

    async def begin(ledger: Ledger) -> None:
        for number in range(4):
            await ledger.begin(entry(f"m{number}"))
            await ledger.begin(entry(f"calm{number}"))

    async def record_in_order(ledger: Ledger) -> None:
        for each in told:
            assert (
                await ledger.record(
                    [replace(each, message_id=f"calm.{each.message_id}", callback_data=f"cal{each.callback_data}")]
                )
                == 1
            )

    using(url, begin)
    run_at_once(RECORDER, [[url, bodies()], [url, bodies()]], tmp_path)
    using(url, record_in_order)
    found = {message.id: message for message in using(url, lambda ledger: ledger.recent(10))}
    for number in range(4):
        assert story(found[f"m{number}"]) == story(found[f"calm{number}"])
        assert len(found[f"m{number}"].history) == len(State) * len(members)


def in_json(told: Status) -> dict[str, object]:
    return {
        "message_id": told.message_id,
        "status": told.status,
        "recipient": told.recipient,
        "callback_data": told.callback_data,
        "at": told.at.isoformat(),
    }


def story(message: LedgerMessage) -> tuple[object, ...]:
    history = [(passed.status, passed.at) for passed in message.history]
    return message.outcome, message.status, message.status_at, history


def test_ledgers_of_one_process_write_at_the_same_time(url: str) -> None:
    async def work() -> tuple[LedgerMessage, ...]:
        ledgers = [make_ledger(url) for _ in range(3)]
        await asyncio.gather(*(ledger.open() for ledger in ledgers))

        async def send(number: int) -> None:
            ledger, other = ledgers[number % 3], ledgers[(number + 1) % 3]
            await ledger.begin(entry(f"m{number}"))
            sent, read = (
                status(state, message_id=f"wamid.{number}", callback_data=f"m{number}")
                for state in (State.SENT, State.READ)
            )
            finish = ledger.finish(f"m{number}", Accepted(message_id=f"wamid.{number}"))
            await asyncio.gather(finish, other.record([sent]), ledger.record([read, sent]))

        await asyncio.gather(*(send(number) for number in range(24)))
        found = await ledgers[0].recent(100)
        for ledger in ledgers:
            await ledger.close()
        return found

    found = asyncio.run(work())
    assert {message.id: message.provider_message_id for message in found} == {
        f"m{number}": f"wamid.{number}" for number in range(24)
    }
    assert {(message.outcome, message.status, len(message.history)) for message in found} == {
        (Fate.ACCEPTED, State.READ, 2)
    }


def test_statuses_of_one_second_are_told_in_the_order_of_their_meaning(url: str) -> None:
    async def work(ledger: Ledger) -> LedgerMessage:
        await ledger.begin(entry())
        await ledger.finish("m1", Accepted(message_id="wamid.1"))
        for state in (State.READ, State.SENT, State.DELIVERED):
            await ledger.record([status(state)])
        return await known(ledger)

    history = using(url, work).history
    assert [passed.status for passed in history] == [State.SENT, State.DELIVERED, State.READ]


@pytest.mark.parametrize("error", [LedgerAway(), ValueError("unforeseen")], ids=["away", "unforeseen"])
def test_what_is_written_down_and_not_settled_is_settled_later_and_written_once(
    url: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []

    def fail(*_: object) -> None:
        raise error

    async def work(ledger: Ledger) -> LedgerMessage:
        await ledger.begin(entry())
        await ledger.finish("m1", Accepted(message_id="wamid.1"))
        with monkeypatch.context() as broken:
            broken.setattr(Histories, "settle", fail)
            taken = [ledger.take([status(state)], [lambda _: written.append(1)]) for state in (State.SENT, State.READ)]
            kept = await asyncio.gather(*taken)
        assert [[each.new for each in one] for one in kept] == [[True], [True]]
        assert (await known(ledger)).status is None
        await ledger.settle_rest()
        return await known(ledger)

    assert using(url, work).status is State.READ
    assert len(written) == 2


def test_one_that_cannot_be_settled_keeps_no_other(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    really = Histories.settle

    def settle(self: Histories, names: set[str], connection: sqlalchemy.Connection) -> dict[str, str]:
        if "wamid.bad" in names:
            raise ValueError("unforeseen")
        return really(self, names, connection)

    async def work(ledger: Ledger) -> LedgerMessage:
        await ledger.begin(entry())
        await ledger.finish("m1", Accepted(message_id="wamid.1"))
        monkeypatch.setattr(Histories, "settle", settle)
        await ledger.record([status(State.SENT, message_id="wamid.bad"), status(State.SENT)])
        assert (await known(ledger)).status is None
        await ledger.settle_rest()
        assert (await known(ledger)).status is State.SENT
        await ledger.record([status(State.READ)])
        return await known(ledger)

    assert using(url, work).status is State.READ


def test_the_migrations_make_exactly_the_tables(url: str) -> None:
    using(url, Ledger.check)
    engine = sqlalchemy.create_engine(parse_ledger_url(url).parsed)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_a_database_of_another_release_is_left_alone(url: str) -> None:
    using(url, Ledger.check)
    engine = sqlalchemy.create_engine(parse_ledger_url(url).parsed)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(SettingsInvalid, match="another release"):
        using(url, Ledger.check)


def test_a_ledger_that_was_not_opened_is_not_ready(url: str) -> None:
    async def run() -> None:
        ledger = make_ledger(url)
        try:
            await ledger.check()
        finally:
            await ledger.close()

    with pytest.raises(LedgerAway):
        asyncio.run(run())
