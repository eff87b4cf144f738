"""The ledger forgets what is older than it is told, whole, and nothing else."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy
from sqlalchemy import insert

from proxy.messaging import retention
from proxy.messaging.ledger import Ledger
from proxy.messaging.ledger_urls import parse_ledger_url
from proxy.messaging.outcomes import Accepted
from proxy.messaging.retention import Retention
from proxy.messaging.statuses import State
from proxy.messaging.tables import fetches, metadata, unread
from tests.messaging.ledgers import EPOCH, entry, status, using


async def fill(ledger: Ledger, at: datetime) -> None:
    await ledger.begin(entry())
    await ledger.finish("m1", Accepted(message_id="wamid.1"))
    await ledger.record([status(State.SENT), status(State.READ)])
    fetch = {"rendition_id": "r1", "at": at, "status": 200, "sent_bytes": 1, "whole": True, "ms": 1.0}
    await ledger.database.write(lambda connection: connection.execute(insert(fetches), [fetch] * 5), idempotent=False)
    row = {"sealed": b"", "recorded_at": at}
    await ledger.database.write(lambda connection: connection.execute(insert(unread), [row]), idempotent=False)


def rows(url: str) -> dict[str, int]:
    engine = sqlalchemy.create_engine(parse_ledger_url(url).parsed)
    with engine.connect() as connection:
        count = sqlalchemy.func.count()
        counted = {
            table.name: connection.execute(sqlalchemy.select(count).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
        }
    engine.dispose()
    return counted


@pytest.mark.parametrize("later", [timedelta(days=29), timedelta(days=31)], ids=["young", "old"])
def test_what_is_older_goes_whole_and_what_is_younger_stays(
    url: str, later: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "ROWS_AT_ONCE", 2)

    async def work(ledger: Ledger) -> None:
        await fill(ledger, EPOCH)
        await Retention(database=ledger.database, days=30, now=lambda: EPOCH + later).sweep()

    using(url, work)
    left = rows(url)
    aged = {"messages", "media", "statuses", "fetches", "unread"}
    assert left.keys() == aged | {"outbox", "lanes", "idempotency"}, "these have an end of their own"
    assert all((left[table] == 0) is (later > timedelta(days=30)) for table in aged), left
