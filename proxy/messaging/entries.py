"""What the ledger knows of a message, as values."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from proxy.media.kinds import Kind
from proxy.messaging.statuses import State


class Fate(StrEnum):
    """What the post came to; `posting` stands before it, and is all that a crash leaves behind: uncertain."""

    POSTING = "posting"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNCERTAIN = "uncertain"
    NOT_SENT = "not_sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A message about to be posted. `recipient` is digits; of them only a keyed hash and the last four are kept."""

    id: str
    kind: Kind
    recipient: str
    link: str | None = None
    key: str | None = None
    rendition_id: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerStatus:
    status: State
    at: datetime
    recorded_at: datetime
    error_code: int | None
    error_details: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerMessage:
    id: str
    provider_message_id: str | None
    kind: Kind
    key: str | None
    rendition_id: str | None
    link: str | None
    recipient_last4: str
    outcome: Fate
    error_code: int | None
    error_details: str | None
    warnings: tuple[str, ...]
    status: State | None
    status_at: datetime | None
    created_at: datetime
    updated_at: datetime
    history: tuple[LedgerStatus, ...] = ()
