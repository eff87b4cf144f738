"""The ledger's tables, and how their rows become values."""

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
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
from proxy.messaging.entries import Fate, LedgerMedium, LedgerMessage, LedgerStatus
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

_NUMBER = BigInteger().with_variant(Integer, "sqlite")
"""A hundred a second use up 31 bits in eight months; SQLite's own row ids have 63, and are called INTEGER."""

messages = Table(
    "messages",
    metadata,
    Column("id", Text, primary_key=True),
    Column("provider_message_id", Text, unique=True),
    Column("type", Text, nullable=False),
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

media = Table(
    "media",
    metadata,
    Column("message_id", Text, ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("key", Text),
    Column("rendition_id", Text),
    Column("link", Text),
    Index("media_rendition_id", "rendition_id"),
)

statuses = Table(
    "statuses",
    metadata,
    Column("id", _NUMBER, primary_key=True),
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
    Index("statuses_recorded_at", "recorded_at"),
)
"""History, duplicates left out. It names no row of `messages`: a status may come first, or belong to another sender."""

fetches = Table(
    "fetches",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("rendition_id", Text, nullable=False),
    Column("at", Utc, nullable=False),
    Column("status", Integer, nullable=False),
    Column("sent_bytes", BigInteger, nullable=False),
    Column("whole", Boolean, nullable=False),
    Column("ms", Float, nullable=False),
    Column("code", Text),
    Column("agent", Text),
    Index("fetches_rendition_id_at", "rendition_id", "at"),
    Index("fetches_at", "at"),
)
"""It names no row of `media`: a link is fetched for others, too."""

unread = Table(
    "unread",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("recorded_at", Utc, nullable=False),
    Index("unread_recorded_at", "recorded_at"),
)
"""Webhooks of which something was not understood, whole and encrypted, for whoever teaches us."""

outbox = Table(
    "outbox",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Utc, nullable=False),
    Column("claimed_until", Utc),
    Column("problem", Text),
    Index("outbox_due_at", "due_at", "id"),
    Index("outbox_expires_at", "expires_at"),
)
"""Webhooks to pass on, whole and encrypted, in the order of their ids."""

lanes = Table(
    "lanes",
    metadata,
    Column("lane", Text, primary_key=True),
    Column("outbox_id", _NUMBER, ForeignKey("outbox.id", ondelete="CASCADE"), primary_key=True),
    Index("lanes_outbox_id", "outbox_id"),
)
"""Keyed hashes of what a body is about: of two that share one, the later waits until the earlier is gone."""

idempotency = Table(
    "idempotency",
    metadata,
    Column("key_hash", Text, primary_key=True),
    Column("request_hash", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("sealed", LargeBinary),
    Column("begun_at", Utc, nullable=False),
    Index("idempotency_begun_at", "begun_at"),
)
"""Requests that name a key of their own, for a day; without `sealed`, nothing is known of what came of one."""


def read_messages(query: Select[Any], connection: Connection) -> tuple[LedgerMessage, ...]:
    rows = connection.execute(query).all()
    histories = read_histories([row.provider_message_id for row in rows if row.provider_message_id], connection)
    found = _read_media([row.id for row in rows], connection)
    return tuple(_message(row, found[row.id], histories[row.provider_message_id]) for row in rows)


def _read_media(message_ids: Sequence[str], connection: Connection) -> dict[str, list[LedgerMedium]]:
    found = defaultdict[str, list[LedgerMedium]](list)
    query = select(media).where(media.c.message_id.in_(message_ids)).order_by(media.c.message_id, media.c.position)
    for row in connection.execute(query).all():
        medium = LedgerMedium(kind=Kind(row.kind), link=row.link, key=row.key, rendition_id=row.rendition_id)
        found[row.message_id].append(medium)
    return found


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


def _message(row: Row[Any], found: Sequence[LedgerMedium], known: Sequence[LedgerStatus]) -> LedgerMessage:
    return LedgerMessage(
        id=row.id,
        provider_message_id=row.provider_message_id,
        type=row.type,
        media=tuple(found),
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
