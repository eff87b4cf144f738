"""Days have the hours that their zone gives them, and shares are told by the nearest rank."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from proxy.errors import Malformed
from proxy.messaging.causes import Cause
from proxy.messaging.standings import Standing
from proxy.messaging.sums import Count, Span

BERLIN = ZoneInfo("Europe/Berlin")
KATHMANDU = ZoneInfo("Asia/Kathmandu")


@pytest.mark.parametrize(
    ("day", "hours", "begins"),
    [
        pytest.param(date(2026, 11, 22), 24, datetime(2026, 11, 21, 23, tzinfo=UTC), id="ordinary"),
        pytest.param(date(2026, 3, 29), 23, datetime(2026, 3, 28, 23, tzinfo=UTC), id="spring"),
        pytest.param(date(2026, 10, 25), 25, datetime(2026, 10, 24, 22, tzinfo=UTC), id="autumn"),
    ],
)
def test_a_day_is_that_of_its_zone(day: date, hours: int, begins: datetime) -> None:
    span = Span.of_day(day, BERLIN)
    parts = list(span.parts())
    assert (span.since, len(parts)) == (begins, hours)
    assert str(span) == f"{day} (Europe/Berlin)"
    assert all(part.until - part.since == timedelta(hours=1) for part in parts)


def test_parts_join_without_gap_and_begin_at_full_hours_or_midnights() -> None:
    spans = [
        Span(since=datetime(2026, 11, 22, 8, 20, tzinfo=UTC), until=datetime(2026, 11, 22, 10, 5, tzinfo=UTC)),
        Span.of_day(date(2026, 11, 22), KATHMANDU),
        Span(since=datetime(2026, 10, 24, 8, tzinfo=UTC), until=datetime(2026, 10, 28, tzinfo=UTC), zone=BERLIN),
    ]
    labels = [["08", "09", "10"], [f"{hour:02}" for hour in range(24)], ["10-24", "10-25", "10-26", "10-27", "10-28"]]
    for span, expected in zip(spans, labels, strict=True):
        parts = list(span.parts())
        assert (parts[0].since, parts[-1].until) == (span.since, span.until)
        assert all(before.until == after.since for before, after in pairwise(parts))
        assert [span.label(part) for part in parts] == expected


def test_a_span_that_ends_before_it_begins_or_is_endless_is_malformed() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    for since in (now, now + timedelta(seconds=1), now - timedelta(days=367)):
        with pytest.raises(Malformed):
            Span(since=since, until=now)


@pytest.mark.parametrize(
    ("seconds", "median", "p95"),
    [
        pytest.param({}, None, None, id="none"),
        pytest.param({7: 1}, 7, 7, id="one"),
        pytest.param({1: 1, 2: 1}, 1, 2, id="two"),
        pytest.param(dict.fromkeys(range(1, 101), 1), 50, 95, id="hundred"),
        pytest.param({3: 95, 60: 5}, 3, 3, id="a-tail-of-five"),
        pytest.param({3: 94, 60: 6}, 3, 60, id="a-tail-of-six"),
    ],
)
def test_shares_are_by_nearest_rank(seconds: dict[int, int], median: int | None, p95: int | None) -> None:
    count = Count(seconds=seconds)
    assert (count.seconds_at(0.5), count.seconds_at(0.95)) == (median, p95)


def test_counts_add_up() -> None:
    one = Count(standings={Standing.READ: 1}, failures={Cause.SPAM: 1}, refusals={None: 2}, seconds={1: 1})
    two = Count(standings={Standing.READ: 2, Standing.FAILED: 3}, failures={Cause.SPAM: 3}, seconds={1: 1, 2: 1})
    both = one + two
    assert (both.posted, both.arrived, both.wrong, both.under_way) == (6, 3, 3, 0)
    assert (both.failures, both.refusals, both.seconds) == ({Cause.SPAM: 4}, {None: 2}, {1: 2, 2: 1})
