"""The ledger's own file: who may read it, and what stands in its way."""

import sqlite3
import stat
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from proxy.errors import DiskFull, LedgerAway
from proxy.messaging import sqlite_file
from proxy.messaging.ledger import Ledger
from proxy.messaging.outcomes import Uncertain
from tests.messaging.ledgers import WRITTEN, entry, known, using, write_numbers


def test_no_file_of_the_database_holds_a_number(file: Path) -> None:
    async def work(ledger: Ledger) -> bytes:
        await write_numbers(ledger)
        assert file.with_name(f"{file.name}-wal").stat().st_size > 0
        return b"".join(path.read_bytes() for path in file.parent.iterdir())

    held = using(f"sqlite:///{file}", work)
    held += b"".join(path.read_bytes() for path in file.parent.iterdir())
    assert held.count("cannot reach …4567".encode()) >= 4
    assert [written for written in WRITTEN if written.encode() in held] == []


def test_the_database_is_readable_by_its_owner_alone(file: Path) -> None:
    async def work(ledger: Ledger) -> list[int]:
        await ledger.begin(entry())
        return [stat.S_IMODE(file.with_name(file.name + part).stat().st_mode) for part in ("", "-wal", "-shm")]

    assert using(f"sqlite:///{file}", work) == [0o600, 0o600, 0o600]


def test_a_file_that_is_no_database_is_a_ledger_away(file: Path) -> None:
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(LedgerAway):
        using(f"sqlite:///{file}", Ledger.check)


def test_a_folder_in_the_place_of_the_file_is_a_ledger_away(file: Path) -> None:
    file.mkdir()
    with pytest.raises(LedgerAway):
        using(f"sqlite:///{file}", Ledger.check)


def test_a_locked_database_is_a_ledger_away_until_it_is_free(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT_S", 0.05)

    async def work(ledger: Ledger) -> None:
        intruder = sqlite3.connect(file, isolation_level=None)
        intruder.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerAway):
            await ledger.begin(entry())
        intruder.execute("ROLLBACK")
        intruder.close()
        await ledger.begin(entry())
        await known(ledger)

    using(f"sqlite:///{file}", work)


def test_a_full_disk_is_told_as_such_and_loses_nothing(file: Path) -> None:
    using(f"sqlite:///{file}", lambda ledger: ledger.begin(entry()))
    pages = file.stat().st_size // 4096

    def fill(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA max_page_count={pages}")
        cursor.close()

    async def work(ledger: Ledger) -> None:
        with pytest.raises(DiskFull):
            await ledger.begin(entry("m2", warnings=("x" * 100_000,)))
        assert [message.id for message in await ledger.recent(10)] == ["m1"]
        await ledger.finish("m1", Uncertain(details="ReadTimeout"))

    event.listen(sqlalchemy.Engine, "connect", fill)
    try:
        using(f"sqlite:///{file}", work)
    finally:
        event.remove(sqlalchemy.Engine, "connect", fill)
