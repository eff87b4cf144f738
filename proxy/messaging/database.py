"""The door to the database under the ledger: its threads, its transactions, and what its failures mean here."""

import asyncio
import errno
import fcntl
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, EmulatedDBAPIException, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from proxy.errors import DiskFull, LedgerAway, Malformed, SettingsInvalid
from proxy.messaging import migrations

THREADS = 4
MAX_WAITING = 1000
"""Calls that wait for a thread; more are turned away rather than kept waiting for minutes."""
BUSY_TIMEOUT_S = 5.0
_MIGRATION_LOCK = 0x6D656469
"""Any number, as long as nobody else takes the same advisory lock in that PostgreSQL."""

T = TypeVar("T")


class Database:
    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self._readers = self._engine.execution_options(reads=True)
        self._file = Path(self._engine.url.database or "") if self._engine.dialect.name == "sqlite" else None
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="ledger")
        self._waiting = 0

    async def open(self) -> None:
        await self._in_thread(self._migrate)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._in_thread(lambda: _transaction(self._readers, work))

    async def write(self, work: Callable[[Connection], T]) -> T:
        return await self._in_thread(lambda: _transaction(self._engine, work))

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)
        self._engine.dispose()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise LedgerAway
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, _translated(work))
        finally:
            self._waiting -= 1

    def _migrate(self) -> None:
        with self._alone():
            try:
                _transaction(self._engine, _upgrade)
            except CommandError as error:
                mistake = f"the ledger's database was made by another release ({error}); run that one, or a newer"
                raise SettingsInvalid(mistakes=(mistake,)) from error

    def _alone(self) -> AbstractContextManager[None]:
        return nullcontext() if self._file is None else _sole_opener(self._file)


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
    migrations.upgrade(connection)


def _transaction(engine: Engine, work: Callable[[Connection], T]) -> T:
    with engine.begin() as connection:
        return work(connection)


@contextmanager
def _sole_opener(file: Path) -> Iterator[None]:
    """Make the file, readable by us alone, and turn WAL on while nobody else does: SQLite would not wait for it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    with file.with_name(f"{file.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        connection = sqlite3.connect(file, timeout=BUSY_TIMEOUT_S)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        finally:
            connection.close()
        yield


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
            raise Malformed(field="ledger URL", problem="must start with sqlite:/// or postgresql://")
        is_sqlite = parsed.get_backend_name() == "sqlite"
        if is_sqlite and (parsed.database or ":memory:") == ":memory:":
            raise Malformed(field="ledger URL", problem="must name a file, such as sqlite:///data/ledger.db")
        engine = create_engine(
            parsed,
            pool_size=THREADS,
            max_overflow=0,
            hide_parameters=True,
            connect_args={"timeout": BUSY_TIMEOUT_S} if is_sqlite else {},
        )
    except (ArgumentError, ImportError) as error:
        raise Malformed(field="ledger URL", problem=f"is not a database URL that can be used: {error}") from None
    if is_sqlite:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    """Take transactions into our own hands, and make a commit last through a power cut."""
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Lock before the first read of a write: a lock asked for later fails at once instead of waiting its turn."""
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _translated(work: Callable[[], T]) -> Callable[[], T]:
    def translated() -> T:
        try:
            return work()
        except (SQLAlchemyError, EmulatedDBAPIException, sqlite3.Error, OSError) as error:
            if _is_disk_full(error):
                raise DiskFull from error
            raise LedgerAway from error

    return translated


def _is_disk_full(error: Exception) -> bool:
    cause = getattr(error, "orig", None) or error
    return (
        getattr(cause, "sqlite_errorcode", None) in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}
        or getattr(cause, "sqlstate", None) == "53100"
        or getattr(cause, "errno", None) in {errno.ENOSPC, errno.EDQUOT}
    )
