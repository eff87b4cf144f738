"""What can be looked up in the ledger, on SQLite and on PostgreSQL."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import pytest
from sqlalchemy import insert, text

from proxy.errors import Malformed, MessageUnknown, SettingsInvalid
from proxy.media.kinds import Kind
from proxy.messaging import ledger_reading, ledger_sums
from proxy.messaging.causes import Cause
from proxy.messaging.entries import LedgerMedium
from proxy.messaging.ledger import Ledger
from proxy.messaging.ledger_reading import Filters, LedgerReading
from proxy.messaging.outcomes import Accepted, NotSent, Outcome, Refused, Uncertain
from proxy.messaging.pseudonyms import Pseudonyms
from proxy.messaging.standings import Standing
from proxy.messaging.statuses import State
from proxy.messaging.sums import Count, Span
from proxy.messaging.tables import fetches
from tests.messaging.ledgers import EPOCH, KEY, entry, status, using

T = TypeVar("T")
OTHER_NUMBER = "4915112345678"
NOT_FOUND = "Downloading media from weblink failed with http code 404"
DAY = Span.of_day(EPOCH.date(), EPOCH.tzinfo)  # type: ignore[arg-type]  # it is UTC


def reading(url: str, work: Callable[[LedgerReading], Awaitable[T]]) -> T:
    async def run() -> T:
        opened = LedgerReading(url)
        try:
            await opened.open()
            return await work(opened)
        finally:
            await opened.close()

    return asyncio.run(run())


def ours(key: str) -> tuple[LedgerMedium, ...]:
    return (LedgerMedium(kind=Kind.IMAGE, key=key, rendition_id=f"of-{key}", link=f"https://m.example/{key}"),)


async def fill(ledger: Ledger) -> None:
    """Leave one message of each standing behind, m0 the oldest; the clock moves a second with every look."""
    outcomes: list[Outcome] = [
        Accepted(message_id="wamid.0"),
        Accepted(message_id="wamid.1"),
        Accepted(message_id="wamid.2"),
        Accepted(message_id="wamid.3"),
        Accepted(message_id="wamid.4"),
        Refused(code=131009, details="bad"),
        Refused(code=None, details="You have exceeded the endpoint rate limit"),
        Uncertain(details="ReadTimeout"),
        NotSent(details="ConnectError"),
    ]
    for number, outcome in enumerate(outcomes):
        other = {"recipient": OTHER_NUMBER, "type": "template"} if number == 2 else {}
        await ledger.begin(entry(f"m{number}", media=ours(f"offers/{number}_%.jpg"), **other))
        await ledger.finish(f"m{number}", outcome)
    await ledger.begin(entry("m9", media=()))
    await ledger.record(
        [
            status(State.SENT, message_id="wamid.0", at_s=1),
            status(State.DELIVERED, message_id="wamid.0", at_s=9),
            status(State.READ, message_id="wamid.1", at_s=-3600),
            status(State.SENT, message_id="wamid.2", at_s=30),
            status(State.FAILED, message_id="wamid.3", at_s=31, error_code=131053, error_details=NOT_FOUND),
        ]
    )


STANDINGS = {
    "m0": Standing.DELIVERED,
    "m1": Standing.READ,
    "m2": Standing.SENT,
    "m3": Standing.FAILED,
    "m4": Standing.ACCEPTED,
    "m5": Standing.REFUSED,
    "m6": Standing.REFUSED,
    "m7": Standing.UNCERTAIN,
    "m8": Standing.NOT_SENT,
    "m9": Standing.POSTING,
}


def test_messages_are_found_by_what_is_known_of_them(url: str) -> None:
    using(url, fill)
    hashes = Pseudonyms((b"n" * 32, KEY)).all_of(OTHER_NUMBER)
    rows: list[tuple[Filters, list[str]]] = [
        (Filters(), [f"m{number}" for number in reversed(range(10))]),
        (Filters(cause=Cause.LINK_NOT_FOUND), ["m3"]),
        (Filters(cause=Cause.THROUGHPUT), ["m6"]),
        (Filters(cause=Cause.STICKER_REFUSED), []),
        (Filters(standing=Standing.REFUSED, cause=Cause.PARAMETER), ["m5"]),
        (Filters(key_prefix="offers/3_%"), ["m3"]),
        (Filters(key_prefix="OFFERS/3"), []),
        (Filters(key_prefix="offers/3%"), []),
        (Filters(type="template"), ["m2"]),
        (Filters(recipient_hashes=hashes), ["m2"]),
        (Filters(last4="5678"), ["m2"]),
        (Filters(rendition_id="of-offers/4_%.jpg"), ["m4"]),
        (Filters(since=EPOCH + timedelta(seconds=16)), ["m9", "m8"]),
        (Filters(until=EPOCH + timedelta(seconds=2)), ["m0"]),
        (Filters(after="m1"), ["m0"]),
    ]
    rows += [
        (Filters(standing=standing), [one for one in reversed(STANDINGS) if STANDINGS[one] is standing])
        for standing in Standing
    ]

    async def work(opened: LedgerReading) -> None:
        for filters, expected in rows:
            page = await opened.find(filters, 100)
            assert [message.id for message in page.messages] == expected, filters
            assert page.after is None

    reading(url, work)


def test_pages_follow_each_other_without_gap_or_twin_even_within_one_moment(url: str) -> None:
    async def begun_at_once(ledger: Ledger) -> None:
        for number in (3, 1, 4, 0, 2):
            await ledger.begin(entry(f"m{number}"))
        same = text("UPDATE messages SET created_at = (SELECT min(created_at) FROM messages)")
        await ledger.database.write(lambda connection: connection.execute(same), idempotent=False)

    async def work(opened: LedgerReading) -> list[list[str]]:
        pages, after = [], None
        while True:
            page = await opened.find(Filters(after=after), 2)
            pages.append([message.id for message in page.messages])
            after = page.after
            if after is None:
                return pages

    using(url, begun_at_once)
    assert reading(url, work) == [["m4", "m3"], ["m2", "m1"], ["m0"]]


def test_a_search_for_a_cause_ends_somewhere_and_goes_on_from_there(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_reading, "MAX_LOOKED", 2)
    using(url, fill)

    async def work(opened: LedgerReading) -> None:
        first = await opened.find(Filters(cause=Cause.LINK_NOT_FOUND, standing=Standing.FAILED), 5)
        assert [message.id for message in first.messages] == ["m3"]
        looked = await opened.find(Filters(cause=Cause.OTHER), 5)
        assert (looked.messages, looked.after) == ((), "m5")
        assert (await opened.find(Filters(cause=Cause.OTHER, after="m5"), 5)).after is None

    reading(url, work)


def test_one_message_is_found_by_either_id(url: str) -> None:
    using(url, fill)

    async def work(opened: LedgerReading) -> None:
        assert (await opened.message("m3")).id == (await opened.message("wamid.3")).id == "m3"
        with pytest.raises(MessageUnknown, match="no message nobody"):
            await opened.message("nobody")
        with pytest.raises(MessageUnknown):
            await opened.find(Filters(after="nobody"), 1)

    reading(url, work)


def test_what_was_fetched_around_a_message_belongs_to_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_reading, "MAX_FETCHES", 3)
    minutes = [-11, -9, 1, 60, 3 * 24 * 60 + 1]
    row = {"status": 200, "sent_bytes": 5, "whole": True, "ms": 1.5}

    async def work(ledger: Ledger) -> None:
        await fill(ledger)
        rows = [
            row | {"rendition_id": rendition, "at": EPOCH + timedelta(minutes=minute)}
            for minute in minutes
            for rendition in ("of-offers/0_%.jpg", "of another")
        ]
        await ledger.database.write(lambda connection: connection.execute(insert(fetches), rows), idempotent=False)

    using(url, work)

    async def look(opened: LedgerReading) -> None:
        found = await opened.fetched(await opened.message("m0"))
        assert [(fetch.at - EPOCH) / timedelta(minutes=1) for fetch in found.fetches] == [-9, 1, 60]
        assert not found.more
        assert (await opened.fetched(await opened.message("m9"))).fetches == ()
        monkeypatch.setattr(ledger_reading, "MAX_FETCHES", 2)
        cut = await opened.fetched(await opened.message("m0"))
        assert (len(cut.fetches), cut.more) == (2, True)

    reading(url, look)


def test_a_day_is_summed(url: str) -> None:
    using(url, fill)

    async def work(opened: LedgerReading) -> None:
        report = await ledger_sums.report(opened.database, DAY)
        whole = report.whole
        assert whole.funnel == {"posted": 10, "accepted": 5, "sent": 3, "delivered": 2, "read": 1}
        assert whole.failures == {Cause.LINK_NOT_FOUND: 1}
        assert whole.refusals == {131009: 1, None: 1}
        assert (whole.failed, whole.refused, whole.uncertain, whole.not_sent, whole.under_way) == (1, 2, 2, 1, 2)
        assert whole.seconds == {9: 1, 0: 1}, "m1 was read before it was sent, by another clock: at once"
        assert (whole.seconds_at(0.5), whole.seconds_at(0.95)) == (0, 9)
        assert [(span.since.hour, count.posted) for span, count in report.parts if count.posted] == [(12, 10)]
        assert len(report.parts) == 24
        empty = await ledger_sums.report(opened.database, Span.of_day(EPOCH.date() + timedelta(days=1), DAY.zone))
        assert empty.whole == Count(failures={}, refusals={}, seconds={}, standings={})

    reading(url, work)


def test_reading_neither_makes_a_ledger_nor_changes_one(url: str) -> None:
    with pytest.raises(Malformed, match="there is no ledger at"):
        reading(url, lambda opened: opened.find(Filters(), 1))
    using(url, fill)
    older = text("UPDATE alembic_version SET version_num = '0001'")
    using(url, lambda ledger: ledger.database.write(lambda connection: connection.execute(older), idempotent=False))
    with pytest.raises(SettingsInvalid, match="is at revision 0001"):
        reading(url, lambda opened: opened.find(Filters(), 1))
