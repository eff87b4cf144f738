"""The door to the ledger's sums. The database counts, an hour or a day at a time: no call is long, no row is kept."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial, reduce
from operator import add
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Connection, cast, extract, func, select

from proxy.messaging.causes import Cause
from proxy.messaging.database import Database
from proxy.messaging.diagnoses import diagnose
from proxy.messaging.ledger_reading import standing_column
from proxy.messaging.standings import ARRIVED, Standing
from proxy.messaging.sums import Count, Report, Span
from proxy.messaging.tables import messages, statuses

_ROWS_AT_ONCE: Final = 500
_WHOLE_SECONDS: Final[Mapping[str, Callable[[ColumnElement[Any]], ColumnElement[int]]]] = MappingProxyType(
    {
        "sqlite": lambda moment: extract("epoch", moment),
        "postgresql": lambda moment: cast(func.floor(extract("epoch", moment)), BigInteger),
    }
)
"""SQLite's strftime knows whole seconds only."""


async def report(database: Database, span: Span) -> Report:
    """Sum what became of the messages that were begun within a span.

    Raises:
        LedgerAway: the database does not answer.
    """
    parts = [(part, await database.read(partial(_count, part))) for part in span.parts()]
    return Report(span=span, whole=reduce(add, (count for _, count in parts), Count()), parts=tuple(parts))


def _count(part: Span, connection: Connection) -> Count:
    within = (messages.c.created_at >= part.since, messages.c.created_at < part.until)
    standing = standing_column()
    standings = connection.execute(select(standing, func.count()).where(*within).group_by(standing)).all()
    return Count(
        standings={Standing(name): count for name, count in standings},
        failures=_failures(within, connection),
        refusals=_refusals(within, connection),
        seconds=_seconds(within, connection),
    )


def _failures(within: tuple[ColumnElement[bool], ...], connection: Connection) -> Counter[Cause]:
    reason = (messages.c.error_code, messages.c.error_details)
    query = (
        select(*reason, func.count())
        .where(*within, standing_column() == Standing.FAILED.value)
        .group_by(*reason)
        .execution_options(yield_per=_ROWS_AT_ONCE)
    )
    found = Counter[Cause]()
    for code, details, count in connection.execute(query):
        found[diagnose(code, details).cause] += count
    return found


def _refusals(within: tuple[ColumnElement[bool], ...], connection: Connection) -> Counter[int | None]:
    query = (
        select(messages.c.error_code, func.count())
        .where(*within, standing_column() == Standing.REFUSED.value)
        .group_by(messages.c.error_code)
    )
    return Counter(dict(tuple(row) for row in connection.execute(query)))


def _seconds(within: tuple[ColumnElement[bool], ...], connection: Connection) -> Counter[int]:
    """Count how long messages took from being begun to the first word of their arrival.

    The two moments are of two clocks, and WhatsApp's has whole seconds: both are cut to those, and what would have
    arrived before it was sent counts as at once.
    """
    whole_seconds = _WHOLE_SECONDS[connection.dialect.name]
    first_word = (
        select(func.min(statuses.c.at))
        .where(
            statuses.c.provider_message_id == messages.c.provider_message_id,
            statuses.c.status.in_([standing.value for standing in ARRIVED]),
        )
        .scalar_subquery()
    )
    # unless told so, SQLite looks each status up three times, and joins from the side of all statuses
    arrived = (
        select(whole_seconds(messages.c.created_at).label("begun_s"), whole_seconds(first_word).label("arrived_s"))
        .where(*within)
        .cte("arrived")
        .prefix_with("MATERIALIZED")
    )
    took = arrived.c.arrived_s - arrived.c.begun_s
    query = (
        select(took, func.count()).where(took.is_not(None)).group_by(took).execution_options(yield_per=_ROWS_AT_ONCE)
    )
    found = Counter[int]()
    for seconds, count in connection.execute(query):
        found[max(0, seconds)] += count
    return found
