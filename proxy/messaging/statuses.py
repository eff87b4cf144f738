"""Status webhooks: what WhatsApp tells of a message after it was taken.

Source: Meta's "Status messages webhook reference", which 360dialog passes on (facts, section 5). Several
statuses, changes and entries share a body; order is not promised, duplicates are; what is not understood is
skipped and counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from proxy.messaging.foreign import first, identifier, integer, member, read_json, text
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Statuses:
    """What a body held; `skipped` counts the parts of a shape that is not known."""

    statuses: tuple[Status, ...]
    skipped: int


def parse_statuses(body: bytes, *, received_at: datetime) -> Statuses:
    """Read a webhook body; never raises.

    `received_at` (aware UTC) stands in for a time stamp that cannot be read: the status itself is worth more.
    """
    found = [
        _status(item, received_at)
        for entry in _items(read_json(body), "entry")
        for change in _items(entry, "changes")
        for item in _statuses_of(change)
    ]
    statuses = tuple(status for status in found if status is not None)
    return Statuses(statuses=statuses, skipped=len(found) - len(statuses))


def _items(parent: object, name: str) -> list[object]:
    """Open a list; what is none becomes one None, which nobody can read and so is counted as skipped."""
    value = member(parent, name)
    return value if isinstance(value, list) else [None]


def _statuses_of(change: object) -> list[object]:
    value = member(change, "value")
    if isinstance(value, Mapping) and "statuses" not in value:
        return []  # an inbound message, or news of the account
    return _items(value, "statuses")


def _status(item: object, received_at: datetime) -> Status | None:
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
