"""Where a message stands, in one word: the best that WhatsApp told of it, else what the post came to."""

from enum import StrEnum
from typing import Final

from proxy.messaging.entries import LedgerMessage


class Standing(StrEnum):
    POSTING = "posting"
    NOT_SENT = "not_sent"
    UNCERTAIN = "uncertain"
    REFUSED = "refused"
    ACCEPTED = "accepted"
    SENT = "sent"
    FAILED = "failed"
    DELIVERED = "delivered"
    READ = "read"
    PLAYED = "played"


SENT_ON: Final = frozenset({Standing.SENT, Standing.DELIVERED, Standing.READ, Standing.PLAYED})
ARRIVED: Final = frozenset({Standing.DELIVERED, Standing.READ, Standing.PLAYED})
"""A status of delivery may be skipped when a message is read at once (facts, section 5)."""
SEEN: Final = frozenset({Standing.READ, Standing.PLAYED})
ACCEPTED_ONCE: Final = SENT_ON | {Standing.ACCEPTED, Standing.FAILED}
UNDONE: Final = frozenset({Standing.FAILED, Standing.REFUSED})
"""What has a code, a text, or both, that say why."""
NEVER_TAKEN: Final = frozenset({Standing.REFUSED, Standing.NOT_SENT})
OPEN: Final = frozenset({Standing.POSTING, Standing.UNCERTAIN})


def standing_of(message: LedgerMessage) -> Standing:
    return Standing((message.status or message.outcome).value)
