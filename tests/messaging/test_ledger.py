"""The ledger on real SQLite files: what was sent, and what became of it."""

import asyncio
import errno
import inspect
import itertools
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

import proxy
from proxy.errors import DiskFull, LedgerAway, Malformed, NotFound, SettingsInvalid
from proxy.media.kinds import Kind
from proxy.messaging import database
from proxy.messaging.ledger import Entry, Fate, Ledger, LedgerMessage
from proxy.messaging.outcomes import Accepted, NotSent, Outcome, Refused, Uncertain
from proxy.messaging.statuses import State, Status
from proxy.messaging.tables import metadata

T = TypeVar("T")
NUMBER = "491701234567"
EPOCH = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = b"k" * 32


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def using(file: Path, work: Callable[[Ledger], Awaitable[T]]) -> T:
    """Open a ledger whose clock advances a second with every look, work with it, and close it."""

    async def run() -> T:
        ledger = make_ledger(file)
        await ledger.open()
        try:
            return await work(ledger)
        finally:
            await ledger.close()

    return asyncio.run(run())


def make_ledger(file: Path) -> Ledger:
    seconds = itertools.count()
    return Ledger(f"sqlite:///{file}", number_key=KEY, now=lambda: EPOCH + timedelta(seconds=next(seconds)))


def entry(message_id: str = "m1", **fields: object) -> Entry:
    known: dict[str, object] = {
        "id": message_id,
        "kind": Kind.IMAGE,
        "recipient": NUMBER,
        "link": "https://m.example/x",
    }
    return Entry(**known | fields)  # type: ignore[arg-type]  # fields of all types, each test names its own


def status(state: State, *, at_s: int = 0, **fields: object) -> Status:
    known: dict[str, object] = {"message_id": "wamid.1", "recipient": NUMBER, "at": EPOCH + timedelta(seconds=at_s)}
    return Status(status=state, **known | fields)  # type: ignore[arg-type]  # as above


async def known(ledger: Ledger, message_id: str = "m1") -> LedgerMessage:
    message = await ledger.message(message_id)
    assert message is not None
    return message


def test_a_message_that_was_begun_is_found_after_a_crash(file: Path) -> None:
    whole = entry(key="offers/ä.jpg", rendition_id="r1", warnings=("a warning", "ünother"))
    using(file, lambda ledger: ledger.begin(whole))
    found = using(file, known)
    assert found == LedgerMessage(
        id="m1",
        provider_message_id=None,
        kind=Kind.IMAGE,
        key="offers/ä.jpg",
        rendition_id="r1",
        link="https://m.example/x",
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
    file: Path, outcome: Outcome, expected: tuple[Fate, str | None, int | None, str | None]
) -> None:
    async def work(ledger: Ledger) -> LedgerMessage:
        await ledger.begin(entry())
        await ledger.finish("m1", outcome)
        return await known(ledger)

    found = using(file, work)
    assert (found.outcome, found.provider_message_id, found.error_code, found.error_details) == expected
    assert found.updated_at > found.created_at


def test_an_id_is_used_once(file: Path) -> None:
    async def work(ledger: Ledger) -> None:
        await ledger.begin(entry())
        with pytest.raises(Malformed):
            await ledger.begin(entry(link="https://m.example/y"))
        assert (await known(ledger)).link == "https://m.example/x"

    using(file, work)


def test_a_message_that_was_not_begun_is_not_found(file: Path) -> None:
    async def work(ledger: Ledger) -> None:
        assert await ledger.message("m1") is None
        with pytest.raises(NotFound):
            await ledger.finish("m1", Accepted(message_id="wamid.1"))

    using(file, work)


ORDERS = list(itertools.permutations([State.SENT, State.FAILED, State.DELIVERED, State.READ]))


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_statuses_in_any_order_come_to_the_same(file: Path, order: tuple[State, ...]) -> None:
    times = {State.SENT: 1, State.FAILED: 2, State.DELIVERED: 3, State.READ: 4}

    async def work(ledger: Ledger) -> LedgerMessage:
        await ledger.begin(entry())
        await ledger.finish("m1", Accepted(message_id="wamid.1"))
        for state in order:
            code = 131053 if state is State.FAILED else None
            assert await ledger.record([status(state, at_s=times[state], error_code=code)]) == 1
        return await known(ledger)

    found = using(file, work)
    assert (found.status, found.status_at, found.error_code) == (State.READ, EPOCH + timedelta(seconds=4), None)
    assert [passed.status for passed in found.history] == list(times)


