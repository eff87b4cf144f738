"""The ledger in a file of SQLite: how it is opened, and how one process at a time is let in to change its tables."""

import fcntl
import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

BUSY_TIMEOUT_S = 5.0
_STEPS = 10_000
"""Of SQLite's virtual machine, between two looks at whether the call was given up: less than a millisecond."""


class SqliteFile:
    def __init__(self, url: URL, *, connections: int) -> None:
        self._file = Path(url.database or "")
        self.writers = create_engine(
            url,
            pool_size=connections,
            max_overflow=0,
            hide_parameters=True,
            connect_args={"timeout": BUSY_TIMEOUT_S, "factory": _Connection},
        )
        event.listen(self.writers, "connect", _prepare)
        event.listen(self.writers, "checkout", _begin_anew)
        event.listen(self.writers, "begin", _begin)
        self.readers: Engine = self.writers.execution_options(reads=True)

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """Make the file, readable by us alone, and turn WAL on while nobody else does: SQLite would not wait for it."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.touch(mode=0o600)
        with self._file.with_name(f"{self._file.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            connection = sqlite3.connect(self._file, timeout=BUSY_TIMEOUT_S)
            try:
                connection.execute("PRAGMA journal_mode=WAL")
            finally:
                connection.close()
            with self.writers.begin() as transaction:
                yield transaction

    def cut(self, connection: DBAPIConnection) -> None:
        """Fail the statement that runs, or the next: SQLite's own interrupt forgets whoever has not begun."""
        connection.is_cut = True


class _Connection(sqlite3.Connection):
    is_cut = False


def _prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    """Take transactions into our own hands, and make a commit last through a power cut."""
    connection.isolation_level = None
    this = weakref.ref(connection)
    connection.set_progress_handler(lambda: (that := this()) is not None and that.is_cut, _STEPS)
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin_anew(connection: DBAPIConnection, _entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
    connection.is_cut = False


def _begin(connection: Connection) -> None:
    """Lock before the first read of a write: a lock asked for later fails at once instead of waiting its turn."""
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
