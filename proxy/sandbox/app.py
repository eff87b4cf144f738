"""The sandbox's routes on one screen."""

import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx2
from starlette.applications import Starlette
from starlette.routing import Route

from proxy.sandbox.carrier import Carrier
from proxy.sandbox.desk import Desk
from proxy.sandbox.drawer import Drawer
from proxy.sandbox.fetcher import Fetcher
from proxy.sandbox.keys import Keys
from proxy.sandbox.outside import Outside
from proxy.sandbox.provider import Provider, Temper
from proxy.sandbox.rates import Gate
from proxy.sandbox.settings import SandboxSettings
from proxy.sandbox.shelf import Shelf
from proxy.sandbox.uploads import ADDRESS_PATH, Uploads
from proxy.sandbox.uploads import MAX_BODY_BYTES as MAX_UPLOAD_BODY_BYTES
from proxy.sandbox.webhooks import MAX_POSTS_AT_ONCE, Webhooks

MAX_BODY_BYTES = 64 * 1024
KEPT_CONNECTION_S = 2.0
"""Less than servers keep one: uvicorn closes after five seconds."""


def create_sandbox(
    settings: SandboxSettings,
    *,
    clock: Callable[[], float] = time.time,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> Starlette:
    """Build the sandbox. `clock` tells Unix seconds; its background work ends with the application's lifespan."""
    client, posting = _anonymous_client(), _anonymous_client(kept_connections=MAX_POSTS_AT_ONCE)
    webhooks = Webhooks(posting, settings)
    shelf = Shelf(Fetcher(client, timeout_s=settings.fetch_timeout_s), settings, clock)
    drawer = Drawer(settings, clock, random_bytes)
    carrier = Carrier(shelf, drawer, webhooks, settings, clock=clock, random_bytes=random_bytes)
    temper, gate = Temper(settings.behaviour), Gate(settings, clock)
    keys = Keys(api_key=settings.api_key, random_bytes=random_bytes)
    provider = Provider(keys=keys, temper=temper, gate=gate, drawer=drawer, carrier=carrier, random_bytes=random_bytes)
    uploads = Uploads(keys=keys, drawer=drawer, clock=clock, random_bytes=random_bytes)
    desk = Desk(temper=temper, carrier=carrier, shelf=shelf, drawer=drawer, gate=gate)
    outside = Outside(settings=settings, webhooks=webhooks, gate=gate, clock=clock, random_bytes=random_bytes)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await carrier.stop()
        drawer.clear()
        await client.aclose()
        await posting.aclose()

    routes = [
        Route("/messages", provider.post_message, methods=["POST"]),
        Route("/{phone_id:int}/messages", provider.post_message_to_meta, methods=["POST"]),
        Route("/{version}/{phone_id:int}/messages", provider.post_message_to_meta, methods=["POST"]),
        Route("/media", uploads.post, methods=["POST"], max_body_size=MAX_UPLOAD_BODY_BYTES),
        Route("/{phone_id:int}/media", uploads.post_to_meta, methods=["POST"], max_body_size=MAX_UPLOAD_BODY_BYTES),
        Route(
            "/{version}/{phone_id:int}/media",
            uploads.post_to_meta,
            methods=["POST"],
            max_body_size=MAX_UPLOAD_BODY_BYTES,
        ),
        Route("/{medium_id:int}", uploads.get, methods=["GET"]),
        Route("/{medium_id:int}", uploads.delete, methods=["DELETE"]),
        Route("/{version}/{medium_id:int}", uploads.get, methods=["GET"]),
        Route("/{version}/{medium_id:int}", uploads.delete, methods=["DELETE"]),
        Route(ADDRESS_PATH, uploads.get_bytes, methods=["GET"]),
        Route("/{phone_id:int}/marketing_messages", provider.post_message_to_meta, methods=["POST"]),
        Route("/{version}/{phone_id:int}/marketing_messages", provider.post_message_to_meta, methods=["POST"]),
        Route("/sandbox", desk.delete_all, methods=["DELETE"]),
        Route("/sandbox/fetches", desk.get_fetches, methods=["GET"]),
        Route("/sandbox/messages", desk.get_messages, methods=["GET"]),
        Route("/sandbox/messages/{wamid:path}", desk.get_message, methods=["GET"]),
        Route("/sandbox/behaviour", desk.put_behaviour, methods=["PUT"]),
        Route("/sandbox/caching", desk.put_caching, methods=["PUT"]),
        Route("/sandbox/telling", desk.put_telling, methods=["PUT"]),
        Route("/sandbox/inbound", outside.post_inbound, methods=["POST"]),
        Route("/sandbox/handshake", outside.post_handshake, methods=["POST"]),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, max_body_size=MAX_BODY_BYTES)
    app.router.redirect_slashes = False  # an API answers 404 where it has nothing
    return app


def _anonymous_client(*, kept_connections: int = 0) -> httpx2.AsyncClient:
    """Carry nothing from one request to the next, nor from a URL or the machine: connection, cookie, key, proxy.

    Only webhooks, which all go to one place, keep their connections. It has no time limit of its own: the doors bound
    each exchange as a whole.
    """
    return httpx2.AsyncClient(
        auth=httpx2.Auth(),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        follow_redirects=False,
        limits=httpx2.Limits(
            max_connections=None, max_keepalive_connections=kept_connections, keepalive_expiry=KEPT_CONNECTION_S
        ),
        timeout=None,
        trust_env=False,
    )
