"""Claims on a key, over both databases."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from proxy.errors import KeyReused, StillSending
from proxy.messaging.idempotency import KEPT, Claim, Idempotency, Said
from proxy.messaging.ledger import Ledger
from proxy.messaging.sealed import Seal
from tests.messaging.ledgers import EPOCH, KEY, NUMBER, make_ledger

SAID = Said(status=200, headers=[(b"content-type", b"application/json")], body=b'{"wa_id":"491701234567"}')


class Clock:
    def __init__(self) -> None:
        self.now = EPOCH

    def __call__(self) -> object:
        return self.now


def over(
    ledger: Ledger, clock: Clock, *, seals: tuple[bytes, ...] = (KEY,), hides: tuple[bytes, ...] = (KEY,)
) -> Idempotency:
    return Idempotency(database=ledger.database, seal=Seal(seals), secrets=hides, now=clock)  # type: ignore[arg-type]  # tells datetimes


def using(url: str, work: Callable[[Idempotency, Clock], Awaitable[None]]) -> None:
    async def run() -> None:
        ledger, clock = make_ledger(url), Clock()
        await ledger.open()
        try:
            await work(over(ledger, clock), clock)
        finally:
            await ledger.close()

    asyncio.run(run())


def test_a_claim_is_given_once_and_then_its_answer(url: str) -> None:
    async def work(known: Idempotency, _clock: Clock) -> None:
        claim = await known.claim("caller", "key", b"request", "m1")
        assert isinstance(claim, Claim)
        with pytest.raises(StillSending) as still:
            await known.claim("caller", "key", b"request", "m2")
        assert still.value.message_id == "m1"
        await known.settle(claim, SAID)
        assert await known.claim("caller", "key", b"request", "m3") == SAID
        with pytest.raises(KeyReused):
            await known.claim("caller", "key", b"another", "m4")
        assert isinstance(await known.claim("other", "key", b"request", "m5"), Claim)

    using(url, work)


def test_a_claim_that_was_released_is_free(url: str) -> None:
    async def work(known: Idempotency, _clock: Clock) -> None:
        claim = await known.claim("caller", "key", b"request", "m1")
        assert isinstance(claim, Claim)
        await known.release(claim)
        assert isinstance(await known.claim("caller", "key", b"another", "m2"), Claim)

    using(url, work)


@pytest.mark.parametrize("swept", [False, True])
def test_a_key_is_forgotten_after_a_day_and_not_before(url: str, swept: bool) -> None:  # noqa: FBT001 - a case
    async def work(known: Idempotency, clock: Clock) -> None:
        claim = await known.claim("caller", "key", b"request", "m1")
        assert isinstance(claim, Claim)
        await known.settle(claim, SAID)
        clock.now = EPOCH + KEPT
        if swept:
            await known.sweep()
        assert await known.claim("caller", "key", b"request", "m2") == SAID
        clock.now += timedelta(seconds=1)
        if swept:
            await known.sweep()
        assert isinstance(await known.claim("caller", "key", b"another", "m3"), Claim)

    using(url, work)


def test_an_answer_under_a_key_that_is_gone_is_not_posted_again(url: str) -> None:
    async def run() -> None:
        ledger, clock = make_ledger(url), Clock()
        await ledger.open()
        try:
            claim = await over(ledger, clock).claim("caller", "key", b"request", "m1")
            assert isinstance(claim, Claim)
            await over(ledger, clock, seals=(b"l" * 32,)).settle(claim, SAID)
            with pytest.raises(StillSending):
                await over(ledger, clock).claim("caller", "key", b"request", "m2")
        finally:
            await ledger.close()

    asyncio.run(run())


def test_a_rotation_forgets_no_answer(url: str) -> None:
    async def run() -> None:
        ledger, clock = make_ledger(url), Clock()
        await ledger.open()
        try:
            claim = await over(ledger, clock).claim("caller", "key", b"request", "m1")
            assert isinstance(claim, Claim)
            await over(ledger, clock).settle(claim, SAID)
            both = (b"n" * 32, KEY)
            rotated = over(ledger, clock, seals=both, hides=both)
            assert await rotated.claim("caller", "key", b"request", "m2") == SAID
            with pytest.raises(KeyReused):
                await rotated.claim("caller", "key", b"another", "m3")
        finally:
            await ledger.close()

    asyncio.run(run())


def test_no_file_holds_a_key_or_a_number(file: Path) -> None:
    async def work(known: Idempotency, _clock: Clock) -> None:
        claim = await known.claim("caller-key", "order-17", b'{"to":"491701234567"}', "m1")
        assert isinstance(claim, Claim)
        await known.settle(claim, SAID)
        for path in file.parent.iterdir():
            held = path.read_bytes()
            assert not any(secret in held for secret in (b"order-17", b"caller-key", NUMBER.encode())), path

    using(f"sqlite:///{file}", work)
