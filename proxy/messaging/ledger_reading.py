"""The door for who reads the ledger and changes nothing: messages that match, one message, and what was fetched for it.

Its user of the database needs no right but to read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, exists, func, or_, select, tuple_

from proxy.errors import Malformed, MessageUnknown, SettingsInvalid
from proxy.messaging import migrations
from proxy.messaging.causes import Cause
from proxy.messaging.database import Database
from proxy.messaging.diagnoses import could_be, diagnose
from proxy.messaging.entries import Fetched, LedgerFetch, LedgerMessage
from proxy.messaging.ledger_urls import parse_ledger_url
from proxy.messaging.standings import UNDONE, Standing
from proxy.messaging.tables import fetches, media, messages, read_messages

MAX_PAGE: Final = 1000
MAX_LOOKED: Final = 50_000
"""Failures that one search for a cause looks at; the next goes on from there."""
_ROWS_AT_ONCE: Final = 500

MAX_FETCHES: Final = 100
FETCHED_BEFORE: Final = timedelta(minutes=10)
"""WhatsApp keeps what it fetched for so long, by the link (facts, section 4a): an earlier fetch may serve it, too."""
FETCHED_AFTER: Final = timedelta(days=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What is looked for; None stands for any. `recipient_hashes` are those that one number may stand under.

    `since` and `until` are about when the message was begun, `until` itself left out. `after` is the id of a message:
    only what stands behind it in the list is given.
    """

    since: datetime | None = None
    until: datetime | None = None
    standing: Standing | None = None
    cause: Cause | None = None
    key_prefix: str | None = None
    type: str | None = None
    recipient_hashes: tuple[str, ...] | None = None
    last4: str | None = None
    rendition_id: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Messages, the newest first; `after` is where the next page begins, None at the end."""

    messages: tuple[LedgerMessage, ...]
    after: str | None


class LedgerReading:
    """Every method raises LedgerAway when the database does not answer."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self._url = parse_ledger_url(url)

    async def open(self) -> None:
        """See that there is a ledger which this release can read.

        Raises:
            Malformed: there is none.
            SettingsInvalid: it is of another release.
        """
        if not self._may_be_there():
            raise _no_ledger(str(self._url))
        found = await self.database.read(migrations.revision_of)
        known = migrations.newest_revision()
        if found is None:
            raise _no_ledger(str(self._url))
        if found != known:
            problem = f"is at revision {found}, and this release reads {known}; start its service first, or use another"
            raise SettingsInvalid(mistakes=(f"LEDGER_URL: the ledger {problem}",))

    async def find(self, filters: Filters, limit: int) -> Page:
        """List what matches, at most MAX_PAGE.

        Raises:
            MessageUnknown: nothing has the id that the list is to begin after.
        """
        return await self.database.read(partial(_find, filters, max(1, min(limit, MAX_PAGE))))

    async def message(self, message_id: str) -> LedgerMessage:
        """Find a message by its id, which is also its callback data where the sender gave none, or by the provider's.

        Raises:
            MessageUnknown: there is none.
        """
        query = select(messages).where(or_(messages.c.id == message_id, messages.c.provider_message_id == message_id))
        found = await self.database.read(partial(read_messages, query))
        if not found:
            raise MessageUnknown(message_id=message_id)
        return found[0]

    async def fetched(self, message: LedgerMessage) -> Fetched:
        """List what our origin served of the message's renditions around the time when it was sent."""
        renditions = {medium.rendition_id for medium in message.media if medium.rendition_id}
        if not renditions:
            return Fetched(fetches=())
        first, last = message.created_at - FETCHED_BEFORE, message.created_at + FETCHED_AFTER
        query = (
            select(fetches)
            .where(fetches.c.rendition_id.in_(renditions), fetches.c.at >= first, fetches.c.at < last)
            .order_by(fetches.c.at, fetches.c.id)
        )
        found = await self.database.read(partial(_read_fetches, query.limit(MAX_FETCHES + 1)))
        return Fetched(fetches=found[:MAX_FETCHES], more=len(found) > MAX_FETCHES)

    async def close(self) -> None:
        await self.database.close()

    def _may_be_there(self) -> bool:
        """Look before SQLite does, which would make an empty file."""
        return not self._url.is_sqlite or Path(self._url.parsed.database or "").is_file()


def standing_column() -> ColumnElement[str]:
    return func.coalesce(messages.c.status, messages.c.outcome)


def _find(filters: Filters, limit: int, connection: Connection) -> Page:
    newest_first = (messages.c.created_at.desc(), messages.c.id.desc())
    query = (
        select(messages.c.id, messages.c.error_code, messages.c.error_details)
        .where(*_conditions(filters, connection))
        .order_by(*newest_first)
        .limit(limit + 1 if filters.cause is None else MAX_LOOKED)
        .execution_options(yield_per=_ROWS_AT_ONCE)
    )
    found: list[str] = []
    looked, last, after = 0, None, None
    with connection.execute(query) as rows:
        for row in rows:
            looked += 1
            if filters.cause is None or diagnose(row.error_code, row.error_details).cause is filters.cause:
                if len(found) == limit:
                    after = found[-1]
                    break
                found.append(row.id)
            last = row.id
    if after is None and looked == MAX_LOOKED:
        after = last
    whole = select(messages).where(messages.c.id.in_(found)).order_by(*newest_first)
    return Page(messages=read_messages(whole, connection), after=after)


def _conditions(filters: Filters, connection: Connection) -> Iterator[ColumnElement[bool]]:
    equal = ((messages.c.type, filters.type), (messages.c.recipient_last4, filters.last4))
    yield from (column == value for column, value in equal if value is not None)
    if filters.since is not None:
        yield messages.c.created_at >= filters.since
    if filters.until is not None:
        yield messages.c.created_at < filters.until
    if filters.recipient_hashes is not None:
        yield messages.c.recipient_hash.in_(filters.recipient_hashes)
    if filters.after is not None:
        place = (messages.c.created_at, messages.c.id)
        row = connection.execute(select(*place).where(messages.c.id == filters.after)).one_or_none()
        if row is None:
            raise MessageUnknown(message_id=filters.after)
        yield tuple_(*place) < tuple(row)
    yield from _of_standing(filters)
    yield from _of_media(filters)


def _of_standing(filters: Filters) -> Iterator[ColumnElement[bool]]:
    if filters.standing is not None:
        yield standing_column() == filters.standing.value
    if filters.cause is not None:
        yield standing_column().in_([standing.value for standing in UNDONE])
        codes = could_be(filters.cause)
        if codes is not None:
            yield messages.c.error_code.in_(codes)


def _of_media(filters: Filters) -> Iterator[ColumnElement[bool]]:
    if filters.key_prefix is not None:
        begins = func.substr(media.c.key, 1, len(filters.key_prefix)) == filters.key_prefix
        yield exists().where(media.c.message_id == messages.c.id, begins)
    if filters.rendition_id is not None:
        yield messages.c.id.in_(select(media.c.message_id).where(media.c.rendition_id == filters.rendition_id))


def _read_fetches(query: Select[Any], connection: Connection) -> tuple[LedgerFetch, ...]:
    return tuple(
        LedgerFetch(
            rendition_id=row.rendition_id,
            at=row.at,
            status=row.status,
            sent_bytes=row.sent_bytes,
            whole=row.whole,
            ms=row.ms,
            code=row.code,
            agent=row.agent,
        )
        for row in connection.execute(query).all()
    )


def _no_ledger(where: str) -> Malformed:
    return Malformed(
        field="LEDGER_URL",
        problem=f"there is no ledger at {where}; run this with the settings of the service that sends",
    )
