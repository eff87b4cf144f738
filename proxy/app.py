"""The map on one screen: builds the doors, hands them to the journeys, and lists the routes."""

import random
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp

from proxy import telemetry
from proxy.bounds import RequestBounds
from proxy.delivery.cache import DiskCache
from proxy.delivery.hits import Hits, HitsFirst
from proxy.delivery.links import Links
from proxy.delivery.mint import Mint
from proxy.delivery.renditions import Renditions
from proxy.delivery.serve import Serve
from proxy.errors import MedialinkError
from proxy.failures import failed, failed_in_http, failed_unexpectedly
from proxy.health import Health
from proxy.media.kinds import ImageRules, Kind
from proxy.media.workers import Workers
from proxy.messaging.callers import Callers
from proxy.messaging.give import Give
from proxy.messaging.ledger import Ledger
from proxy.messaging.prepare import Prepare
from proxy.messaging.proof import Proof
from proxy.messaging.provider import Provider, Retries, Timeouts
from proxy.messaging.receive import Receive
from proxy.messaging.send import Post, Send
from proxy.settings import Settings, parse_gateway_keys
from proxy.storage.folder import FolderStore
from proxy.storage.s3 import S3Settings, S3Store
from proxy.storage.store import Store

Only = Literal["delivery", "messaging"]

