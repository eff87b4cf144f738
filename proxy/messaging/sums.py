"""Sums of what became of messages: counted by the hour or the day, put together without keeping a row."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from types import MappingProxyType
from typing import Final

from proxy.errors import Malformed
from proxy.messaging.causes import Cause
from proxy.messaging.standings import ACCEPTED_ONCE, ARRIVED, OPEN, SEEN, SENT_ON, Standing

MAX_DAYS: Final = 366
HOURS_UP_TO: Final = timedelta(hours=50)
"""A longer span is told by days: more columns than that nobody reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From `since` on, to `until` left out, both in UTC; `zone` is that in which days begin and hours are named."""

    since: datetime
    until: datetime
    zone: tzinfo = UTC

    def __post_init__(self) -> None:
        if self.until <= self.since:
            raise Malformed(field="--until", problem="must be later than --since")
        if self.until - self.since > timedelta(days=MAX_DAYS):
            raise Malformed(field="--since", problem=f"a report is about {MAX_DAYS} days at most")

    @classmethod
    def of_day(cls, day: date, zone: tzinfo) -> "Span":
        return cls(since=_midnight(day, zone), until=_midnight(day + timedelta(days=1), zone), zone=zone)

    @property
    def by_hours(self) -> bool:
        return self.until - self.since <= HOURS_UP_TO

    @property
    def is_a_day(self) -> bool:
        return self == Span.of_day(self.since.astimezone(self.zone).date(), self.zone)

    def parts(self) -> Iterator["Span"]:
        """Cut it at the full hours, or at the midnights, of its zone."""
        begin = self.since
        while begin < self.until:
            local = begin.astimezone(self.zone)
            if self.by_hours:
                end = begin + timedelta(hours=1) - (local - local.replace(minute=0, second=0, microsecond=0))
            else:
                end = _midnight(local.date() + timedelta(days=1), self.zone)
            yield Span(since=begin, until=min(end, self.until), zone=self.zone)
            begin = end

    def label(self, part: "Span") -> str:
        """Name a part of it by its beginning."""
        local = part.since.astimezone(self.zone)
        return f"{local:%H}" if self.by_hours else f"{local:%m-%d}"

    def __str__(self) -> str:
        begin, end = (moment.astimezone(self.zone) for moment in (self.since, self.until))
        if self.is_a_day:
            return f"{begin:%Y-%m-%d} ({self.zone})"
        return f"{begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} ({self.zone})"


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What became of the messages that were begun within a span.

    `seconds` counts how many took how long to arrive, in whole seconds: WhatsApp's clock has no finer ones. `failures`
    go by cause, what was refused at once by its code.
    """

    standings: Mapping[Standing, int] = field(default_factory=dict)
    failures: Mapping[Cause, int] = field(default_factory=dict)
    refusals: Mapping[int | None, int] = field(default_factory=dict)
    seconds: Mapping[int, int] = field(default_factory=dict)

    def of(self, standings: frozenset[Standing]) -> int:
        return sum(self.standings.get(standing, 0) for standing in standings)

    @property
    def posted(self) -> int:
        return sum(self.standings.values())

    @property
    def funnel(self) -> Mapping[str, int]:
        """Each step counts those who came farther, too; what failed in the end is in `accepted` and no later step."""
        return MappingProxyType(
            {
                "posted": self.posted,
                "accepted": self.of(ACCEPTED_ONCE),
                "sent": self.of(SENT_ON),
                "delivered": self.of(ARRIVED),
                "read": self.of(SEEN),
            }
        )

    @property
    def arrived(self) -> int:
        return self.of(ARRIVED)

    @property
    def failed(self) -> int:
        return self.standings.get(Standing.FAILED, 0)

    @property
    def refused(self) -> int:
        return self.standings.get(Standing.REFUSED, 0)

    @property
    def not_sent(self) -> int:
        return self.standings.get(Standing.NOT_SENT, 0)

    @property
    def uncertain(self) -> int:
        """Count what was begun and never settled by its post, too: a crash leaves no more behind."""
        return self.of(OPEN)

    @property
    def wrong(self) -> int:
        return self.failed + self.refused + self.not_sent + self.uncertain

    @property
    def under_way(self) -> int:
        return self.posted - self.arrived - self.wrong

    def seconds_at(self, share: float) -> int | None:
        """Give the seconds within which this share of what arrived did so (nearest rank); None where nothing did."""
        whole = sum(self.seconds.values())
        left = max(1, -int(-share * whole // 1))
        for seconds in sorted(self.seconds):
            left -= self.seconds[seconds]
            if left <= 0:
                return seconds
        return None

    def __add__(self, other: "Count") -> "Count":
        return Count(
            standings=Counter(self.standings) + Counter(other.standings),
            failures=Counter(self.failures) + Counter(other.failures),
            refusals=Counter(self.refusals) + Counter(other.refusals),
            seconds=Counter(self.seconds) + Counter(other.seconds),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The whole span, and each of its hours or days."""

    span: Span
    whole: Count
    parts: tuple[tuple[Span, Count], ...]
