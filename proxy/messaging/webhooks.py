"""The body of a webhook: statuses, messages that came in, and what WhatsApp complains of.

Several statuses, changes and entries share a body (facts, section 5). What is not understood is counted, and is never
an error: whoever is refused sends the same again for days.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from proxy.messaging.foreign import identifier, integer, member, read_json
from proxy.messaging.statuses import Status, read_status

_MESSAGES = "messages"
_KNOWN = frozenset({"statuses", "messages", "errors"})
"""What a value of the field `messages` brings, one of them or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """`senders` are the wa_ids of messages that came in; `errors` the codes of complaints about no message of ours.

    `skipped` counts the parts of a shape that is not known.
    """

    statuses: tuple[Status, ...]
    senders: tuple[str, ...]
    errors: tuple[int | None, ...]
    skipped: int


def parse_webhook(body: bytes, *, received_at: datetime) -> Webhook:
    """Read a webhook's body; never raises."""
    changes = [change for entry in _items(read_json(body), "entry") for change in _items(entry, "changes")]
    found = [read_status(item, received_at=received_at) for change in changes for item in _statuses_of(change)]
    statuses = tuple(status for status in found if status is not None)
    return Webhook(
        statuses=statuses,
        senders=tuple(sender for change in changes for sender in _senders_of(change)),
        errors=tuple(
            integer(member(error, "code")) for change in changes for error in _optional(change, "value", "errors")
        ),
        skipped=len(found) - len(statuses),
    )


def _items(parent: object, name: str) -> list[object]:
    """Open a list; what is none becomes one None, which nobody can read and so is counted as skipped."""
    value = member(parent, name)
    return value if isinstance(value, list) else [None]


def _optional(parent: object, *path: str) -> list[object]:
    value = member(parent, *path)
    return value if isinstance(value, list) else []


def _statuses_of(change: object) -> list[object]:
    value = member(change, "value")
    if isinstance(value, Mapping) and "statuses" not in value:
        field = member(change, "field")
        of_the_account = isinstance(field, str) and field != _MESSAGES
        return [] if of_the_account or not _KNOWN.isdisjoint(value) else [None]
    return _items(value, "statuses")


def _senders_of(change: object) -> Iterator[str]:
    for message in _optional(change, "value", "messages"):
        sender = identifier(member(message, "from"))
        if sender is not None:
            yield sender
