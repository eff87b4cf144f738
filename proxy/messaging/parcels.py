"""A webhook on its way to its owner: its very bytes, what its signature needs, and what it must not overtake."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from proxy.messaging.authenticity import SIGNATURE_HEADER
from proxy.messaging.webhooks import Webhook

PASSED_ON: Final = ("Content-Type", SIGNATURE_HEADER)
"""The secret of 360dialog's custom header is between it and us."""
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 600.0
_MAX_DOUBLINGS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """`lanes` name what the body is about, as it stands there: they are hashed before they are written."""

    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    lanes: frozenset[str] = field(default=frozenset(), repr=False)

    @classmethod
    def of(cls, headers: Mapping[str, str], body: bytes, webhook: Webhook) -> Self:
        return cls(
            headers=tuple((name, headers[name]) for name in PASSED_ON if name in headers),
            body=body,
            lanes=frozenset(f"message {status.message_id}" for status in webhook.statuses)
            | frozenset(f"sender {sender}" for sender in webhook.senders),
        )

    def packed(self) -> bytes:
        return json.dumps(self.headers).encode() + b"\n" + self.body

    @classmethod
    def unpacked(cls, packed: bytes) -> Self:
        headers, _, body = packed.partition(b"\n")
        return cls(headers=tuple((name, value) for name, value in json.loads(headers)), body=body)


def wait_s(attempts: int, spread: float) -> float:
    """Say how long to wait after so many attempts (1 or more); `spread` from 0 to 1 sets machines apart by a half."""
    doubled = FIRST_WAIT_S * 2.0 ** min(attempts - 1, _MAX_DOUBLINGS)
    return min(doubled, LONGEST_WAIT_S) * (0.5 + spread / 2)
