"""How long the ledger remembers: what is older goes, a little at a time, so that nobody waits behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import Column, Connection, Table, delete, select

from proxy import telemetry
from proxy.messaging.database import Database
from proxy.messaging.tables import fetches, messages, statuses, unread

EVERY_S: Final = 3600.0
ROWS_AT_ONCE: Final = 1000

_AGES: Final[tuple[tuple[Table, Column[Any], Column[Any]], ...]] = (
    (messages, messages.c.id, messages.c.created_at),
    (statuses, statuses.c.id, statuses.c.recorded_at),
    (fetches, fetches.c.id, fetches.c.at),
    (unread, unread.c.id, unread.c.recorded_at),
)
"""The media of a message go with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    database: Database
    days: int
    now: Callable[[], datetime]

    async def sweep(self) -> None:
        """Delete all that is older. Several processes may do so at the same time.

        Raises:
            LedgerAway: it is left for another round.
        """
        before = self.now() - timedelta(days=self.days)
        for table, key, age in _AGES:
            total = 0
            while deleted := await self.database.write(partial(_delete, table, key, age, before), idempotent=True):
                total += deleted
            if total:
                telemetry.log.info("ledger.forgotten", table=table.name, rows=total, days=self.days)


def _delete(table: Table, key: Column[Any], age: Column[Any], before: datetime, connection: Connection) -> int:
    old = select(key).where(age < before).limit(ROWS_AT_ONCE)
    return connection.execute(delete(table).where(key.in_(old))).rowcount
