"""Warm: links are fetched whole through PUBLIC_URL, so that the CDN near here has them before anyone asks."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, NamedTuple, Self
from urllib.parse import urlsplit

import httpx2

from proxy.errors import MedialinkError
from proxy.media.kinds import EXTENSIONS
from proxy.prepare import Fault, Faults, Names, Pause, each, fault_of

PAUSES_S: Final = (1.0, 4.0)
"""Before each new try of what was not answered, or by a status that passes."""
MAX_PAUSE_S: Final = 30.0
"""However long Retry-After asks for."""
PASSING: Final = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
CONNECT_TIMEOUT_S: Final = 10.0
READ_TIMEOUT_S: Final = 60.0
"""Between two pieces: a medium that nobody has asked for yet may be made first, which takes WAIT_LIMIT_S."""
TOTAL_TIMEOUT_S: Final = 300.0
MAX_BODY_BYTES: Final = 100 * 1024 * 1024
"""WhatsApp's largest kind, a document."""
BOUNDS_S: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Upper ends of the bars that show how long fetches took; one more bar has all the rest."""

_HEADERS = {"User-Agent": "medialink-warm", "Accept": "*/*", "Accept-Encoding": "identity"}
_HIT = re.compile(r"(\b|_)(hit|refreshhit|revalidated|stale|updating)\b")
_MISS = re.compile(r"(\b|_)(miss|expired|bypass|dynamic|error)\b|\bfwd=")
_OURS = re.compile(r"medialink\b")


class _Not(NamedTuple):
    """Why an answer is not what was asked for; after `pause_s` it may be, or never where that is None."""

    code: str
    message: str
    pause_s: float | None


@dataclass(slots=True, kw_only=True)
class Warmed:
    """What came of the links so far. `seconds` counts fetches by the bar of BOUNDS_S that they fall under."""

    faults: Faults
    done: int = 0
    right: int = 0
    body_bytes: int = 0
    slowest_s: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    caches: Counter[str] = field(default_factory=Counter)
    seconds: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))

    def took(self, seconds: float) -> None:
        self.slowest_s = max(self.slowest_s, seconds)
        self.seconds[sum(seconds > bound for bound in BOUNDS_S)] += 1


class Pace:
    """At most so many a second, each in its turn."""

    def __init__(
        self, per_second: float | None, pause: Pause = asyncio.sleep, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._interval_s = 0.0 if per_second is None else 1 / per_second
        self._pause = pause
        self._clock = clock
        self._next_s = 0.0

    async def turn(self) -> None:
        now_s = self._clock()
        at_s = max(now_s, self._next_s)
        self._next_s = at_s + self._interval_s
        if at_s > now_s:
            await self._pause(at_s - now_s)


class Warm:
    """Takes names; `to_url` makes a link of each, and may refuse it as the minting of links does."""

    def __init__(  # noqa: PLR0913 - what it depends on, all by name
        self,
        public_url: str,
        *,
        at_once: int,
        pace: Pace,
        to_url: Callable[[str], Awaitable[str]],
        progress: Callable[[], None] = lambda: None,
        pause: Pause = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._public_url = public_url
        self._at_once = at_once
        self._pace = pace
        self._to_url = to_url
        self._progress = progress
        self._pause = pause
        self._clock = clock
        self._client = httpx2.AsyncClient(
            headers=_HEADERS,
            follow_redirects=False,
            trust_env=False,
            limits=httpx2.Limits(max_connections=at_once),
            timeout=httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def __call__(self, names: Names, warmed: Warmed) -> None:
        """Fetch them all; whatever ends this, `warmed` holds what was done."""

        async def settle(name: str) -> None:
            try:
                url = await self._to_url(name)
            except MedialinkError as error:
                fault: Fault | None = fault_of(name, error)
            else:
                fault = await self._fetch(name, url, warmed)
            warmed.done += 1
            if fault is None:
                warmed.right += 1
            else:
                warmed.faults.add(fault)
            self._progress()

        await each(names, settle, self._at_once)

    async def _fetch(self, name: str, url: str, warmed: Warmed) -> Fault | None:
        if not url.startswith(f"{self._public_url}/"):
            message = f"The link does not begin with PUBLIC_URL ({self._public_url})."
            return Fault(name=name, code="lies_elsewhere", message=message, again=False)
        waits_s = iter(PAUSES_S)
        while True:
            await self._pace.turn()
            wrong = await self._ask(url, warmed)
            if wrong is None:
                return None
            wait_s = next(waits_s, None)
            if wait_s is None or wrong.pause_s is None:
                return Fault(name=name, code=wrong.code, message=wrong.message, again=wrong.pause_s is not None)
            await self._pause(max(wait_s, wrong.pause_s))

    async def _ask(self, url: str, warmed: Warmed) -> _Not | None:
        began_s = self._clock()
        try:
            async with asyncio.timeout(TOTAL_TIMEOUT_S), self._client.stream("GET", url) as answer:
                wrong = _wrong(url, answer)
                size_bytes = 0
                async with aclosing(answer.aiter_raw()) as pieces:
                    async for piece in pieces:
                        size_bytes += len(piece)
                        if size_bytes > MAX_BODY_BYTES:
                            return _Not("too_large", f"More than {MAX_BODY_BYTES} bytes came.", None)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
            said = f"{type(error).__name__}: {error}".rstrip(": ")
            return _Not("not_fetched", f"It could not be fetched ({said}).", 0.0)
        warmed.took(self._clock() - began_s)
        warmed.statuses[answer.status_code] += 1
        warmed.body_bytes += size_bytes
        if wrong is None:
            warmed.caches[cached_by(answer.headers)] += 1
        return wrong


def cached_by(headers: httpx2.Headers) -> str:
    """Say whether a cache before us had it: hit, miss, or unsaid.

    Cache-Status lists caches from the origin on (RFC 9211, section 2), and the first is our own; X-Cache lists them in
    the same order at Fastly, and names one at CloudFront and nginx. The one that is nearest to who asks counts.
    """
    listed = [*headers.get("cache-status", "").split(","), headers.get("cf-cache-status", "")]
    caches = [cache for cache in listed if cache.strip() and not _OURS.match(cache.strip())]
    for said in (caches[-1:], headers.get("x-cache", "").split(",")[-1:]):
        for words in map(str.lower, said):
            if _MISS.search(words):
                return "miss"
            if _HIT.search(words):
                return "hit"
    return "unsaid"


def _wrong(url: str, answer: httpx2.Response) -> _Not | None:
    status = answer.status_code
    if answer.is_redirect:
        return _Not(f"status_{status}", f"HTTP {status}: WhatsApp follows no redirect.", None)
    if status != HTTPStatus.OK:
        passing = _retry_after_s(answer.headers) if status in PASSING else None
        return _Not(f"status_{status}", f"HTTP {status} instead of 200.", passing)
    extension = urlsplit(url).path.rpartition(".")[2].lower()
    types = [media_type for media_type, usual in EXTENSIONS.items() if usual == extension]
    media_type = answer.headers.get("content-type", "")
    if types and media_type not in types:
        message = f"The type is {media_type or 'not said'}, and the link ends in .{extension}: WhatsApp refuses that."
        return _Not("wrong_type", message, None)
    return None


def _retry_after_s(headers: httpx2.Headers) -> float:
    asked = headers.get("retry-after", "")
    return min(float(asked), MAX_PAUSE_S) if re.fullmatch(r"\d{1,9}", asked) else 0.0
