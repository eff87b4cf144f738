"""The ledger's tables, and how their rows become values."""

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    Row,
    Select,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    select,
)

from proxy.media.kinds import Kind
from proxy.messaging.entries import Fate, LedgerMessage, LedgerStatus
from proxy.messaging.statuses import State, rank


class Utc(TypeDecorator[datetime]):
    """A moment, aware and in UTC on both sides; SQLite keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()

messages = Table(
    "messages",
    metadata,
    Column("id", Text, primary_key=True),
    Column("provider_message_id", Text, unique=True),
    Column("kind", Text, nullable=False),
    Column("key", Text),
    Column("rendition_id", Text),
    Column("link", Text),
    Column("recipient_hash", Text, nullable=False),
    Column("recipient_last4", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("error_code", BigInteger),
    Column("error_details", Text),
    Column("warnings", Text, nullable=False),
    Column("status", Text),
    Column("status_at", Utc),
    Column("created_at", Utc, nullable=False),
    Column("updated_at", Utc, nullable=False),
    Index("messages_created_at", "created_at"),
)

statuses = Table(
    "statuses",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("provider_message_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("recipient_hash", Text, nullable=False),
    Column("at", Utc, nullable=False),
    Column("error_code", BigInteger),
    Column("error_details", Text),
    Column("recorded_at", Utc, nullable=False),
    UniqueConstraint(
        "provider_message_id", "status", "recipient_hash", name="statuses_once_per_message_status_recipient"
    ),
)
"""History, duplicates left out. It names no row of `messages`: a status may come first, or belong to another sender."""


def read_messages(query: Select[Any], connection: Connection) -> tuple[LedgerMessage, ...]:
    rows = connection.execute(query).all()
    histories = read_histories([row.provider_message_id for row in rows if row.provider_message_id], connection)
    return tuple(_message(row, histories[row.provider_message_id]) for row in rows)


def read_histories(provider_message_ids: Sequence[str], connection: Connection) -> dict[str | None, list[LedgerStatus]]:
    """Tell each history in the order of its events; WhatsApp's clock has seconds, and much happens within one."""
    query = select(statuses).where(statuses.c.provider_message_id.in_(provider_message_ids))
    found = defaultdict[str | None, list[LedgerStatus]](list)
    rows = connection.execute(query.order_by(statuses.c.at, statuses.c.recipient_hash)).all()
    for row in sorted(rows, key=lambda row: (row.at, rank(State(row.status)))):
        found[row.provider_message_id].append(
            LedgerStatus(
                status=State(row.status),
                at=row.at,
                recorded_at=row.recorded_at,
                error_code=row.error_code,
                error_details=row.error_details,
            )
        )
    return found


def _message(row: Row[Any], known: Sequence[LedgerStatus]) -> LedgerMessage:
    return LedgerMessage(
        id=row.id,
        provider_message_id=row.provider_message_id,
        kind=Kind(row.kind),
        key=row.key,
        rendition_id=row.rendition_id,
        link=row.link,
        recipient_last4=row.recipient_last4,
        outcome=Fate(row.outcome),
        error_code=row.error_code,
        error_details=row.error_details,
        warnings=tuple(json.loads(row.warnings)),
        status=None if row.status is None else State(row.status),
        status_at=row.status_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
        history=tuple(known),
    )
