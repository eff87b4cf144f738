"""The door to what is to be passed on: kept in one commit with its statuses, claimed by one at a time, in order.

A body waits while an earlier one is about the same message or sender. A claim is a lease: whoever dies with it loses
it, and the body is posted again.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Final

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, exists, func, insert, or_, select, update

from proxy.messaging.database import Database
from proxy.messaging.parcels import Parcel
from proxy.messaging.pseudonyms import Pseudonyms
from proxy.messaging.sealed import Seal, SealBroken
from proxy.messaging.tables import lanes, outbox

KEPT_FOR: Final = timedelta(days=7)
"""As long as WhatsApp itself would try (facts, section 5)."""
LEASE: Final = timedelta(seconds=45)
"""Longer than a post can take, so that nobody posts what another still does."""
MAX_BODIES: Final = 1_000_000
"""1 KB each for a status; when so many wait, what comes is left with the provider, who sends it again."""
LATE: Final = timedelta(minutes=5)
_AT_ONCE: Final = 500
"""Values in one statement; SQLite takes 32,766 (SQLITE_MAX_VARIABLE_NUMBER)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A body that is ours until the lease ends; `parcel` is None where no key of ours opens it."""

    id: int
    attempts: int
    until: datetime
    parcel: Parcel | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What became of a claimed body: nothing is left to do without a `problem`, else it is due in `wait_s` seconds."""

    claimed: Claimed
    problem: str | None = None
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    bodies: int
    oldest_s: float


class Outbox:
    """Every method raises LedgerAway when the database does not answer, and DiskFull when it has no room."""

    def __init__(self, database: Database, *, keys: tuple[bytes, ...], now: Callable[[], datetime]) -> None:
        self._database = database
        self._pseudonyms = Pseudonyms(keys)
        self._seal = Seal(keys)
        self._now = now
        self.is_full = False
        """As of the last look at the backlog."""

    def keeping(self, parcel: Parcel) -> Callable[[Connection], None]:
        """Give what writes a parcel down; written twice, it is passed on twice."""
        hashed = sorted(self._pseudonyms.of(lane) for lane in parcel.lanes)
        return partial(self._insert, self._seal.close(parcel.packed()), hashed)

    async def record_and_claim(
        self, tried: Sequence[Tried], take: int, *, in_hand: Collection[int] = ()
    ) -> list[Claimed]:
        """Write down what became of some, and claim others, at most so many; one commit for both.

        What is in hand is not claimed, though its lease be over by the clock: its answer is still to come.
        """
        return await self._database.write(partial(self._record_and_claim, tried, take, in_hand), idempotent=True)

    async def drop_expired(self) -> int:
        """Forget what nobody took in time, at most so many that nobody waits behind it; gives how many."""
        return await self._database.write(partial(_drop, self._now()), idempotent=True)

    async def look(self) -> Backlog:
        """See how much waits, and how long it has."""
        bodies, oldest_at = await self._database.read(_backlog)
        self.is_full = bodies >= MAX_BODIES
        age = timedelta() if oldest_at is None else max(timedelta(), self._now() - oldest_at)
        return Backlog(bodies=bodies, oldest_s=age.total_seconds())

    async def remark(self) -> str | None:
        """Say what is noteworthy, in a sentence."""
        backlog = await self.look()
        if backlog.oldest_s < LATE.total_seconds():
            return None
        waits = f"{backlog.bodies} webhooks wait to be passed on, the oldest for {backlog.oldest_s / 60:.0f} minutes"
        return f"{waits}. See that FORWARD_WEBHOOKS_TO takes them."

    def _insert(self, sealed: bytes, hashed: Sequence[str], connection: Connection) -> None:
        now = self._now()
        row = {
            "sealed": sealed,
            "created_at": now,
            "expires_at": now + KEPT_FOR,
            "attempts": 0,
            # not before what it waits for, else each round would look at it in vain
            "due_at": max([now, *_due_before(hashed, connection)]),
        }
        number = connection.execute(insert(outbox).values(row).returning(outbox.c.id)).scalar_one()
        if hashed:
            connection.execute(insert(lanes), [{"lane": lane, "outbox_id": number} for lane in hashed])

    def _record_and_claim(
        self, tried: Sequence[Tried], take: int, in_hand: Collection[int], connection: Connection
    ) -> list[Claimed]:
        now = self._now()
        taken = [one.claimed for one in tried if one.problem is None]
        if taken:
            connection.execute(delete(outbox).where(or_(*map(_still_ours, taken))))
        for one in tried:
            if one.problem is not None:
                _put_off(one, now + timedelta(seconds=one.wait_s), connection)
        claimable = _claimable(now).where(outbox.c.id.not_in(in_hand))
        ids = connection.scalars(claimable.limit(take)).all() if take else []
        if not ids:
            return []
        until = now + LEASE
        mine = (
            update(outbox)
            .where(outbox.c.id.in_(ids), or_(outbox.c.claimed_until.is_(None), outbox.c.claimed_until <= now))
            .values(claimed_until=until, attempts=outbox.c.attempts + 1)
        )
        rows = connection.execute(mine.returning(outbox.c.id, outbox.c.attempts, outbox.c.sealed)).all()
        return [
            Claimed(id=row.id, attempts=row.attempts, until=until, parcel=self._parcel(row.sealed))
            for row in sorted(rows, key=lambda row: row.id)
        ]

    def _parcel(self, sealed: bytes) -> Parcel | None:
        try:
            return Parcel.unpacked(self._seal.open(sealed))
        except SealBroken:
            return None


