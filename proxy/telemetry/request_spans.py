"""One span for each request, seen from outside: what was asked, by its route, and what was answered.

The path is not in it, though the conventions for HTTP want it: a link is a capability, and an alias shows its key. Nor
are the client's address and agent.
"""

import json
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.telemetry.metrics import codes
from proxy.telemetry.traces import CODE, SERVER_FAILED, Headers, Span, Traces, fail

REFUSED: Final = 400
MAX_ERROR_BYTES: Final = 16 * 1024
METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_CODES: Final = frozenset(codes())


class RequestSpans:
    """Puts a span around each request, but for paths that the platform asks every few seconds.

    A caller's own trace is gone on with where `trusts` knows the caller (None: nobody is known). A stranger's is not:
    his header would have each of his requests sampled, and write into whichever trace he likes.
    """

    def __init__(
        self,
        app: ASGIApp,
        traces: Traces,
        routes: Sequence[Route],
        *,
        untraced: Collection[str],
        trusts: Callable[[Scope], bool] | None,
    ) -> None:
        self._app = app
        self._traces = traces
        self._routes = tuple(reversed(routes))  # links come last in the list, and most often
        self._untraced = frozenset(untraced)
        self._trusts = trusts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._untraced:
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        route = next((route.path for route in self._routes if route.matches(scope)[0] is not Match.NONE), None)
        attributes = {"http.request.method": method, "url.scheme": scope.get("scheme", "http")}
        name = "HTTP" if method == "_OTHER" else method
        if route is not None:
            attributes["http.route"] = route
            name = f"{name} {route}"
        with self._traces.request(name, attributes, self._told(scope)) as span:
            await self._app(scope, receive, _Answer(span, send) if span.is_recording() else send)

    def _told(self, scope: Scope) -> Headers:
        """Give the headers of who may name a trace, and does."""
        believed = self._trusts is not None and self._traces.are_told_by(scope["headers"]) and self._trusts(scope)
        return scope["headers"] if believed else ()


class _Answer:
    """Sends an answer on, and notes in the span what it says of itself."""

    def __init__(self, span: Span, send: Send) -> None:
        self._span = span
        self._send = send
        self._status = 0

    def __call__(self, message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            self._begin(message)
        elif self._status >= REFUSED:
            self._name_error(message.get("body", b""))
        return self._send(message)

    def _begin(self, message: Message) -> None:
        self._status = message["status"]
        self._span.set_attribute("http.response.status_code", self._status)
        for name, value in message["headers"]:
            if name == b"x-request-id":
                self._span.set_attribute("medialink.request_id", value.decode("latin-1"))
            elif name == b"cache-status":
                self._note_cache(value.decode("latin-1"))
        if self._status >= SERVER_FAILED:
            fail(self._span, str(self._status))

    def _note_cache(self, value: str) -> None:
        """Take our own `Cache-Status` (RFC 9211) apart: a hit, or a miss and what had to be brought for it."""
        parts = value.split("; ")
        self._span.set_attribute("medialink.cache", "hit" if "hit" in parts else "miss")
        for part in parts:
            if part.startswith("detail="):
                self._span.set_attribute("medialink.cache.detail", part.removeprefix("detail="))

    def _name_error(self, body: bytes) -> None:
        """Read the code of our own error from the first part of its body."""
        status, self._status = self._status, 0
        code = _code_in(body) if len(body) <= MAX_ERROR_BYTES else None
        if code is not None:
            self._span.set_attribute(CODE, code)
            if status >= SERVER_FAILED:
                fail(self._span, code)


def _code_in(body: bytes) -> str | None:
    try:
        code = json.loads(body)["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return None
    return code if code in _CODES else None
