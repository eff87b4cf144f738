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
from proxy.sandbox.fetcher import Fetcher
from proxy.sandbox.provider import Provider, Temper
from proxy.sandbox.settings import SandboxSettings
from proxy.sandbox.shelf import Shelf
from proxy.sandbox.webhooks import Webhooks

MAX_BODY_BYTES = 64 * 1024


def create_sandbox(
    settings: SandboxSettings,
    *,
    clock: Callable[[], float] = time.time,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> Starlette:
    """Build the sandbox. `clock` tells Unix seconds; its background work ends with the application's lifespan."""
    client = _anonymous_client()
    shelf = Shelf(Fetcher(client, timeout_s=settings.fetch_timeout_s), settings, clock)
    carrier = Carrier(shelf, Webhooks(client, settings), settings, clock=clock, random_bytes=random_bytes)
    temper = Temper(settings.behaviour)
    provider = Provider(api_key=settings.api_key, temper=temper, carrier=carrier, random_bytes=random_bytes)
    desk = Desk(temper=temper, carrier=carrier, shelf=shelf)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await carrier.stop()
        await client.aclose()

    routes = [
        Route("/messages", provider.post_message, methods=["POST"]),
        Route("/{phone_id:int}/messages", provider.post_message_to_meta, methods=["POST"]),
        Route("/{version}/{phone_id:int}/messages", provider.post_message_to_meta, methods=["POST"]),
        Route("/sandbox", desk.delete_all, methods=["DELETE"]),
        Route("/sandbox/fetches", desk.get_fetches, methods=["GET"]),
        Route("/sandbox/messages", desk.get_messages, methods=["GET"]),
        Route("/sandbox/messages/{wamid:path}", desk.get_message, methods=["GET"]),
        Route("/sandbox/behaviour", desk.put_behaviour, methods=["PUT"]),
        Route("/sandbox/caching", desk.put_caching, methods=["PUT"]),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, max_body_size=MAX_BODY_BYTES)
    app.router.redirect_slashes = False  # an API answers 404 where it has nothing
    return app


def _anonymous_client() -> httpx2.AsyncClient:
    """Carry nothing from one request to the next, nor from a URL or the machine: connection, cookie, key, proxy.

    It has no time limit of its own: the doors bound each exchange as a whole.
    """
    return httpx2.AsyncClient(
        auth=httpx2.Auth(),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        follow_redirects=False,
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
        timeout=None,
        trust_env=False,
    )
