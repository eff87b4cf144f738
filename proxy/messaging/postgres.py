"""The ledger in PostgreSQL: how it is reached, what a transaction may take, and when a connection is of no more use.

Nothing here lives longer than a transaction, neither a setting nor a prepared statement, so that a pooler such as
PgBouncer may stand between.
"""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import MappingProxyType

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, select, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection

from proxy.errors import SettingsInvalid

CONNECT_TIMEOUT_S = 3
STATEMENT_TIMEOUT_S = 5.0
"""The wait for a lock included."""
MIGRATION_TIMEOUT_S = 120.0
"""How long a machine that starts waits for the one that migrates."""
SILENCE_S = 10
"""A peer that acknowledges nothing for so long is gone."""
_MIGRATION_LOCK = 0x6D656469
"""Any number, as long as nobody else takes the same advisory lock in that database."""

_PARAMETERS: Mapping[str, str | int] = MappingProxyType(
    {
        "application_name": "medialink",
        "connect_timeout": CONNECT_TIMEOUT_S,
        "keepalives_idle": SILENCE_S // 2,
        "keepalives_interval": 1,
        "keepalives_count": SILENCE_S // 2,
        "tcp_user_timeout": SILENCE_S * 1000,
    }
)
"""libpq's; each can be overruled in the URL."""
_READ_ONLY = "25006"
_LIMIT = text("SELECT set_config('statement_timeout', :limit_ms, true)")


class Postgres:
    def __init__(self, url: URL, *, connections: int) -> None:
        parameters = {name: value for name, value in _PARAMETERS.items() if name not in url.query}
        self.writers = create_engine(
            url,
            pool_size=connections,
            max_overflow=0,
            hide_parameters=True,
            isolation_level="READ COMMITTED",
            use_native_hstore=False,
            connect_args={"prepare_threshold": None, **parameters},
        )
        event.listen(self.writers, "begin", _limit)
        event.listen(self.writers, "handle_error", _leave_a_standby)
        self.readers: Engine = self.writers.execution_options(isolation_level="REPEATABLE READ")

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """Wait until no other machine migrates, and hold the others back until this transaction ends.

        Raises:
            SettingsInvalid: the database cannot keep every text.
        """
        with self.writers.execution_options(limit_s=MIGRATION_TIMEOUT_S).begin() as connection:
            encoding = connection.scalar(text("SHOW server_encoding"))
            if encoding != "UTF8":
                mistake = f"LEDGER_URL: the database keeps text as {encoding}; make one WITH ENCODING 'UTF8'"
                raise SettingsInvalid(mistakes=(mistake,))
            connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            yield connection

    def cut(self, connection: DBAPIConnection) -> None:
        """Wake the thread that waits for this connection: libpq itself waits for an answer without end."""
        with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)


def _limit(connection: Connection) -> None:
    """Bound what follows; a connection that died while it lay idle shows it here, before anything is done."""
    limit_s = connection.get_execution_options().get("limit_s", STATEMENT_TIMEOUT_S)
    connection.execute(_LIMIT, {"limit_ms": f"{limit_s * 1000:.0f}"})


def _leave_a_standby(context: ExceptionContext) -> None:
    """After a failover another server may take what this one refuses; a connection that is kept would never know."""
    if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
        context.is_disconnect = True