def _due_before(hashed: Iterable[str], connection: Connection) -> list[datetime]:
    """List when those are due that share a lane."""
    rest, found = iter(hashed), []
    while some := list(islice(rest, _AT_ONCE)):
        latest = select(func.max(outbox.c.due_at)).join(lanes, lanes.c.outbox_id == outbox.c.id)
        due_at = connection.scalar(latest.where(lanes.c.lane.in_(some)))
        if due_at is not None:
            found.append(due_at)
    return found


def _claimable(now: datetime) -> Select[int]:
    own, other = lanes.alias(), lanes.alias()
    earlier = exists().where(
        own.c.outbox_id == outbox.c.id, other.c.lane == own.c.lane, other.c.outbox_id < own.c.outbox_id
    )
    return (
        select(outbox.c.id)
        .where(
            outbox.c.due_at <= now,
            outbox.c.expires_at > now,
            or_(outbox.c.claimed_until.is_(None), outbox.c.claimed_until <= now),
            ~earlier,
        )
        .order_by(outbox.c.due_at, outbox.c.id)
        .with_for_update(of=outbox, skip_locked=True)
    )


def _still_ours(claimed: Claimed) -> ColumnElement[bool]:
    """Tell a claim from a later one of the same id: SQLite gives the highest out again (sqlite.org/autoinc.html)."""
    return and_(outbox.c.id == claimed.id, outbox.c.claimed_until == claimed.until)


def _put_off(tried: Tried, due_at: datetime, connection: Connection) -> None:
    """Let go of a body, and have all that wait behind it be due no sooner; who lost it holds up nobody."""
    let_go = update(outbox).where(_still_ours(tried.claimed))
    changed = connection.execute(let_go.values(claimed_until=None, due_at=due_at, problem=tried.problem))
    if not changed.rowcount:
        return
    own, other = lanes.alias(), lanes.alias()
    behind = select(other.c.outbox_id).where(
        own.c.outbox_id == tried.claimed.id, other.c.lane == own.c.lane, other.c.outbox_id > own.c.outbox_id
    )
    connection.execute(update(outbox).where(outbox.c.id.in_(behind), outbox.c.due_at < due_at).values(due_at=due_at))


def _drop(now: datetime, connection: Connection) -> int:
    old = select(outbox.c.id).where(outbox.c.expires_at <= now).limit(_AT_ONCE).with_for_update(skip_locked=True)
    return connection.execute(delete(outbox).where(outbox.c.id.in_(old))).rowcount


def _backlog(connection: Connection) -> tuple[int, datetime | None]:
    some = select(outbox.c.id).limit(MAX_BODIES).subquery()
    bodies = connection.scalar(select(func.count()).select_from(some)) or 0
    return bodies, connection.scalar(select(outbox.c.created_at).order_by(outbox.c.id).limit(1))
