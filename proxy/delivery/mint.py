"""Minting: a key in the store becomes a link, and the link is ready to be fetched before anyone has it."""

from collections.abc import Callable
from dataclasses import dataclass

from proxy.delivery.links import Link, Links
from proxy.delivery.renditions import Renditions
from proxy.delivery.rules import PrefixRules
from proxy.delivery.takedowns import Takedowns
from proxy.delivery.verdicts import Refused, Verdict
from proxy.errors import LinkExpired, Malformed, NotFound, SourceReplaced
from proxy.media.checker import recipe
from proxy.media.kinds import AsIs, Kind, Made, Rules
from proxy.storage.store import Key, Source, Store

EXPIRY_WINDOW_S = 3600
"""Expiries are rounded up to a whole hour, so that links minted within one are the same link."""
MAX_TTL_S = 10 * 365 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Minted:
    """A link whose rendition exists."""

    url: str
    link: Link
    verdict: AsIs | Made


@dataclass(frozen=True, slots=True, kw_only=True)
class Mint:
    """`public_url` has no slash at its end."""

    store: Store
    renditions: Renditions
    links: Links
    rules: Rules
    prefix_rules: PrefixRules
    takedowns: Takedowns
    public_url: str
    clock: Callable[[], float]

    async def verdict(self, kind: Kind, key: Key) -> tuple[Source, Verdict]:
        """Judge the newest version of a key; one that is replaced meanwhile is looked at once more."""
        source = await self.store.find(key)
        try:
            return source, await self._judge(kind, source)
        except SourceReplaced:
            source = await self.store.find(key)
            return source, await self._judge(kind, source)

    async def mint(self, kind: Kind, key: Key, ttl_s: int | None = None) -> Minted:
        """Make the link of a key's newest version, good for at least `ttl_s` seconds, or for good.

        Raises:
            NotFound: there is no such key.
            TakenDown: it must not be delivered any more.
            RefusedMedium: it cannot be delivered as this kind.
        """
        source, verdict = await self.verdict(kind, key)
        if isinstance(verdict, Refused):
            raise verdict.error()
        link = self.link_of(kind, source, verdict, self._expiry(ttl_s))
        return Minted(url=self.public_url + self.links.mint(link), link=link, verdict=verdict)

    async def reopen(self, url: str) -> Minted | None:
        """Take a link of ours back, its rendition made sure of; None for a link that lies elsewhere.

        Raises:
            Malformed: it lies where ours do, and none of our keys minted it.
            LinkExpired, SourceReplaced, TakenDown: WhatsApp could not fetch it any more.
        """
        path = url.removeprefix(self.public_url)
        if not url.startswith(f"{self.public_url}/m/"):
            return None
        try:
            _, _, tag, token, name = path.split("/")
            link = self.links.open(tag, token, name)
        except (ValueError, NotFound) as error:
            raise Malformed(field="link", problem="looks like one of ours, and none of our keys made it") from error
        if link.expires_at is not None and link.expires_at <= self.clock():
            raise LinkExpired
        self.takedowns.require(link.key, link.version)
        verdict = (await self.renditions.ensure(link)).verdict
        self.takedowns.require(link.key, link.version)
        if isinstance(verdict, Refused):
            raise verdict.error()
        return Minted(url=url, link=link, verdict=verdict)

    async def _judge(self, kind: Kind, source: Source) -> Verdict:
        """Judge what is not taken down, and was not while it was made to fit."""
        self.takedowns.require(source.key, source.version)
        verdict = await self.renditions.judge(kind, source)
        self.takedowns.require(source.key, source.version)
        return verdict

    def link_of(self, kind: Kind, source: Source, verdict: AsIs | Made, expires_at: int | None = None) -> Link:
        return Link(
            kind=kind,
            key=source.key,
            version=source.version,
            recipe=recipe(kind, self.rules) if isinstance(verdict, Made) else None,
            media_type=verdict.media_type,
            sharing=self.prefix_rules.sharing(source.key, source.cache_control),
            expires_at=expires_at,
        )

    def _expiry(self, ttl_s: int | None) -> int | None:
        if ttl_s is None:
            return None
        if not 0 < ttl_s <= MAX_TTL_S:
            raise Malformed(field="expires_in_s", problem=f"must be between 1 and {MAX_TTL_S} seconds")
        return -int(-(self.clock() + ttl_s) // EXPIRY_WINDOW_S) * EXPIRY_WINDOW_S
