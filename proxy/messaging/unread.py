"""Webhooks of which something was not understood: kept whole and encrypted, the newest, for whoever teaches us."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from proxy.messaging.sealed import Seal
from proxy.messaging.tables import unread

MAX_UNREAD: Final = 1000


class Unread:
    def __init__(self, *, keys: tuple[bytes, ...], now: Callable[[], datetime]) -> None:
        self._seal = Seal(keys)
        self._now = now

    def keeping(self, body: bytes) -> Callable[[Connection], None]:
        """Give what writes a body down, and forgets those that are too many."""
        return partial(_keep, {"sealed": self._seal.close(body), "recorded_at": self._now()})


def _keep(row: dict[str, object], connection: Connection) -> None:
    connection.execute(insert(unread).values(row))
    # rows that another process forgets at this moment are skipped: two that waited for each other would both fail
    old = select(unread.c.id).order_by(unread.c.id.desc()).offset(MAX_UNREAD).with_for_update(skip_locked=True)
    connection.execute(delete(unread).where(unread.c.id.in_(old)))
