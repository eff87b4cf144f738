"""Ledgers to test with: what goes into them, and a clock that moves with every look."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from proxy.media.kinds import Kind
from proxy.messaging.entries import LedgerMedium
from proxy.messaging.ledger import Entry, Ledger, LedgerMessage
from proxy.messaging.outcomes import Accepted, Refused
from proxy.messaging.statuses import State, Status

T = TypeVar("T")
NUMBER = "491701234567"
WRITTEN = [NUMBER, f"+{NUMBER}", f"00{NUMBER}", "+49 170 1234567", "49-170-123-4567"]
EPOCH = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = b"k" * 32


def using(url: str, work: Callable[[Ledger], Awaitable[T]]) -> T:
    """Open a ledger whose clock advances a second with every look, work with it, and close it."""

    async def run() -> T:
        ledger = make_ledger(url)
        try:
            await ledger.open()
            return await work(ledger)
        finally:
            await ledger.close()

    return asyncio.run(run())


def make_ledger(url: str) -> Ledger:
    seconds = itertools.count()
    return Ledger(url, keys=(KEY,), now=lambda: EPOCH + timedelta(seconds=next(seconds)))


def entry(message_id: str = "m1", **fields: object) -> Entry:
    known: dict[str, object] = {
        "id": message_id,
        "type": "image",
        "recipient": NUMBER,
        "media": (LedgerMedium(kind=Kind.IMAGE, link="https://m.example/x"),),
    }
    return Entry(**known | fields)  # type: ignore[arg-type]  # fields of all types, each test names its own


def status(state: State, *, at_s: int = 0, **fields: object) -> Status:
    known: dict[str, object] = {"message_id": "wamid.1", "recipient": NUMBER, "at": EPOCH + timedelta(seconds=at_s)}
    return Status(status=state, **known | fields)  # type: ignore[arg-type]  # as above


async def known(ledger: Ledger, message_id: str = "m1") -> LedgerMessage:
    message = await ledger.message(message_id)
    assert message is not None
    return message


async def write_numbers(ledger: Ledger) -> None:
    """Put numbers wherever somebody may have written them."""
    details = f"cannot reach {', '.join(WRITTEN)}"
    await ledger.begin(entry(warnings=(f"{NUMBER} may be a landline",)))
    await ledger.finish("m1", Refused(code=131026, details=details))
    await ledger.begin(entry("m2"))
    await ledger.finish("m2", Accepted(message_id="wamid.1"))
    await ledger.record(
        [
            status(State.FAILED, error_details=details),
            status(State.FAILED, recipient=None, error_details=details),
            status(State.FAILED, message_id="wamid.unknown", error_details=details, callback_data=NUMBER),
        ]
    )