def test_a_failure_tells_its_code_and_details(file: Path) -> None:
    async def work(ledger: Ledger) -> LedgerMessage:
        await ledger.begin(entry())
        await ledger.finish("m1", Accepted(message_id="wamid.1"))
        failed = status(State.FAILED, error_code=131053, error_details="http code 404")
        await ledger.record([failed, status(State.SENT, at_s=5)])
        return await known(ledger)

    found = using(file, work)
    assert (found.status, found.error_code, found.error_details) == (State.FAILED, 131053, "http code 404")
    assert found.outcome is Fate.ACCEPTED


def test_a_duplicate_status_is_kept_once(file: Path) -> None:
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

    assert len(using(file, work).history) == 3


def test_statuses_that_come_before_the_answer_are_taken_up_with_it(file: Path) -> None:
    async def work(ledger: Ledger) -> LedgerMessage:
        await ledger.begin(entry())
        assert await ledger.record([status(State.DELIVERED)]) == 1
        assert (await known(ledger)).status is None
        await ledger.finish("m1", Accepted(message_id="wamid.1"))
        return await known(ledger)

    found = using(file, work)
    assert (found.status, found.outcome) == (State.DELIVERED, Fate.ACCEPTED)


LOST: dict[str, Outcome | None] = {
    "crashed": None,
    "uncertain": Uncertain(details="ReadTimeout"),
    "taken_for_refused": Refused(code=None, details="?"),
}


@pytest.mark.parametrize("outcome", LOST.values(), ids=LOST.keys())
def test_a_lost_answer_is_settled_by_its_callback_data(file: Path, outcome: Outcome | None) -> None:
    async def work(ledger: Ledger) -> LedgerMessage:
        await ledger.begin(entry())
        if outcome is not None:
            await ledger.finish("m1", outcome)
        await ledger.record([status(State.SENT, callback_data="m1")])
        await ledger.record([status(State.DELIVERED, at_s=1)])
        return await known(ledger)

    found = using(file, work)
    assert (found.outcome, found.provider_message_id) == (Fate.ACCEPTED, "wamid.1")
    assert (found.status, found.error_details) == (State.DELIVERED, None)


@pytest.mark.parametrize(
    "late", [Uncertain(details="ReadTimeout"), Accepted(message_id="wamid.1")], ids=["uncertain", "accepted"]
)
def test_an_answer_later_than_its_webhook_takes_nothing_back(file: Path, late: Outcome) -> None:
    async def work(ledger: Ledger) -> LedgerMessage:
        await ledger.begin(entry())
        await ledger.record([status(State.SENT, callback_data="m1")])
        await ledger.finish("m1", late)
        return await known(ledger)

    found = using(file, work)
    assert (found.outcome, found.provider_message_id, found.status) == (Fate.ACCEPTED, "wamid.1", State.SENT)
    assert found.error_details is None


def test_callback_data_moves_no_id_from_one_message_to_another(file: Path) -> None:
    async def work(ledger: Ledger) -> None:
        for message_id in ("m1", "m2"):
            await ledger.begin(entry(message_id))
        await ledger.finish("m1", Accepted(message_id="wamid.1"))
        await ledger.record([status(State.READ, callback_data="m2")])
        await ledger.record([status(State.READ, message_id="wamid.2", callback_data="m1")])
        first, second = await known(ledger, "m1"), await known(ledger, "m2")
        assert (first.provider_message_id, first.status) == ("wamid.1", State.READ)
        assert (second.provider_message_id, second.outcome) == (None, Fate.POSTING)

    using(file, work)


def test_a_provider_that_repeats_an_id_loses_no_message(file: Path) -> None:
    async def work(ledger: Ledger) -> LedgerMessage:
        for message_id in ("m1", "m2"):
            await ledger.begin(entry(message_id))
            await ledger.finish(message_id, Accepted(message_id="wamid.1"))
        return await known(ledger, "m2")

    found = using(file, work)
    assert (found.outcome, found.provider_message_id) == (Fate.ACCEPTED, None)
    assert "another message" in str(found.error_details)


