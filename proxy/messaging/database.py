"""The door to the database under the ledger: its threads, its transactions, and what its failures mean here."""

import asyncio
import errno
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from typing import Protocol, TypeVar

from alembic.util import CommandError
from sqlalchemy import Connection, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, EmulatedDBAPIException, SQLAlchemyError

from proxy.errors import DiskFull, LedgerAway, Malformed, SettingsInvalid
from proxy.messaging import migrations
from proxy.messaging.calls import Call
from proxy.messaging.ledger_urls import parse_ledger_url
from proxy.messaging.postgres import MIGRATION_TIMEOUT_S, Postgres
from proxy.messaging.sqlite_file import SqliteFile

THREADS = 4
MAX_WAITING = 1000
"""Calls that wait for a thread; more are turned away rather than kept waiting for minutes."""
CALL_TIMEOUT_S = 15.0
"""From the call to its answer, the wait for a thread included."""
_ROLLED_BACK = frozenset({"23505", "40001", "40P01"})
"""PostgreSQL took all back because another process came between; a second look sees what that one did."""
_FORBIDDEN = "42501"

T = TypeVar("T")


class Backend(Protocol):
    writers: Engine
    readers: Engine

    def migrating(self) -> AbstractContextManager[Connection]:
        """Open a transaction that no other process migrates beside."""
        ...

    def cut(self, connection: DBAPIConnection) -> None:
        """End what another thread waits for on this connection."""
        ...


class Database:
    def __init__(self, url: str) -> None:
        try:
            parsed = parse_ledger_url(url)
        except ValueError as error:
            raise Malformed(field="ledger URL", problem=str(error)) from None
        kind = SqliteFile if parsed.is_sqlite else Postgres
        self._backend: Backend = kind(parsed.parsed, connections=THREADS)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="ledger")
        self._waiting = 0

    async def open(self) -> None:
        await self._in_thread(self._migrate, MIGRATION_TIMEOUT_S)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._in_thread(partial(_done, self._backend.readers, work, idempotent=True))

    async def write(self, work: Callable[[Connection], T], *, idempotent: bool) -> T:
        """Do work in one transaction, and once more where a lost connection or another process undid it.

        Work that is not idempotent is not repeated when the answer to its commit is what was lost.
        """
        return await self._in_thread(partial(_done, self._backend.writers, work, idempotent=idempotent))

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)
        self._backend.writers.dispose()

    async def _in_thread(self, work: Callable[[Call], T], timeout_s: float | None = None) -> T:
        if self._waiting >= MAX_WAITING:
            raise LedgerAway
        self._waiting += 1
        call = Call(self._backend.cut)
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S if timeout_s is None else timeout_s):
                return await asyncio.get_running_loop().run_in_executor(self._threads, _translated(work, call))
        except TimeoutError as error:
            call.give_up()
            raise LedgerAway from error
        finally:
            self._waiting -= 1

    def _migrate(self, call: Call) -> None:
        try:
            with self._backend.migrating() as connection, call.on(connection):
                migrations.upgrade(connection)
        except CommandError as error:
            mistake = f"the ledger's database was made by another release ({error}); run that one, or a newer"
            raise SettingsInvalid(mistakes=(mistake,)) from error
        except DBAPIError as error:
            if _sqlstate(error) == _FORBIDDEN:
                refusal = str(error.orig).splitlines()[0]
                mistake = f"LEDGER_URL: {refusal}; its user must be allowed to create tables and to write to them"
                raise SettingsInvalid(mistakes=(mistake,)) from error
            raise


def _done(engine: Engine, work: Callable[[Connection], T], call: Call, *, idempotent: bool) -> T:
    try:
        return _transaction(engine, work, call)
    except DBAPIError as error:
        undone = error.connection_invalidated and (idempotent or not call.committing)
        if call.given_up or not (undone or _sqlstate(error) in _ROLLED_BACK):
            raise
    return _transaction(engine, work, call)


def _transaction(engine: Engine, work: Callable[[Connection], T], call: Call) -> T:
    with engine.connect() as connection, call.on(connection), connection.begin() as transaction:
        result = work(connection)
        call.committing = True
        transaction.commit()
    return result


def _translated(work: Callable[[Call], T], call: Call) -> Callable[[], T]:
    def translated() -> T:
        try:
            return work(call)
        except (SQLAlchemyError, EmulatedDBAPIException, sqlite3.Error, OSError) as error:
            if _is_disk_full(error):
                raise DiskFull from error
            raise LedgerAway from error

    return translated


def _sqlstate(error: Exception) -> str | None:
    state = getattr(getattr(error, "orig", None) or error, "sqlstate", None)
    return state if isinstance(state, str) else None


def _is_disk_full(error: Exception) -> bool:
    cause = getattr(error, "orig", None) or error
    return (
        getattr(cause, "sqlite_errorcode", None) in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}
        or _sqlstate(error) == "53100"
        or getattr(cause, "errno", None) in {errno.ENOSPC, errno.EDQUOT}
    )
