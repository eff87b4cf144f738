"""Whether the service lives, and whether it can do its work: readiness really asks the store and the disk."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from proxy import telemetry
from proxy.delivery.cache import DiskCache
from proxy.delivery.renditions import Renditions
from proxy.errors import DiskFull, MedialinkError
from proxy.media.workers import Workers
from proxy.storage.store import Store

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
    ledger: "Ledger | None"

    async def alive(self, _request: Request) -> Response:
        """`GET /healthz`."""
        return JSONResponse({"status": "ok"}, headers=NO_STORE)

    async def ready(self, _request: Request) -> Response:
        """`GET /readyz`: 200, or 503 with what is wrong."""
        report, ready = await self.report()
        return JSONResponse(report, status_code=200 if ready else 503, headers=NO_STORE)

    async def report(self) -> tuple[dict[str, str], bool]:
        """Ask each door; one word for each that answers, a sentence for each that does not, or not as it should."""
        report = {"store": await _ask(self.store.check()), "cache": await _ask(self._check_cache())}
        if self.ledger is not None:
            report["ledger"] = await _ask(self.ledger.check())
        ready = {"ok", DISK_IS_FULL}.issuperset(report.values())
        if not self.renditions.store_takes_writes:
            report["renditions"] = "The store refuses writes: renditions are kept on this disk only."
        if not self.workers.memory_is_limited:
            report["decoding"] = "This system does not bound the memory of decoding; time and pixels are bounded."
        return report, ready

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