PROVIDER_TRIES = 3
PROVIDER_RETRY_TOTAL_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The doors and knowledge that a link needs, for the service and for commands."""

    store: Store
    cache: DiskCache
    workers: Workers
    rules: ImageRules
    links: Links
    renditions: Renditions
    mint: Mint

    async def close(self) -> None:
        await self.renditions.close()
        self.workers.close()
        await self.store.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Messaging:
    """The doors that a message needs; it sends only where there is a provider."""

    ledger: Ledger
    prepare: Prepare
    provider: Provider | None
    send: Send | None

    async def close(self) -> None:
        if self.provider is not None:
            await self.provider.close()
        await self.ledger.close()


def build_store(settings: Settings) -> Store:
    if settings.store.startswith("s3://"):
        secret = settings.s3_secret_access_key
        bucket, _, prefix = settings.store.removeprefix("s3://").partition("/")
        return S3Store(
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
    folder = Path(settings.store.removeprefix("file://")) if settings.store else settings.data_dir / "media"
    return FolderStore(folder)


def build_delivery(settings: Settings) -> Delivery:
    store = build_store(settings)
    cache_dir = settings.cache_dir or settings.data_dir / "cache"
    cache = DiskCache(cache_dir, settings.cache_max_bytes, clock=time.time)
    workers = Workers(
        slots=settings.decode_slots,
        queue=settings.decode_queue,
        time_limit_s=settings.decode_timeout_s,
        memory_bytes=settings.decode_memory_bytes,
        slots_dir=cache_dir / "slots",
    )
    rules = ImageRules(
        heavy_bytes=settings.heavy_image_bytes,
        heavy_edge_px=settings.heavy_image_edge_px,
        max_pixels=settings.max_image_pixels,
    )
    links = Links(settings.link_secrets(), show_names=settings.link_names)
    renditions = Renditions(
        store=store,
        cache=cache,
        workers=workers,
        rules=rules,
        max_source_bytes=settings.max_source_bytes,
        wait_limit_s=settings.wait_limit_s,
        clock=time.monotonic,
    )
    mint = Mint(
        store=store, renditions=renditions, links=links, rules=rules, public_url=settings.public_url, clock=time.time
    )
    return Delivery(
        store=store, cache=cache, workers=workers, rules=rules, links=links, renditions=renditions, mint=mint
    )


def build_ledger(settings: Settings) -> Ledger:
    return Ledger(
        settings.ledger_url or f"sqlite:///{settings.data_dir / 'ledger.sqlite3'}",
        number_key=settings.ledger_secret(),
        now=_now,
    )


def build_messaging(settings: Settings, delivery: Delivery) -> Messaging:
    ledger = build_ledger(settings)
    prepare = Prepare(mint=delivery.mint, new_id=_new_id)
    if settings.d360_api_key is None:
        return Messaging(ledger=ledger, prepare=prepare, provider=None, send=None)
    provider = Provider(
        settings.provider_url,
        settings.d360_api_key.get_secret_value(),
        timeouts=Timeouts(answer_s=settings.provider_timeout_s),
        retries=Retries(tries=PROVIDER_TRIES, total_s=PROVIDER_RETRY_TOTAL_S),
    )
    send = Send(provider=provider, ledger=ledger, proof=Proof() if settings.real_provider else None)
    return Messaging(ledger=ledger, prepare=prepare, provider=provider, send=send)


def create_app(settings: Settings, only: Only | None = None) -> ASGIApp:
    """Build the service. A journey whose settings are absent is not mounted."""
    delivery = build_delivery(settings)
    messaging = None if only == "delivery" else build_messaging(settings, delivery)
    health = Health(
        store=delivery.store,
        cache=delivery.cache,
        renditions=delivery.renditions,
        workers=delivery.workers,
        ledger=messaging.ledger if messaging else None,
    )
    routes = [
        Route("/healthz", health.alive),
        Route("/readyz", health.ready),
    ]
    if messaging is not None:
        if settings.gateway_keys is not None:
            callers = Callers(parse_gateway_keys(settings.gateway_keys.get_secret_value()))
            give = Give(callers=callers, mint=delivery.mint)
            routes.append(Route("/links", give.links, methods=["POST"]))
            if messaging.send is not None:
                post = Post(callers=callers, prepare=messaging.prepare, send=messaging.send)
                routes.append(Route("/messages", post.messages, methods=["POST"]))
        if settings.webhook_secret is not None:
            receive = Receive(ledger=messaging.ledger, secret=settings.webhook_secret.get_secret_value(), now=_now)
            routes.append(Route("/webhooks", receive.webhooks, methods=["POST"]))
    hits = Hits(clock=time.time)
    if only != "messaging":
        serve = Serve(
            links=delivery.links,
            renditions=delivery.renditions,
            mint=delivery.mint,
            store=delivery.store,
            hits=hits,
            alias_prefixes=settings.alias_prefixes,
            clock=time.time,
        )
        routes.append(Route("/m/{tag}/{token}/{name}", serve.link))
        if settings.alias_prefixes:
            routes += [Route(f"/{kind}/{{key:path}}", partial(serve.alias, kind), name=kind) for kind in Kind]

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        if messaging is not None:
            await messaging.ledger.open()
        await delivery.workers.warm()
        yield
        if messaging is not None:
            await messaging.close()
        await delivery.close()

    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={MedialinkError: failed, HTTPException: failed_in_http, Exception: failed_unexpectedly},
    )
    app.router.redirect_slashes = False  # WhatsApp's fetcher follows no redirect, and none may name a caller's host
    telemetry.log.info("service.mounted", routes=[route.path for route in routes])
    quick = HitsFirst(app, hits)
    return telemetry.RequestIds(RequestBounds(quick, refuse=failed), new_id=_new_request_id)


async def preflight(settings: Settings, only: Only | None) -> None:
    """Open every door once, so that a wrong set-up is one sentence and not a trace of each worker process."""
    delivery = build_delivery(settings)
    try:
        if only != "delivery":
            messaging = build_messaging(settings, delivery)
            try:
                await messaging.ledger.open()
            finally:
                await messaging.close()
    finally:
        await delivery.close()


def from_environment() -> ASGIApp:
    """Build the service that a worker process of `serve` runs."""
    settings = Settings.read()
    telemetry.configure_logging(settings.log_level, settings.log_format)
    return create_app(settings, settings.serve_only)


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return secrets.token_urlsafe(12)


def _new_request_id() -> str:
    """Tell requests apart; no secret, and half a microsecond where the system's randomness takes three."""
    return f"{random.getrandbits(96):024x}"
