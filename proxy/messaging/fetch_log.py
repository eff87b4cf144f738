"""Who fetched a link, and what came of it, written down: when a picture does not arrive, this is the first question."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Final

from sqlalchemy import Connection, insert

from proxy.delivery.fetches import PREFIX, Fetch
from proxy.delivery.links import Link
from proxy.errors import NotFound
from proxy.messaging.database import Database
from proxy.messaging.entries import LedgerFetch
from proxy.messaging.foreign import text
from proxy.messaging.tables import fetches
from proxy.telemetry import metrics

EVERY_S: Final = 1.0
MAX_WAITING: Final = 10_000
MAX_AT_ONCE: Final = 200
"""Links are opened on the loop, some 15 us each, and hits wait."""
MAX_PER_LINK: Final = 60
"""Of one link in one hour, by each process: who asks a thousand times fills no ledger."""
MAX_LINKS: Final = 10_000
HOUR_S: Final = 3600


class FetchLog:
    """Takes fetches as they come, and writes them down together, later. `open_link` knows a link by its three parts.

    What is too much is left out and counted.
    """

    def __init__(self, database: Database, open_link: Callable[[str, str, str], Link]) -> None:
        self._database = database
        self._open_link = open_link
        self._waiting = deque[Fetch]()
        self._rows: list[dict[str, object]] = []
        self._seen: OrderedDict[tuple[str, int], int] = OrderedDict()

    def note(self, fetch: Fetch) -> None:
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(fetch)
        else:
            metrics.FETCHES_LEFT_OUT.inc()

    async def write_down(self) -> None:
        """Write all that has come.

        Raises:
            LedgerAway, DiskFull: what was not written waits for another round.
        """
        while self._rows or self._waiting:
            if not self._rows:
                taken = [self._waiting.popleft() for _ in range(min(MAX_AT_ONCE, len(self._waiting)))]
                self._rows = [asdict(fetch) for fetch in self._known(taken)]
            if self._rows:
                await self._database.write(partial(_insert, self._rows), idempotent=False)
                self._rows = []

    def _known(self, taken: Sequence[Fetch]) -> Iterator[LedgerFetch]:
        """Leave out forged links, which name nothing, and what is too much of one."""
        names = dict[bytes, str | None]()
        for fetch in taken:
            if fetch.raw_path not in names:
                names[fetch.raw_path] = self._rendition_of(fetch.raw_path)
            rendition_id = names[fetch.raw_path]
            if rendition_id is None:
                continue
            if self._is_enough(rendition_id, int(fetch.at_s // HOUR_S)):
                metrics.FETCHES_LEFT_OUT.inc()
                continue
            yield LedgerFetch(
                rendition_id=rendition_id,
                at=datetime.fromtimestamp(fetch.at_s, UTC),
                status=fetch.status,
                sent_bytes=fetch.sent_bytes,
                whole=fetch.whole,
                ms=fetch.ms,
                code=fetch.code,
                agent=text(fetch.agent.decode(errors="replace")),
            )

    def _rendition_of(self, raw_path: bytes) -> str | None:
        parts = raw_path.decode(errors="replace").removeprefix(PREFIX).split("/")
        if len(parts) != len(("tag", "token", "name")):
            return None
        try:
            return self._open_link(*parts).rendition_id
        except NotFound:
            return None

    def _is_enough(self, rendition_id: str, hour: int) -> bool:
        count = self._seen.pop((rendition_id, hour), 0)
        self._seen[rendition_id, hour] = count + 1
        if len(self._seen) > MAX_LINKS:
            self._seen.popitem(last=False)
        return count >= MAX_PER_LINK


def _insert(rows: Sequence[Mapping[str, object]], connection: Connection) -> None:
    connection.execute(insert(fetches), rows)
