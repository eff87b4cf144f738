"""How much a request may say before anybody listens: pure ASGI, in front of every route."""

from collections.abc import Awaitable, Callable
from itertools import chain

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.errors import HeadersTooLarge

MAX_TARGET_BYTES = 8 * 1024
"""RFC 9110, 4.1 asks for 8,000 at least; our longest link has about 1,900."""
MAX_HEADER_BYTES = 16 * 1024


class RequestBounds:
    """Refuses a request line or a header section that is too long to be honest."""

    def __init__(self, app: ASGIApp, refuse: Callable[[Request, Exception], Awaitable[Response]]) -> None:
        self._app = app
        self._refuse = refuse

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        error = _error_of(scope) if scope["type"] == "http" else None
        return self._app(scope, receive, send) if error is None else self._answer(error, scope, receive, send)

    async def _answer(self, error: HeadersTooLarge, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._refuse(Request(scope), error)
        await response(scope, receive, send)


def _error_of(scope: Scope) -> HeadersTooLarge | None:
    target_bytes = len(scope["raw_path"]) + len(scope["query_string"])
    header_bytes = sum(map(len, chain.from_iterable(scope["headers"])))
    if target_bytes > MAX_TARGET_BYTES:
        return HeadersTooLarge(part="target", limit_bytes=MAX_TARGET_BYTES)
    if header_bytes > MAX_HEADER_BYTES:
        return HeadersTooLarge(part="header section", limit_bytes=MAX_HEADER_BYTES)
    return None
