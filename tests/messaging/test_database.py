"""The door to the database: how many may wait, for how long, and what its failures mean."""

import asyncio
import errno
import inspect
import threading
from pathlib import Path
from typing import NoReturn

import pytest
import sqlalchemy

from proxy.errors import DiskFull, LedgerAway
from proxy.messaging import database
from proxy.messaging.ledger import Ledger
from tests.messaging.ledgers import entry, make_ledger, using
from tests.messaging.postgres_server import PostgresServer


def test_more_calls_than_can_wait_are_turned_away(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "MAX_WAITING", 2)

    async def work(ledger: Ledger) -> list[BaseException | None]:
        return await asyncio.gather(*(ledger.check() for _ in range(3)), return_exceptions=True)

    answers = using(f"sqlite:///{file}", work)
    assert [type(answer) for answer in answers] == [type(None), type(None), LedgerAway]


LONG = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 50000000) SELECT count(*) FROM n",
    "postgresql": "SELECT pg_sleep(60)",
}
"""A minute or so: a call that is not ended fails its test instead of hanging it."""


@pytest.mark.parametrize("when", ["while_it_runs", "before_it_begins"])
def test_a_call_that_takes_too_long_is_given_up_and_frees_its_thread(
    url: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_begin = threading.Event()

    def take_long(connection: sqlalchemy.Connection) -> None:
        may_begin.wait()
        connection.execute(sqlalchemy.text(LONG[connection.dialect.name]))

    async def run() -> None:
        opened = database.Database(url)
        try:
            await opened.open()
            if when == "while_it_runs":
                may_begin.set()
            with monkeypatch.context() as hasty:
                hasty.setattr(database, "CALL_TIMEOUT_S", 0.2)
                calls = [opened.read(take_long) for _ in range(database.THREADS * 2)]
                answers = await asyncio.gather(*calls, return_exceptions=True)
            may_begin.set()
            assert {type(answer) for answer in answers} == {LedgerAway}
            assert await opened.read(lambda connection: connection.scalar(sqlalchemy.text("SELECT 7"))) == 7
        finally:
            may_begin.set()
            await opened.close()

    asyncio.run(run())


def test_what_is_read_together_is_of_one_moment(url: str) -> None:
    count = sqlalchemy.text("SELECT count(*) FROM messages")

    async def run() -> tuple[int, int]:
        opened, other = make_ledger(url), database.Database(url)
        loop = asyncio.get_running_loop()

        def read_twice(connection: sqlalchemy.Connection) -> tuple[int, int]:
            first = connection.execute(count).scalar_one()
            asyncio.run_coroutine_threadsafe(opened.begin(entry()), loop).result()
            return first, connection.execute(count).scalar_one()

        try:
            await opened.open()
            return await other.read(read_twice)
        finally:
            await other.close()
            await opened.close()

    assert asyncio.run(run()) == (0, 0)


def test_nothing_outlives_a_transaction_that_a_pooler_would_lose(postgres: PostgresServer) -> None:
    left = sqlalchemy.text("SELECT count(*) FROM pg_prepared_statements")

    async def run() -> set[int]:
        opened = database.Database(postgres.url(postgres.new_database()))
        try:
            return {await opened.read(lambda connection: connection.execute(left).scalar_one()) for _ in range(20)}
        finally:
            await opened.close()

    assert asyncio.run(run()) == {0}


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
            await opened.write(fail, idempotent=True)
        finally:
            await opened.close()

    with pytest.raises(LedgerAway):
        asyncio.run(run())


FULL = {
    "no_space": OSError(errno.ENOSPC, "No space left on device"),
    "quota": OSError(errno.EDQUOT, "Disk quota exceeded"),
}


@pytest.mark.parametrize("error", FULL.values(), ids=FULL.keys())
def test_every_way_to_say_that_the_disk_is_full_is_understood(file: Path, error: Exception) -> None:
    def fail(_connection: sqlalchemy.Connection) -> NoReturn:
        raise error

    async def run() -> None:
        opened = database.Database(f"sqlite:///{file}")
        try:
            await opened.write(fail, idempotent=True)
        finally:
            await opened.close()

    with pytest.raises(DiskFull):
        asyncio.run(run())
