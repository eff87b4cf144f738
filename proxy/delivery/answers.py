"""An opened rendition and a verdict become a response."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self, assert_never

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from proxy import telemetry
from proxy.delivery import http
from proxy.delivery.cache import Cached
from proxy.delivery.fills import Following
from proxy.delivery.links import Link
from proxy.delivery.renditions import Origin, Rendition
from proxy.errors import MedialinkError
from proxy.telemetry import metrics

CHUNK_BYTES = 256 * 1024
DATE_LAG = timedelta(seconds=10)
"""uvicorn makes its Date once a second, and later while the loop is busy; Last-Modified must not be later than Date
(RFC 9110, 8.8.2.1)."""

HARDENING = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}
_CACHE_STATUS = {
    Origin.DISK: "medialink; hit",
    Origin.STORE: "medialink; fwd=miss; stored; detail=rendition",
    Origin.SOURCE: "medialink; fwd=miss; stored; detail=source",
}


class BodyBroke(Exception):
    """What has begun to go out cannot be ended: the connection breaks, so that no part passes for a whole."""


class BodyResponse(Response):
    """Sends `count` bytes of a body from `first` on, and closes it whatever happens."""

    def __init__(
        self, body: Cached | Following, status_code: int, headers: dict[str, str], first: int, count: int
    ) -> None:
        super().__init__(status_code=status_code, headers=headers)
        self.opened, self.first, self.count = body, first, count
        self.lasting = False
        """Whether the next visitor would get the same, but for Server-Timing."""
        self.permit: Callable[[], None] = _anybody
        """Asked before each piece goes out: a slow reader may still be at it when the medium is taken down."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        with self.opened as body:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            at, end = self.first, self.first if scope["method"] == "HEAD" else self.first + self.count
            while at < end:
                try:
                    chunk = await body.piece(at, min(CHUNK_BYTES, end - at))
                    self.permit()
                except MedialinkError as error:
                    raise BodyBroke(error.code) from error
                if not chunk:
                    raise BodyBroke("a cached body is shorter than it was")
                at += len(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def _anybody() -> None:
    """Permit it."""


def not_modified(etag: str, cache_control: str) -> Response:
    return Response(status_code=304, headers={"ETag": f'"{etag}"', "Cache-Control": cache_control, **HARDENING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A request, when it came by the clock, and by the counter that measures how long it takes."""

    request: Request
    at: datetime
    counter_s: float

    @classmethod
    def begin(cls, request: Request, clock: Callable[[], float]) -> Self:
        return cls(request=request, at=datetime.fromtimestamp(clock(), UTC), counter_s=time.perf_counter())


def _told_modified_at(modified_at: datetime, now: datetime) -> tuple[datetime, bool]:
    """Give a Last-Modified that no Date of ours comes before, and whether it stays the same.

    What is younger than the lag is said to be older by it. What is younger than now is so by another clock.
    """
    latest = now - DATE_LAG
    if modified_at <= latest:
        return modified_at, True
    return min(modified_at - DATE_LAG, latest), modified_at <= now


def answer(visit: Visit, link: Link, rendition: Rendition, given: dict[str, str]) -> Response:
    """Judge the request against the rendition, and give what it asked for. Takes the rendition over.

    `given` are the headers that links and aliases do not share.
    """
    request = visit.request
    size = rendition.body.size_bytes
    modified_at, keeps = _told_modified_at(rendition.record.modified_at, visit.at)
    it = http.Representation(etag=link.rendition_id, modified_at=modified_at, size_bytes=size)
    verdict = http.judge(request.method, http.read_conditions(request.scope["headers"]), it)
    telemetry.tell_served(link.key, it.etag, type(verdict).__name__, size, rendition.origin)
    opened_after_s = time.perf_counter() - visit.counter_s
    metrics.OPEN_SECONDS.labels(rendition.origin).observe(opened_after_s)
    if isinstance(verdict, http.Whole):
        metrics.fetched(it.etag, rendition.origin)
    else:
        metrics.answered(rendition.origin)
    headers = {
        "ETag": f'"{it.etag}"',
        "Last-Modified": http.http_date(it.modified_at),
        "Cache-Control": given["Cache-Control"],
        "Cache-Status": _CACHE_STATUS[rendition.origin],
        "Server-Timing": f"open;dur={opened_after_s * 1000:.1f}",
        **HARDENING,
    }
    content = headers | given | {"Content-Type": link.media_type, "Accept-Ranges": "bytes"}
    match verdict:
        case http.Whole():
            response = BodyResponse(rendition.body, 200, content | {"Content-Length": str(size)}, 0, size)
            response.lasting = rendition.origin is Origin.DISK and keeps
            return response
        case http.Part(first, last):
            count = last - first + 1
            span = {"Content-Range": f"bytes {first}-{last}/{size}", "Content-Length": str(count)}
            return BodyResponse(rendition.body, 206, content | span, first, count)
        case http.NotModified():
            rendition.body.close()
            return Response(status_code=304, headers=headers)
        case http.PreconditionFailed():
            rendition.body.close()
            return Response(status_code=412, headers={"Cache-Control": "no-store", **HARDENING})
        case http.Unsatisfiable():
            rendition.body.close()
            span = {"Content-Range": f"bytes */{size}", "Cache-Control": "no-store"}
            return Response(status_code=416, headers=span | HARDENING)
        case _:
            assert_never(verdict)
