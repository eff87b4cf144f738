"""The map on one screen: builds the doors, hands them to the journeys, and lists the routes."""

import gc
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Literal

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp, Lifespan, Scope

from proxy import telemetry
from proxy.delivery.cache import DiskCache
from proxy.delivery.fetches import noted
from proxy.delivery.hits import Hits, HitsFirst
from proxy.delivery.links import Links
from proxy.delivery.makings import Makings
from proxy.delivery.mint import Mint
from proxy.delivery.newest import Newest
from proxy.delivery.renditions import Renditions
from proxy.delivery.rules import PrefixRules, parse_rules
from proxy.delivery.serve import Serve
from proxy.delivery.takedowns import Takedowns
from proxy.delivery.uploads import Uploads
from proxy.errors import MedialinkError
from proxy.failures import Refusals, failed, failed_in_http, failed_unexpectedly
from proxy.health import Health
from proxy.limits import Admission, Visits
from proxy.media.kinds import ImageRules, Kind, Rules
from proxy.media.workers import Workers
from proxy.settings import Settings, env_file
from proxy.storage.folder import FolderStore
from proxy.storage.metered import Metered
from proxy.storage.store import Store
from proxy.telemetry import metrics
from proxy.telemetry.otel import build_traces
from proxy.telemetry.redaction import secrets_in

if TYPE_CHECKING:
    from proxy.messaging.ledger import Ledger
    from proxy.messaging_doors import Messaging, Recording
    from proxy.telemetry.traces import Traces