def test_the_newest_messages_come_first(file: Path) -> None:
    async def work(ledger: Ledger) -> None:
        for message_id in ("m1", "m2", "m3"):
            await ledger.begin(entry(message_id))
        await ledger.finish("m3", Accepted(message_id="wamid.1"))
        await ledger.record([status(State.SENT)])
        recent = await ledger.recent(2)
        assert [message.id for message in recent] == ["m3", "m2"]
        assert [len(message.history) for message in recent] == [1, 0]
        assert await ledger.recent(-1) == ()

    using(file, work)


def test_times_come_back_in_utc(file: Path) -> None:
    at = datetime(2026, 6, 1, 14, 0, 0, 5, tzinfo=timezone(timedelta(hours=2)))

    async def work(ledger: Ledger) -> LedgerMessage:
        await ledger.begin(entry())
        await ledger.finish("m1", Accepted(message_id="wamid.1"))
        await ledger.record([status(State.SENT, at=at)])
        return await known(ledger)

    found = using(file, work)
    assert found.status_at == found.history[0].at == at
    assert found.status_at.utcoffset() == found.created_at.utcoffset() == timedelta(0)


WRITTEN = [NUMBER, f"+{NUMBER}", f"00{NUMBER}", "+49 170 1234567", "49-170-123-4567"]


def test_no_file_of_the_database_holds_a_number(file: Path) -> None:
    details = f"cannot reach {', '.join(WRITTEN)}"

    async def work(ledger: Ledger) -> bytes:
        await ledger.begin(entry(warnings=(f"{NUMBER} may be a landline",)))
        await ledger.finish("m1", Refused(code=131026, details=details))
        await ledger.begin(entry("m2"))
        await ledger.finish("m2", Accepted(message_id="wamid.1"))
        await ledger.record(
            [
                status(State.FAILED, error_details=details),
                status(State.FAILED, recipient=None, error_details=details),
                status(State.FAILED, message_id="wamid.unknown", error_details=details, callback_data=NUMBER),
            ]
        )
        assert file.with_name(f"{file.name}-wal").stat().st_size > 0
        return b"".join(path.read_bytes() for path in file.parent.iterdir())

    held = using(file, work)
    held += b"".join(path.read_bytes() for path in file.parent.iterdir())
    assert held.count("cannot reach …4567".encode()) >= 4
    assert [written for written in WRITTEN if written.encode() in held] == []


def test_the_database_is_readable_by_its_owner_alone(file: Path) -> None:
    async def work(ledger: Ledger) -> list[int]:
        await ledger.begin(entry())
        return [stat.S_IMODE(file.with_name(file.name + part).stat().st_mode) for part in ("", "-wal", "-shm")]

    assert using(file, work) == [0o600, 0o600, 0o600]


OPENER = """
import asyncio, sys
from datetime import UTC, datetime
from proxy.media.kinds import Kind
from proxy.messaging.ledger import Entry, Ledger

async def main(url, message_id):
    ledger = Ledger(url, number_key=b"k" * 32, now=lambda: datetime.now(UTC))
    print("ready", flush=True)
    sys.stdin.read()
    await ledger.open()
    await ledger.begin(Entry(id=message_id, kind=Kind.IMAGE, recipient="491701234567"))
    await ledger.close()

asyncio.run(main(*sys.argv[1:]))
"""


