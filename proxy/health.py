"""Whether the service lives, and whether it can do its work: readiness really asks the store and the disk."""

from collections.abc import Awaitable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from proxy.delivery.cache import DiskCache
from proxy.delivery.renditions import Renditions
from proxy.errors import MedialinkError
from proxy.messaging.ledger import Ledger
from proxy.storage.store import Store

NO_STORE = {"Cache-Control": "no-store"}


class Health:
    """Asks every door that this service has."""

    def __init__(self, store: Store, cache: DiskCache, renditions: Renditions, ledger: Ledger | None) -> None:
        self._store = store
        self._cache = cache
        self._renditions = renditions
        self._ledger = ledger

    async def alive(self, _request: Request) -> Response:
        """`GET /healthz`."""
        return JSONResponse({"status": "ok"}, headers=NO_STORE)

    async def ready(self, _request: Request) -> Response:
        """`GET /readyz`: 200, or 503 with what is wrong."""
        report, ready = await self.report()
        return JSONResponse(report, status_code=200 if ready else 503, headers=NO_STORE)

    async def report(self) -> tuple[dict[str, str], bool]:
        """Ask each door; one word for each that answers, a sentence for each that does not."""
        report = {"store": await _ask(self._store.check()), "cache": await _ask(self._check_cache())}
        if self._ledger is not None:
            report["ledger"] = await _ask(self._ledger.check())
        ready = all(state == "ok" for state in report.values())
        if not self._renditions.store_takes_writes:
            report["renditions"] = "The store refuses writes: renditions are kept on this disk only."
        return report, ready

    async def _check_cache(self) -> None:
        self._cache.check()


async def _ask(check: Awaitable[None]) -> str:
    try:
        await check
    except MedialinkError as error:
        return error.message
    return "ok"