Only = Literal["delivery", "messaging"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The doors and knowledge that a link needs, for the service and for commands."""

    store: Store
    cache: DiskCache
    workers: Workers
    uploads: Uploads
    links: Links
    renditions: Renditions
    prefix_rules: PrefixRules
    newest: Newest
    takedowns: Takedowns
    mint: Mint

    async def open(self) -> None:
        await self.takedowns.open()

    async def close(self) -> None:
        await self.takedowns.close()
        await self.newest.close()
        self.workers.close()  # before the drafts go that they write to, else they would write them anew
        await self.renditions.close()
        await self.store.close()


def build_store(settings: Settings) -> Store:
    if settings.store.startswith("s3://"):
        from proxy.storage.s3 import S3Settings, S3Store  # noqa: PLC0415 - boto3 is 30 MB that a folder does not need

        secret = settings.s3_secret_access_key
        bucket, _, prefix = settings.store.removeprefix("s3://").partition("/")
        return Metered(
            S3Store(
                bucket,
                prefix,
                S3Settings(
                    endpoint_url=settings.s3_endpoint_url,
                    region=settings.s3_region,
                    access_key_id=settings.s3_access_key_id,
                    secret_access_key=secret.get_secret_value() if secret else None,
                    connect_timeout_s=settings.store_connect_timeout_s,
                    read_timeout_s=settings.store_read_timeout_s,
                    threads=settings.store_threads,
                ),
            )
        )
    folder = Path(settings.store.removeprefix("file://")) if settings.store else settings.data_dir / "media"
    return Metered(FolderStore(folder))


def build_delivery(settings: Settings, traces: "Traces | None" = None) -> Delivery:
    store = build_store(settings)
    workers_of, makings_of = Workers, Makings
    if traces is not None:
        from proxy.delivery.traced import traced_makings  # noqa: PLC0415 - OpenTelemetry is behind it
        from proxy.media.traced import traced_workers  # noqa: PLC0415 - the same
        from proxy.storage.traced import TracedStore  # noqa: PLC0415 - the same

        store = TracedStore(store=store, traces=traces, remote=settings.store.startswith("s3://"))
        workers_of, makings_of = traced_workers(traces), traced_makings(traces)
    cache_dir = settings.cache_dir or settings.data_dir / "cache"
    cache = DiskCache(cache_dir, settings.cache_max_bytes, clock=time.time)
    workers = workers_of(
        slots=settings.decode_slots,
        queue=settings.decode_queue,
        time_limit_s=settings.decode_timeout_s,
        memory_bytes=settings.decode_memory_bytes,
        slots_dir=cache_dir / "slots",
    )
    rules = Rules(
        image=ImageRules(
            heavy_bytes=settings.heavy_image_bytes,
            heavy_edge_px=settings.heavy_image_edge_px,
            max_pixels=settings.max_image_pixels,
        ),
        strict=settings.strict,
    )
    makings = makings_of(workers, rules, max_at_once=settings.decode_slots + settings.decode_queue)
    admit = _admission(settings)
    links = Links(settings.link_secrets(), show_names=settings.link_names)
    renditions = Renditions(
        store=store,
        cache=cache,
        makings=makings,
        max_source_bytes=settings.max_source_bytes,
        wait_limit_s=settings.wait_limit_s,
        clock=time.monotonic,
        admit=admit,
    )
    prefix_rules = parse_rules(settings.prefix_rules)
    takedowns = Takedowns(store, settings.data_dir / "takedowns.json", clock=time.monotonic)
    takedowns.listen(partial(renditions.withdraw, lambda link: takedowns.forbids(link.key, link.version)))
    mint = Mint(
        store=store,
        renditions=renditions,
        links=links,
        rules=rules,
        prefix_rules=prefix_rules,
        takedowns=takedowns,
        public_url=settings.public_url,
        clock=time.time,
    )
    return Delivery(
        store=store,
        cache=cache,
        workers=workers,
        uploads=Uploads(makings=makings, cache=cache, max_bytes=settings.max_source_bytes, admit=admit),
        links=links,
        renditions=renditions,
        prefix_rules=prefix_rules,
        newest=Newest(store, prefix_rules, clock=time.monotonic, admit=admit),
        takedowns=takedowns,
        mint=mint,
    )


def _admission(settings: Settings) -> Callable[[], None]:
    if settings.misses_per_minute is None:
        return lambda: None
    return Admission(settings.misses_per_minute, settings.trusted_proxies, clock=time.monotonic).admit


def build_health(delivery: Delivery, ledger: "Ledger | None") -> Health:
    return Health(
        store=delivery.store,
        cache=delivery.cache,
        renditions=delivery.renditions,
        workers=delivery.workers,
        takedowns=delivery.takedowns,
        ledger=ledger,
    )


def create_app(
    settings: Settings,
    only: Only | None = None,
    platform: socket | None = None,
    traces: "Traces | None" = None,
) -> ASGIApp:
    """Build the service. A journey whose settings are absent is not mounted.

    Where there is a socket for the platform, health and metrics are answered there, and nowhere else.
    """
    delivery = build_delivery(settings, traces)
    messaging, trusts, recording = None, None, None
    if only != "delivery":
        from proxy.messaging_doors import (  # noqa: PLC0415 - a database is behind it
            build_messaging,
            known_callers,
            messaging_routes,
        )

        messaging = build_messaging(settings, delivery.mint, traces, delivery.cache.draft)
        trusts = known_callers(settings)
    ledger = messaging.ledger if messaging else None
    if only != "messaging" and (only is None if settings.record_fetches is None else settings.record_fetches):
        from proxy.messaging_doors import build_recording  # noqa: PLC0415 - a database is behind it

        recording = build_recording(settings, delivery.links, ledger)
    health = build_health(delivery, ledger)
    routes = [] if platform else health.routes()
    if messaging is not None:
        routes += messaging_routes(settings, messaging, delivery.mint, delivery.uploads)
    hits = Hits(clock=time.time)
    delivery.takedowns.listen(hits.clear)
    if only != "messaging":
        routes += _delivery_routes(settings, delivery, hits)

    beside_requests: tuple[Messaging | Recording | None, ...] = (messaging, recording)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as running:
            for part in beside_requests:
                if part is not None:
                    await running.enter_async_context(part.at_work())
            await delivery.open()
            delivery.renditions.tidy()
            await running.enter_async_context(metrics.handed_over())
            if platform:
                from proxy.servers import beside  # noqa: PLC0415 - uvicorn, which a command does without

                asked = telemetry.RequestIds(Refusals(_routed(health.routes())), new_id=_new_request_id)
                await running.enter_async_context(beside(asked, platform))
            yield
        await delivery.close()
        if traces is not None:
            await traces.close()

    app = _routed(routes, lifespan)
    telemetry.log.info("service.mounted", routes=[route.path for route in routes])
    answering = noted(HitsFirst(Visits(Refusals(app)), hits), recording.log if recording else None)
    served = telemetry.RequestIds(answering, new_id=_new_request_id)
    return served if traces is None else _traced(served, traces, routes, health, trusts)


def _delivery_routes(settings: Settings, delivery: Delivery, hits: Hits) -> Iterator[Route]:
    serve = Serve(
        links=delivery.links,
        renditions=delivery.renditions,
        mint=delivery.mint,
        newest=delivery.newest,
        rules=delivery.prefix_rules,
        takedowns=delivery.takedowns,
        hits=hits,
        alias_prefixes=settings.alias_prefixes,
        clock=time.time,
    )
    yield Route("/m/{tag}/{token}/{name}", serve.link)
    if settings.alias_prefixes:
        yield from (Route(f"/{kind}/{{key:path}}", partial(serve.alias, kind), name=kind) for kind in Kind)


def _traced(
    app: ASGIApp, traces: "Traces", routes: list[Route], health: Health, trusts: Callable[[Scope], bool] | None
) -> ASGIApp:
    from proxy.telemetry.request_spans import RequestSpans  # noqa: PLC0415 - OpenTelemetry is behind it

    untraced = [route.path for route in health.routes()]
    return RequestSpans(app, traces, routes, untraced=untraced, trusts=trusts)


def _routed(routes: list[Route], lifespan: Lifespan[Starlette] | None = None) -> Starlette:
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={MedialinkError: failed, HTTPException: failed_in_http, Exception: failed_unexpectedly},
    )
    app.router.redirect_slashes = False  # WhatsApp's fetcher follows no redirect, and none may name a caller's host
    return app


async def preflight(settings: Settings, only: Only | None) -> None:
    """Open every door once, so that a wrong set-up is one sentence and not a trace of each worker process."""
    traces = build_traces(env_file())
    delivery = build_delivery(settings)
    try:
        if only != "delivery":
            from proxy.messaging_doors import build_messaging  # noqa: PLC0415 - a database is behind it

            messaging = build_messaging(settings, delivery.mint)
            try:
                await messaging.ledger.open()
            finally:
                await messaging.close()
    finally:
        await delivery.close()
        if traces is not None:
            await traces.close()


def from_environment() -> ASGIApp:
    """Build the service that a worker process of `serve` runs."""
    from proxy.servers import platform_listener  # noqa: PLC0415 - uvicorn, which a command does without

    settings = Settings.read()
    telemetry.configure_logging(settings.log_level, settings.log_format, secrets_in(settings))
    host, port = settings.metrics_host or settings.listen_host, settings.metrics_port
    platform = platform_listener(host, port) if port else None
    app = create_app(settings, settings.serve_only, platform, build_traces(env_file()))
    gc.collect()
    gc.freeze()  # else each full collection looks through all that was imported: 60 ms and more, beside hits
    return app


def _new_request_id() -> str:
    """Tell requests apart; no secret, and half a microsecond where the system's randomness takes three."""
    return f"{random.getrandbits(96):024x}"