def test_processes_that_open_at_once_all_find_the_tables(file: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(proxy.__file__).parents[1])}
    started = [
        subprocess.Popen(  # noqa: S603  # our own words
            [sys.executable, "-c", OPENER, f"sqlite:///{file}", f"m{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=tmp_path,
        )
        for number in range(3)
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
    found = using(file, lambda ledger: ledger.recent(10))
    assert {message.id for message in found} == {"m0", "m1", "m2"}


def test_ledgers_of_one_process_write_at_the_same_time(file: Path) -> None:
    async def work() -> tuple[LedgerMessage, ...]:
        ledgers = [make_ledger(file) for _ in range(3)]
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


def test_the_migrations_make_exactly_the_tables(file: Path) -> None:
    using(file, Ledger.check)
    engine = sqlalchemy.create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_a_database_of_another_release_is_left_alone(file: Path) -> None:
    using(file, Ledger.check)
    connection = sqlite3.connect(file)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(SettingsInvalid, match="another release"):
        using(file, Ledger.check)


def test_a_ledger_that_was_not_opened_is_not_ready(file: Path) -> None:
    async def run() -> None:
        ledger = make_ledger(file)
        try:
            await ledger.check()
        finally:
            await ledger.close()

    with pytest.raises(LedgerAway):
        asyncio.run(run())


def test_a_file_that_is_no_database_is_a_ledger_away(file: Path) -> None:
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(LedgerAway):
        using(file, Ledger.check)


def test_a_folder_in_the_place_of_the_file_is_a_ledger_away(file: Path) -> None:
    file.mkdir()
    with pytest.raises(LedgerAway):
        using(file, Ledger.check)


def test_a_locked_database_is_a_ledger_away_until_it_is_free(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)

    async def work(ledger: Ledger) -> None:
        intruder = sqlite3.connect(file, isolation_level=None)
        intruder.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerAway):
            await ledger.begin(entry())
        intruder.execute("ROLLBACK")
        intruder.close()
        await ledger.begin(entry())
        await known(ledger)

    using(file, work)


def test_a_full_disk_is_told_as_such_and_loses_nothing(file: Path) -> None:
    using(file, lambda ledger: ledger.begin(entry()))
    pages = file.stat().st_size // 4096

    def fill(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA max_page_count={pages}")
        cursor.close()

    async def work(ledger: Ledger) -> None:
        with pytest.raises(DiskFull):
            await ledger.begin(entry("m2", link="https://m.example/" + "x" * 100_000))
        assert [message.id for message in await ledger.recent(10)] == ["m1"]
        await ledger.finish("m1", Uncertain(details="ReadTimeout"))

    event.listen(sqlalchemy.Engine, "connect", fill)
    try:
        using(file, work)
    finally:
        event.remove(sqlalchemy.Engine, "connect", fill)


def test_more_calls_than_can_wait_are_turned_away(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "MAX_WAITING", 2)

    async def work(ledger: Ledger) -> list[BaseException | None]:
        return await asyncio.gather(*(ledger.check() for _ in range(3)), return_exceptions=True)

    answers = using(file, work)
    assert [type(answer) for answer in answers] == [type(None), type(None), LedgerAway]


FOREIGN = {
    name: value
    for name, value in vars(sqlalchemy.exc).items()
    if inspect.isclass(value) and issubclass(value, Exception) and not issubclass(value, Warning)
}


@pytest.mark.parametrize("kind", FOREIGN.values(), ids=FOREIGN.keys())
def test_no_exception_of_sqlalchemy_passes_the_door(file: Path, kind: type[Exception]) -> None:
    def fail(_connection: sqlalchemy.Connection) -> NoReturn:
        raise kind.__new__(kind)

    async def run() -> None:
        opened = database.Database(f"sqlite:///{file}")
        try:
            await opened.write(fail)
        finally:
            await opened.close()

    with pytest.raises(LedgerAway):
        asyncio.run(run())


class PostgresIsFull(Exception):
    """Stands for psycopg.errors.DiskFull."""

    sqlstate = "53100"


FULL = {
    "no_space": OSError(errno.ENOSPC, "No space left on device"),
    "quota": OSError(errno.EDQUOT, "Disk quota exceeded"),
    "postgresql": sqlalchemy.exc.OperationalError("INSERT", {}, PostgresIsFull()),
}


@pytest.mark.parametrize("error", FULL.values(), ids=FULL.keys())
def test_every_way_to_say_that_the_disk_is_full_is_understood(file: Path, error: Exception) -> None:
    def fail(_connection: sqlalchemy.Connection) -> NoReturn:
        raise error

    async def run() -> None:
        opened = database.Database(f"sqlite:///{file}")
        try:
            await opened.write(fail)
        finally:
            await opened.close()

    with pytest.raises(DiskFull):
        asyncio.run(run())


@pytest.mark.parametrize(
    "url", ["", "nonsense", "sqlite://", "sqlite:///:memory:", "mysql://a.example/x", "postgresql+nodriver://a/x"]
)
def test_a_url_that_names_no_lasting_database_is_refused(url: str) -> None:
    with pytest.raises(Malformed) as refused:
        Ledger(url, number_key=KEY, now=lambda: EPOCH)
    assert refused.value.field == "ledger URL"
