"""Claims on a key, over both databases."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from proxy.errors import KeyReused, StillSending
from proxy.messaging.idempotency import KEPT, Claim, Idempotency, Said
from proxy.messaging.ledger import Ledger
from proxy.messaging.sealed import Seal
from tests.messaging.ledgers import EPOCH, KEY, NUMBER, entry, make_ledger

SAID = Said(status=200, headers=[(b"content-type", b"application/json")], body=b'{"wa_id":"491701234567"}')

BEGIN_S = 60.0
LATER = timedelta(seconds=BEGIN_S + 1)


class Clock:
    def __init__(self) -> None:
        self.now = EPOCH

    def __call__(self) -> object:
        return self.now


def over(
    ledger: Ledger, clock: Clock, *, seals: tuple[bytes, ...] = (KEY,), hides: tuple[bytes, ...] = (KEY,)
) -> Idempotency:
    return Idempotency(
        database=ledger.database,
        seal=Seal(seals),
        secrets=hides,
        now=clock,  # type: ignore[arg-type]  # tells datetimes
        begin_s=BEGIN_S,
    )


def using(url: str, work: Callable[[Idempotency, Clock], Awaitable[None]]) -> None:
    beside_a_ledger(url, lambda known, clock, _: work(known, clock))


def beside_a_ledger(url: str, work: Callable[[Idempotency, Clock, Ledger], Awaitable[None]]) -> None:
    async def run() -> None:
        ledger, clock = make_ledger(url), Clock()
        await ledger.open()
        try:
            await work(over(ledger, clock), clock, ledger)
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


def test_a_claim_without_a_message_is_taken_over_when_it_is_too_old_to_be_on_its_way(url: str) -> None:
    async def work(known: Idempotency, clock: Clock) -> None:
        await known.claim("caller", "key", b"request", "m1")
        clock.now = EPOCH + timedelta(seconds=BEGIN_S)
        with pytest.raises(StillSending):
            await known.claim("caller", "key", b"request", "m2")
        clock.now = EPOCH + LATER
        with pytest.raises(KeyReused):
            await known.claim("caller", "key", b"another", "m3")
        assert isinstance(await known.claim("caller", "key", b"request", "m4"), Claim)
        with pytest.raises(StillSending) as still:
            await known.claim("caller", "key", b"request", "m5")
        assert still.value.message_id == "m4"

    using(url, work)


def test_of_many_one_takes_a_claim_over(url: str) -> None:
    async def work(known: Idempotency, clock: Clock) -> None:
        await known.claim("caller", "key", b"request", "m0")
        clock.now = EPOCH + LATER
        asked = (known.claim("caller", "key", b"request", f"m{number}") for number in range(1, 9))
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in answers) == ["Claim", *["StillSending"] * 7]

    using(url, work)


def test_a_claim_with_a_message_in_the_ledger_is_never_taken_over(url: str) -> None:
    async def work(known: Idempotency, clock: Clock, ledger: Ledger) -> None:
        claim = await known.claim("caller", "key", b"request", "m1")
        assert isinstance(claim, Claim)
        await ledger.begin(entry("m1"), [partial(known.hold, claim)])
        clock.now = EPOCH + KEPT
        with pytest.raises(StillSending):
            await known.claim("caller", "key", b"request", "m2")

    beside_a_ledger(url, work)


def test_who_lost_its_claim_posts_nothing_and_takes_nothing_from_its_successor(url: str) -> None:
    async def work(known: Idempotency, clock: Clock, ledger: Ledger) -> None:
        slow = await known.claim("caller", "key", b"request", "m1")
        clock.now = EPOCH + LATER
        second = await known.claim("caller", "key", b"request", "m2")
        assert isinstance(slow, Claim)
        assert isinstance(second, Claim)
        with pytest.raises(StillSending) as lost:
            await ledger.begin(entry("m1"), [partial(known.hold, slow)])
        assert lost.value.message_id == "m2"
        assert await ledger.message("m1") is None
        await known.release(slow)
        await known.settle(slow, SAID)
        with pytest.raises(StillSending):
            await known.claim("caller", "key", b"request", "m3")
        await ledger.begin(entry("m2"), [partial(known.hold, second)])
        await known.settle(second, SAID)
        assert await known.claim("caller", "key", b"request", "m4") == SAID

    beside_a_ledger(url, work)


def test_a_message_that_is_begun_and_a_request_that_takes_over_never_both_go_on(url: str) -> None:
    async def work(known: Idempotency, clock: Clock, ledger: Ledger) -> None:
        for number in range(20):
            clock.now = EPOCH
            slow = await known.claim("caller", f"key{number}", b"request", f"slow{number}")
            assert isinstance(slow, Claim)
            clock.now = EPOCH + LATER
            begun, claimed = await asyncio.gather(
                ledger.begin(entry(f"slow{number}"), [partial(known.hold, slow)]),
                known.claim("caller", f"key{number}", b"request", f"second{number}"),
                return_exceptions=True,
            )
            assert [type(begun), type(claimed)] in ([type(None), StillSending], [StillSending, Claim])

    beside_a_ledger(url, work)


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
