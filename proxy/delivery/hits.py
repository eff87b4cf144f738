"""Hits: what was served a moment ago goes out once more, without asking again what has just been answered.

Only what is plain goes this way: the whole of a link, or a 304 by its own tag. Everything else, and every refusal, is
left to the app behind. What goes out is what the app answered: its headers were built there, once.
"""

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy import telemetry
from proxy.delivery import http
from proxy.delivery.answers import BodyResponse, not_modified
from proxy.delivery.cache import Cached
from proxy.delivery.links import Link
from proxy.delivery.renditions import Origin
from proxy.telemetry import metrics

KEEP_S = 30.0
"""Then the way is gone again, so that the disk cache learns that the file is in use."""
MAX_HITS = 1024
MAX_HITS_BYTES = 64 * 1024 * 1024
MAX_READ_BYTES = 256 * 1024
"""Smaller bodies are read into memory, larger ones mapped; each map holds a descriptor."""
MAX_MAPPED_BYTES = 16 * 1024 * 1024
"""Larger ones (documents only) are read in pieces, so that many slow readers do not hold them whole."""

RawHeaders = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """An answer in memory; a mapped body has its file beside it."""

    key: str
    etag: str
    headers: RawHeaders
    headers_of_304: RawHeaders
    body: bytes | memoryview
    mapped: mmap.mmap | None
    file_bytes: int
    until_s: float

    @classmethod
    def of(cls, link: Link, response: BodyResponse, cached: Cached, until_s: float) -> Self:
        """Keep what a response says and sends; its body must be open yet."""
        size = response.count
        mapped = None
        if size > MAX_READ_BYTES:
            mapped = mmap.mmap(cached.descriptor, 0, access=mmap.ACCESS_READ)
        spent = (b"server-timing", b"open;dur=0.0")
        return cls(
            key=link.key,
            etag=link.rendition_id,
            headers=[spent if header[0] == spent[0] else header for header in response.raw_headers],
            headers_of_304=not_modified(link.rendition_id, response.headers["cache-control"]).raw_headers,
            body=cached.read(0, size) if mapped is None else memoryview(mapped)[:size],
            mapped=mapped,
            file_bytes=0 if mapped is None else len(mapped),
            until_s=until_s,
        )

    @property
    def whole(self) -> bool:
        """Whether the body is all there yet; of one that shrinks in flight, the kernel refuses to send what is gone."""
        return self.mapped is None or self.mapped.size() == self.file_bytes


class Hits:
    """Keeps a bounded number of hits by their path, for a bounded time; the oldest go first."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._hits: dict[bytes, Hit] = {}
        self._bytes = 0

    def find(self, path: bytes) -> Hit | None:
        hit = self._hits.get(path)
        if hit is None or (hit.until_s > self._clock() and hit.whole):
            return hit
        self._drop(path)
        return None

    def keep(self, path: bytes, link: Link, response: Response, until_s: float) -> None:
        """Keep a response that is about to be sent, where it is one to keep; it is sent in any case."""
        if not isinstance(response, BodyResponse) or not response.lasting or not 0 < response.count <= MAX_MAPPED_BYTES:
            return
        cached = response.opened
        if not isinstance(cached, Cached):
            return
        if path in self._hits:
            self._drop(path)
        while self._hits and (
            self._is_over or len(self._hits) >= MAX_HITS or self._bytes + response.count > MAX_HITS_BYTES
        ):
            self._drop(next(iter(self._hits)))
        try:
            hit = Hit.of(link, response, cached, min(until_s, self._clock() + KEEP_S))
        except (OSError, ValueError):  # no descriptor or memory is left for it, or somebody has emptied the file
            return
        if len(hit.body) == response.count:
            self._hits[path] = hit
            self._bytes += response.count

    def clear(self) -> None:
        """Let everybody ask the app again: what may be delivered has changed."""
        for path in tuple(self._hits):
            self._drop(path)

    @property
    def _is_over(self) -> bool:
        """Whether the time of the oldest has passed: what nobody asks for any more must not lie in memory."""
        return next(iter(self._hits.values())).until_s <= self._clock()

    def _drop(self, path: bytes) -> None:
        self._bytes -= len(self._hits.pop(path).body)


class HitsFirst:
    """Answers from the hits what they can answer, and leaves the rest to the app."""

    def __init__(self, app: ASGIApp, hits: Hits) -> None:
        self._app = app
        self._hits = hits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"}:
            return await self._app(scope, receive, send)
        hit = self._hits.find(scope["raw_path"])
        if hit is None:
            return await self._app(scope, receive, send)
        asked = http.read_conditions(scope["headers"])
        if asked is http.UNCONDITIONAL:
            telemetry.tell_served(hit.key, hit.etag, "Whole", len(hit.body), Origin.DISK)
            metrics.fetched(hit.etag, "memory")
            status, headers, body = 200, hit.headers, b"" if scope["method"] == "HEAD" else hit.body
        elif http.not_modified_by_tag_alone(asked, hit.etag):
            status, headers, body = 304, hit.headers_of_304, b""
            metrics.answered("memory")
        else:
            return await self._app(scope, receive, send)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        return await send({"type": "http.response.body", "body": body})
