"""What was fetched of links, told to whoever wants to know, when the answer is out."""

import asyncio
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Final, NamedTuple, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

REFUSAL: Final = "medialink.refusal"
"""Where a scope says by which of our errors it was answered."""
HUNG_UP: Final = "medialink.hung_up"
"""Where it says that who asked had gone before the answer was out."""
PREFIX: Final = "/m/"
MAX_AGENT_BYTES: Final = 200


class Fetch(NamedTuple):
    """A GET for a path that may be a link's. `whole`: all that the answer announced went out. `at_s` is Unix time.

    A tuple, as one is made for each hit: a frozen dataclass of so many fields takes 3 us more.
    """

    raw_path: bytes
    at_s: float
    ms: float
    status: int
    sent_bytes: int
    whole: bool
    code: str | None
    agent: bytes


class Fetches(Protocol):
    def note(self, fetch: Fetch) -> None:
        """Take it and return at once; the next request waits."""
        ...


class FetchesNoted:
    """Notes each GET for a link, whoever answers it."""

    def __init__(
        self, app: ASGIApp, fetches: Fetches, *, clock: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        self._app = app
        self._fetches = fetches
        self._clock = clock
        self._monotonic = monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        began_s, at_s = self._monotonic(), self._clock()
        status, announced, sent_bytes = 0, b"", 0

        async def watched(message: Message) -> None:
            nonlocal status, announced, sent_bytes
            if sent_bytes:
                await asyncio.sleep(0)  # uvloop tells in a later round that who asked has gone, and takes all till then
            await send(message)
            if HUNG_UP in scope:
                return
            if message["type"] == "http.response.start":
                status = message["status"]
                announced = _value_of(b"content-length", message["headers"])
            else:
                sent_bytes += len(message.get("body", b""))

        try:
            await self._app(scope, receive, watched)
        finally:
            self._fetches.note(
                Fetch(
                    raw_path=scope["raw_path"],
                    at_s=at_s,
                    ms=(self._monotonic() - began_s) * 1000,
                    status=status,
                    sent_bytes=sent_bytes,
                    whole=announced == b"%d" % sent_bytes or status == HTTPStatus.NOT_MODIFIED,
                    code=scope.get(REFUSAL),
                    agent=_value_of(b"user-agent", scope["headers"])[:MAX_AGENT_BYTES],
                )
            )


def _value_of(wanted: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    for name, value in headers:
        if name == wanted:
            return value
    return b""


def noted(app: ASGIApp, fetches: Fetches | None) -> ASGIApp:
    return app if fetches is None else FetchesNoted(app, fetches, clock=time.time, monotonic=time.monotonic)
