"""What the platform asks: whether the service lives, whether it can do its work, and what it has counted.

Readiness really asks the store and the disk. A node is not ready for what is its own: a cache that cannot be used, for
other nodes have theirs. A store that is away is away for all of them: were none ready, what they have cached would not
be served either, so that is told and no reason to leave. Without the ledger nothing can be sent, and no status be kept;
without a list of takedowns nothing is delivered.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from proxy import telemetry
from proxy.delivery.cache import DiskCache
from proxy.delivery.renditions import Renditions
from proxy.delivery.takedowns import Takedowns
from proxy.errors import DiskFull, MedialinkError
from proxy.media.workers import Workers
from proxy.storage.store import Store
from proxy.telemetry import metrics

if TYPE_CHECKING:
    from proxy.messaging.ledger import Ledger

NO_STORE = {"Cache-Control": "no-store"}
DISK_IS_FULL = "The disk is full: media are served without being cached. Free space or lower CACHE_MAX_BYTES."


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Asks every door that this service has."""

    store: Store
    cache: DiskCache
    renditions: Renditions
    workers: Workers
    takedowns: Takedowns
    ledger: "Ledger | None"

    def routes(self) -> list[Route]:
        return [
            Route("/healthz", self.alive),
            Route("/readyz", self.ready),
            Route("/metrics", self.metrics),
        ]

    async def alive(self, _request: Request) -> Response:
        """`GET /healthz`."""
        return JSONResponse({"status": "ok"}, headers=NO_STORE)

    async def ready(self, _request: Request) -> Response:
        """`GET /readyz`: 200, or 503 with what is wrong."""
        report, _ = await self.report()
        own_doors = report["cache"] in {"ok", DISK_IS_FULL} and report.get("ledger", "ok") == "ok"
        serves = own_doors and self.takedowns.known
        return JSONResponse(report, status_code=200 if serves else 503, headers=NO_STORE)

    async def metrics(self, _request: Request) -> Response:
        """`GET /metrics`: what all worker processes have counted, for Prometheus."""
        page = await asyncio.to_thread(metrics.exposition)
        return Response(page, headers=NO_STORE | {"Content-Type": metrics.CONTENT_TYPE})

    async def report(self) -> tuple[dict[str, str], bool]:
        """Ask each door; one word for each that answers, a sentence for each that does not, or not as it should.

        Beside it stands whether all do.
        """
        report = {"store": await _ask(self.store.check()), "cache": await _ask(self._check_cache())}
        if self.ledger is not None:
            report["ledger"] = await _ask(self.ledger.check())
        well = {"ok", DISK_IS_FULL}.issuperset(report.values())
        report["takedowns"] = self.takedowns.state
        if self.ledger is not None and report["ledger"] == "ok":
            waiting = await _ask(self.ledger.outbox.remark())
            report |= {} if waiting == "ok" else {"outbox": waiting}
        if (versions := await _ask(self.store.remark())) != "ok":
            report["versions"] = versions
        if not self.renditions.store_takes_writes:
            report["renditions"] = "The store refuses writes: renditions are kept on this disk only."
        if not self.workers.memory_is_limited:
            report["decoding"] = "This system does not bound the memory of decoding; time and pixels are bounded."
        return report, well

    async def _check_cache(self) -> str:
        try:
            self.cache.check()
        except DiskFull:
            return DISK_IS_FULL
        return DISK_IS_FULL if self.cache.is_full else "ok"


async def _ask(check: Awaitable[str | None]) -> str:
    try:
        return await check or "ok"
    except MedialinkError as error:
        telemetry.log.warning("door.away", error=error.code, cause=repr(error.__cause__))
        return error.message
