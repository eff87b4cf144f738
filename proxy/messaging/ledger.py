"""The door to the ledger: what was sent, under which id, and what became of it."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, assert_never

from sqlalchemy import Connection, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from proxy import telemetry
from proxy.errors import Malformed, MedialinkError, NotFound
from proxy.messaging.database import Database
from proxy.messaging.entries import Entry, Fate, Kept, LedgerMessage, LedgerStatus
from proxy.messaging.histories import Histories
from proxy.messaging.outbox import Outbox
from proxy.messaging.outcomes import Accepted, NotSent, Outcome, Refused, Uncertain
from proxy.messaging.pseudonyms import Pseudonyms, last4
from proxy.messaging.statuses import Status, rank
from proxy.messaging.tables import media, messages, read_messages
from proxy.messaging.together import Together
from proxy.messaging.unread import Unread

__all__ = ["Beside", "Entry", "Fate", "Ledger", "LedgerMessage", "LedgerStatus"]

MAX_RECENT = 1000
MAX_STATUSES_TOGETHER = 500
SETTLE_EVERY_S = 5.0
MAX_UNSETTLED = 10_000
"""Of more than these, the next status settles what is left."""

Beside = Callable[[Connection], None]
"""What else is written in one transaction with a message or statuses."""

_ID_OF_ANOTHER = "the provider answered with the id of another message, so its statuses cannot be told apart"


class Ledger:
    """Every method raises LedgerAway when the database does not answer, and DiskFull when it has no room."""

    def __init__(self, url: str, *, keys: tuple[bytes, ...], now: Callable[[], datetime]) -> None:
        self.database = Database(url)
        self._pseudonyms = Pseudonyms(keys)
        self._now = now
        self._histories = Histories(pseudonyms=self._pseudonyms, now=now)
        self._unsettled: set[str] = set()
        self._take = Together(self._keep_all, max_items=MAX_STATUSES_TOGETHER)
        self.outbox = Outbox(self.database, keys=keys, now=now)
        self.unread = Unread(keys=keys, now=now)

    async def open(self) -> None:
        """Bring the database up to date; safe when several processes start at once.

        Raises:
            SettingsInvalid: it was made by another release, whose tables are not known here.
        """
        await self.database.open()

    async def begin(self, entry: Entry, beside: Sequence[Beside] = ()) -> None:
        """Write down what is about to be posted.

        Raises:
            Malformed: the id has been used.
            Whatever error of ours `beside` raises: nothing is written then.
        """
        await self.database.write(partial(self._begin, entry, beside), idempotent=False)

    async def finish(self, message_id: str, outcome: Outcome) -> None:
        """Write down what became of the post, and take up statuses that were faster than its answer.

        Raises:
            NotFound: no message was begun under this id.
        """
        await self.database.write(partial(self._finish, message_id, outcome), idempotent=True)
        if isinstance(outcome, Accepted):
            await self.database.write(partial(self._histories.settle, {outcome.message_id}), idempotent=True)

    async def record(self, statuses: Sequence[Status]) -> int:
        """Keep statuses in any order, any number of times; gives how many were new."""
        return sum(kept.new for kept in await self.take(statuses))

    async def take(self, statuses: Sequence[Status], beside: Sequence[Beside] = ()) -> list[Kept]:
        """Keep what a webhook brought in one commit, which many webhooks share; tells of each status what became of it.

        A status belongs to the message that has its id; where the provider's answer was lost, to the one whose id it
        carries as callback data, which is accepted by that. Others are kept all the same.
        """
        items: list[Status | Beside] = [*statuses, *beside]
        return (await self._take(items))[: len(statuses)] if items else []

    async def settle_rest(self) -> None:
        """Settle what could not be settled when it came.

        Raises:
            LedgerAway: it is left for another round.
        """
        for name in tuple(self._unsettled):
            try:
                await self._settle({name})
            except MedialinkError:
                raise
            except Exception:  # noqa: BLE001 - one that cannot be settled must keep no other
                telemetry.log.exception("ledger.not_settled")
            self._unsettled.discard(name)

    async def _settle(self, names: set[str]) -> Mapping[str, str]:
        return await self.database.write(partial(self._histories.settle, names), idempotent=True)

    async def message(self, message_id: str) -> LedgerMessage | None:
        """Find a message by its id, or by the provider's."""
        query = select(messages).where(or_(messages.c.id == message_id, messages.c.provider_message_id == message_id))
        found = await self.database.read(partial(read_messages, query))
        return found[0] if found else None

    async def recent(self, limit: int) -> tuple[LedgerMessage, ...]:
        """List the newest messages first, at most MAX_RECENT."""
        query = select(messages).order_by(messages.c.created_at.desc(), messages.c.id)
        return await self.database.read(partial(read_messages, query.limit(max(0, min(limit, MAX_RECENT)))))

    async def check(self) -> None:
        """Ask whether the database answers and has our tables."""
        await self.database.read(partial(read_messages, select(messages).limit(1)))

    async def close(self) -> None:
        await self.database.close()

    def _begin(self, entry: Entry, beside: Sequence[Beside], connection: Connection) -> None:
        for write in beside:
            write(connection)
        recipient = self._pseudonyms.of(entry.recipient)
        now = self._now()
        row = {
            "id": entry.id,
            "type": entry.type,
            "recipient_hash": recipient,
            "recipient_last4": last4(entry.recipient),
            "outcome": Fate.POSTING.value,
            "warnings": json.dumps([self._pseudonyms.redact(warning, {recipient}) for warning in entry.warnings]),
            "created_at": now,
            "updated_at": now,
        }
        try:
            connection.execute(insert(messages).values(row))
        except IntegrityError:
            raise Malformed(field="id", problem="has been used for another message; take a new one") from None
        rows = [
            {
                "message_id": entry.id,
                "position": position,
                "kind": medium.kind.value,
                "link": medium.link,
                "key": medium.key,
                "rendition_id": medium.rendition_id,
            }
            for position, medium in enumerate(entry.media)
        ]
        if rows:
            connection.execute(insert(media), rows)

    def _finish(self, message_id: str, outcome: Outcome, connection: Connection) -> None:
        found = connection.execute(
            select(messages.c.recipient_hash).where(messages.c.id == message_id).with_for_update()
        ).one_or_none()
        if found is None:
            raise NotFound
        columns = _columns_of(outcome, connection)
        if columns["error_details"] is not None:
            columns["error_details"] = self._pseudonyms.redact(columns["error_details"], {found.recipient_hash})
        connection.execute(
            update(messages)
            .where(messages.c.id == message_id, messages.c.provider_message_id.is_(None))
            .values(**columns, updated_at=self._now())
        )

    async def _keep_all(self, items: Sequence[Status | Beside]) -> list[Kept]:
        """Write many in one commit, as each waits for the disk."""
        statuses = {place: item for place, item in enumerate(items) if isinstance(item, Status)}
        beside = [item for item in items if not isinstance(item, Status)]
        # every process goes through messages in one order, so that none waits for a row in a circle
        ordered = dict(sorted(statuses.items(), key=lambda each: _place(each[1])))
        new = await self.database.write(partial(self._keep, [*ordered.values()], beside), idempotent=True)
        told = dict(zip(ordered, new, strict=True))
        ids = await self._settle_soon({status.message_id for status in statuses.values()})
        nothing = Kept(new=False, message_id=None)
        return [
            Kept(new=told[place], message_id=ids.get(statuses[place].message_id)) if place in statuses else nothing
            for place in range(len(items))
        ]

    async def _settle_soon(self, names: set[str]) -> Mapping[str, str]:
        """Settle what is written down by now: a failure must not have it written once more, and is made good later."""
        try:
            return await self._settle(names) if names else {}
        except Exception as error:  # noqa: BLE001 - whatever it is, the history is committed
            self._unsettled |= set(islice(names, MAX_UNSETTLED - len(self._unsettled)))
            telemetry.log.warning("ledger.unsettled", messages=len(self._unsettled), error=type(error).__name__)
            return {}

    def _keep(self, ordered: Sequence[Status], beside: Sequence[Beside], connection: Connection) -> list[bool]:
        for write in beside:
            write(connection)
        return self._histories.keep(ordered, connection)


def _place(status: Status) -> tuple[str, int, str]:
    return status.message_id, rank(status.status), status.recipient or ""


def _columns_of(outcome: Outcome, connection: Connection) -> dict[str, Any]:
    columns: dict[str, Any] = {"provider_message_id": None, "error_code": None, "error_details": None}
    match outcome:
        case Accepted(message_id=provider_message_id):
            taken = messages.c.provider_message_id == provider_message_id
            if connection.execute(select(messages.c.id).where(taken)).first() is None:
                return columns | {"outcome": Fate.ACCEPTED.value, "provider_message_id": provider_message_id}
            return columns | {"outcome": Fate.ACCEPTED.value, "error_details": _ID_OF_ANOTHER}
        case Refused(code=code, details=details):
            return columns | {"outcome": Fate.REFUSED.value, "error_code": code, "error_details": details}
        case Uncertain(details=details):
            return columns | {"outcome": Fate.UNCERTAIN.value, "error_details": details}
        case NotSent(details=details):
            return columns | {"outcome": Fate.NOT_SENT.value, "error_details": details}
        case _:
            assert_never(outcome)
