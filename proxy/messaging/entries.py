"""What the ledger knows of a message, as values."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

from proxy.delivery.links import Link
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
class LedgerMedium:
    """A medium of a message: by link, ours with its key and rendition; or by an id of the provider's, with neither."""

    kind: Kind
    link: str | None = None
    key: str | None = None
    rendition_id: str | None = None

    @classmethod
    def of(cls, kind: Kind, link: str | None, ours: Link | None) -> Self:
        return cls(
            kind=kind, link=link, key=ours.key if ours else None, rendition_id=ours.rendition_id if ours else None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A message about to be posted. `recipient` is digits; of them only a keyed hash and the last four are kept.

    `type` is WhatsApp's: image, template, text.
    """

    id: str
    type: str
    recipient: str
    media: tuple[LedgerMedium, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFetch:
    """A GET for a link that our origin answered. `whole`: all that the answer announced went out.

    `code` is that of our error; `agent` what the fetcher called itself.
    """

    rendition_id: str
    at: datetime
    status: int
    sent_bytes: int
    whole: bool
    ms: float
    code: str | None = None
    agent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """The first fetches around a message, in the order of time; `more`: there were others."""

    fetches: tuple[LedgerFetch, ...]
    more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What became of a status in the ledger: whether it was new, and our id of its message where that is known."""

    new: bool
    message_id: str | None


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
    type: str
    media: tuple[LedgerMedium, ...]
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
