"""What webhooks tell of messages, written down: each status once, in any order, and what the whole history comes to."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, Table, bindparam, exists, select, update
from sqlalchemy.dialects import postgresql, sqlite

from proxy.messaging.entries import Fate, LedgerStatus
from proxy.messaging.pseudonyms import NOBODY, Pseudonyms
from proxy.messaging.statuses import Status, rank
from proxy.messaging.tables import messages, read_histories
from proxy.messaging.tables import statuses as history

MAX_IDS_AT_ONCE: Final = 500

_ONCE = ("provider_message_id", "status", "recipient_hash")
_INSERTS: Mapping[str, Callable[[Table], sqlite.Insert | postgresql.Insert]] = MappingProxyType(
    {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Histories:
    pseudonyms: Pseudonyms
    now: Callable[[], datetime]

    def keep(self, ordered: Sequence[Status], connection: Connection) -> list[bool]:
        """Write statuses down; tells of each whether it was new."""
        for status in ordered:
            if status.callback_data is not None:
                self._adopt(status.callback_data, status.message_id, connection)
        rows = [self._row_of(status, connection) for status in ordered]
        added: set[tuple[str, ...]] = set()
        if rows:
            once = _INSERTS[connection.dialect.name](history).on_conflict_do_nothing()
            added |= {
                tuple(row) for row in connection.execute(once.returning(*(history.c[name] for name in _ONCE)), rows)
            }
        new = []
        for row in rows:
            what = tuple(row[name] for name in _ONCE)
            new.append(what in added)
            added.discard(what)
        return new

    def _row_of(self, status: Status, connection: Connection) -> dict[str, Any]:
        recipient = self.pseudonyms.of(status.recipient)
        details = status.error_details
        if details is not None:
            mine = select(messages.c.recipient_hash).where(messages.c.provider_message_id == status.message_id)
            details = self.pseudonyms.redact(details, {recipient, *connection.scalars(mine)} - {NOBODY})
        return {
            "provider_message_id": status.message_id,
            "status": status.status.value,
            "recipient_hash": recipient,
            "at": status.at,
            "error_code": status.error_code,
            "error_details": details,
            "recorded_at": self.now(),
        }

    def _adopt(self, message_id: str, provider_message_id: str, connection: Connection) -> None:
        """Give a message whose answer was lost the provider's id: a webhook that names it proves that it was taken."""
        other = messages.alias()
        connection.execute(
            update(messages)
            .where(
                messages.c.id == message_id,
                messages.c.provider_message_id.is_(None),
                ~exists().where(other.c.provider_message_id == provider_message_id),
            )
            .values(
                provider_message_id=provider_message_id,
                outcome=Fate.ACCEPTED.value,
                error_code=None,
                error_details=None,
                updated_at=self.now(),
            )
        )

    def settle(self, provider_message_ids: Collection[str], connection: Connection) -> dict[str, str]:
        """Set messages to the best that their history tells; gives our ids of those that are known.

        Always a transaction of its own, after the one that wrote: of a send and a webhook that commit at the same
        time, the later one sees both.
        """
        ids: dict[str, str] = {}
        named = iter(sorted(provider_message_ids))
        while some := list(islice(named, MAX_IDS_AT_ONCE)):
            ours = select(messages.c.provider_message_id, messages.c.id).where(messages.c.provider_message_id.in_(some))
            locked = ours.order_by(messages.c.provider_message_id).with_for_update()
            found = {row.provider_message_id: row.id for row in connection.execute(locked)}
            histories = read_histories([*found], connection) if found else {}
            rows = [
                {"of": found[name]} | _best(known, self.now()) for name, known in histories.items() if name in found
            ]
            if rows:
                connection.execute(update(messages).where(messages.c.id == bindparam("of")), rows)
            ids |= found
        return ids


def _best(known: Sequence[LedgerStatus], now: datetime) -> dict[str, Any]:
    best = min(known, key=lambda status: (-rank(status.status), status.at))
    return {
        "status": best.status.value,
        "status_at": best.at,
        "error_code": best.error_code,
        "error_details": best.error_details,
        "updated_at": now,
    }
