"""A GET for a link, from the request to the last byte."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from proxy.delivery import http
from proxy.delivery.answers import BodyResponse, Visit, answer, not_modified
from proxy.delivery.hits import Hits
from proxy.delivery.links import Link, Links
from proxy.delivery.mint import Mint
from proxy.delivery.newest import Newest
from proxy.delivery.renditions import Origin, Rendition, Renditions
from proxy.delivery.rules import PrefixRules
from proxy.delivery.takedowns import Takedowns
from proxy.delivery.verdicts import Refused
from proxy.errors import LinkExpired, Malformed, NotFound, SourceReplaced, TakenDown
from proxy.media.kinds import Kind, extension_of
from proxy.storage.store import Key, Source, parse_key
from proxy.telemetry import metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Serve:
    """Both ways in. `alias_prefixes` are the key prefixes that may be asked for without a signature."""

    links: Links
    renditions: Renditions
    mint: Mint
    newest: Newest
    rules: PrefixRules
    takedowns: Takedowns
    hits: Hits
    alias_prefixes: tuple[str, ...]
    clock: Callable[[], float]

    async def link(self, request: Request) -> Response:
        """`GET/HEAD /m/<tag>/<token>/<name>`: all that refuses cheaply stands first."""
        if b"%" in request.scope["raw_path"]:
            raise NotFound
        visit = Visit.begin(request, self.clock)
        link = self.links.open(**request.path_params)
        self.takedowns.require(link.key, link.version)
        cache_control, same_until_s = http.cache_control(link.sharing, http.LINK_MAX_AGE_S), math.inf
        if link.expires_at is not None:
            left_s = int(link.expires_at - visit.at.timestamp())
            if left_s <= 0:
                raise LinkExpired
            cache_control, same_until_s = http.expiring_cache_control(link.sharing, left_s), link.expires_at - left_s
        asked = http.read_conditions(request.scope["headers"])
        if http.not_modified_by_tag_alone(asked, link.rendition_id):
            metrics.answered("link")
            return not_modified(link.rendition_id, cache_control)
        rendition = await self._open(link)
        response = self._answer(visit, link, rendition, cache_control)
        self.hits.keep(request.scope["raw_path"], link, response, same_until_s)
        return response

    async def alias(self, kind: Kind, request: Request) -> Response:
        """`GET/HEAD /<kind>/<key>`: the newest version of an open key."""
        visit = Visit.begin(request, self.clock)
        text = http.decode_path(request.scope["raw_path"].split(b"?")[0]).removeprefix(f"/{kind}/")
        if not text.startswith(self.alias_prefixes):
            raise NotFound
        try:
            link, source, rendition = await self._resolve(kind, parse_key(text))
        except Malformed as error:
            raise NotFound from error
        cache_control = self.rules.alias_cache_control(source.key, source.cache_control)
        return self._answer(visit, link, rendition, cache_control)

    def _answer(self, visit: Visit, link: Link, rendition: Rendition, cache_control: str) -> Response:
        disposition = http.content_disposition(self.links.file_name(link))
        given = {"Cache-Control": cache_control, "Content-Disposition": disposition}
        response = answer(visit, link, rendition, given)
        if isinstance(response, BodyResponse):
            response.permit = partial(self.takedowns.require, link.key, link.version)
        return response

    async def _resolve(self, kind: Kind, key: Key) -> tuple[Link, Source, Rendition]:
        """Find what a key names now; `a.webp.jpg` names the JPEG rendition of `a.webp` where it is no key itself."""
        try:
            return await self._newest(kind, key)
        except NotFound:
            stem, _, extension = key.rpartition(".")
            if "." not in stem.rsplit("/", 1)[-1]:
                raise
            link, source, rendition = await self._newest(kind, Key(stem))
            if extension_of(link.media_type) != extension:
                rendition.body.close()
                raise
            return link, source, rendition

    async def _newest(self, kind: Kind, key: Key) -> tuple[Link, Source, Rendition]:
        """Open what a key names now; one that is replaced between two looks is looked at once more."""
        try:
            return await self._opened(kind, await self.newest.find(key))
        except SourceReplaced:
            self.newest.forget(key)
            return await self._opened(kind, await self.newest.find(key))

    async def _opened(self, kind: Kind, source: Source) -> tuple[Link, Source, Rendition]:
        self.takedowns.require(source.key, source.version)
        verdict, origin = await self.renditions.judge_and_tell(kind, source)
        if isinstance(verdict, Refused):
            raise verdict.error()
        link = self.mint.link_of(kind, source, verdict)
        return link, source, await self._open(link, origin)

    async def _open(self, link: Link, origin: Origin = Origin.DISK) -> Rendition:
        """Open what a link names, unless it was taken down while that took its time."""
        rendition = await self.renditions.open(link, origin)
        try:
            self.takedowns.require(link.key, link.version)
        except TakenDown:
            rendition.body.close()
            raise
        return rendition
