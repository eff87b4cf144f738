"""What WhatsApp tells of a message after it was taken.

Source: Meta's "Status messages webhook reference", which 360dialog passes on (facts, section 5). Order is not
promised, duplicates are.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from proxy.messaging.foreign import first, identifier, integer, member, text
from proxy.messaging.messages import MAX_CALLBACK_DATA_CHARS


class State(StrEnum):
    SENT = "sent"
    FAILED = "failed"
    DELIVERED = "delivered"
    READ = "read"
    PLAYED = "played"


_NAMES = frozenset(State)
_RANKS = {state: number for number, state in enumerate(State)}


def rank(state: State) -> int:
    """Order the states: what is known of a message is the highest that ever came, whichever came last.

    Failed stands between sent and delivered: of several devices one can fail where another does not (facts,
    section 5).
    """
    return _RANKS[state]


def settled(state: State) -> bool:
    """Whether it is known if the message arrived."""
    return state is not State.SENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One status of one message. `at` is aware UTC; `recipient` the wa_id, in a group the member's."""

    message_id: str
    status: State
    at: datetime
    recipient: str | None = None
    callback_data: str | None = None
    error_code: int | None = None
    error_details: str | None = None


def read_status(item: object, *, received_at: datetime) -> Status | None:
    """Read one of a webhook's statuses; None where it is of a shape that is not known.

    `received_at` (aware UTC) stands in for a time stamp that cannot be read: the status itself is worth more.
    """
    message_id = identifier(member(item, "id"))
    name = member(item, "status")
    if message_id is None or not isinstance(name, str) or name not in _NAMES:
        return None
    error = first(member(item, "errors"))
    return Status(
        message_id=message_id,
        status=State(name),
        at=_at(member(item, "timestamp")) or received_at,
        recipient=identifier(member(item, "recipient_participant_id")) or identifier(member(item, "recipient_id")),
        callback_data=text(member(item, "biz_opaque_callback_data"), MAX_CALLBACK_DATA_CHARS),
        error_code=integer(member(error, "code")),
        error_details=text(member(error, "error_data", "details"))
        or text(member(error, "message"))
        or text(member(error, "title")),
    )


def _at(value: object) -> datetime | None:
    seconds = integer(value)
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
