"""The door to who takes the message: 360dialog.

Whether a post may be repeated is decided here and in `outcomes` alone. What is certain not to have been taken is
sent again, a bounded number of times; what perhaps was taken never is.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from proxy.errors import Malformed
from proxy.messaging.foreign import integer, text
from proxy.messaging.outcomes import NotSent, Outcome, Uncertain, classify, may_be_sent_again
from proxy.messaging.tls import authorities

MAX_ANSWER_BYTES = 64 * 1024
MAX_CONNECTIONS = 20
KEEPALIVE_S = 5.0
"""Short: a connection that the provider closes while we write to it leaves an uncertain message behind."""

NOT_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.InvalidURL,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
)
"""httpcore2 raises these while it looks for a connection or opens one, before a byte of the request."""
HEADERS_FAILED = "http11.send_request_headers.failed"
"""httpcore2 hides a failed write behind the read that follows, but traces it; without headers goes no body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """`connect_s` bounds each of: a free connection, TCP, TLS. `answer_s` bounds the answer once they stand."""

    connect_s: float = 5.0
    answer_s: float = 30.0

    @property
    def total_s(self) -> float:
        return 3 * self.connect_s + self.answer_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """`tries` in all of a post that was not taken; none begins later than `total_s` after the first."""

    tries: int = 4
    total_s: float = 60.0

    def __post_init__(self) -> None:
        if self.tries < 1 or self.total_s < 0:
            raise Malformed(field="retries", problem="needs at least one try, and no negative time")


class Provider:
    """Posts messages to `<base_url>/messages`.

    No redirect is followed and no proxy taken from the environment: the API key goes to `base_url` alone.
    """

    def __init__(  # noqa: PLR0913  # what it depends on, all by name
        self,
        base_url: str,
        api_key: str,
        *,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = _messages_url(base_url)
        if not api_key or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
            raise Malformed(field="provider key", problem="must be one word of printable ASCII")
        self._timeouts = timeouts or Timeouts()
        self._retries = retries or Retries()
        self._sleep = sleep
        self._monotonic = monotonic
        self._client = httpx2.AsyncClient(
            headers={
                "D360-API-KEY": api_key,
                "Content-Type": "application/json",
                "Accept": "application/json",
            },
            follow_redirects=False,
            trust_env=False,
            transport=transport,
            verify=authorities(),
            limits=httpx2.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=KEEPALIVE_S),
            timeout=httpx2.Timeout(
                self._timeouts.answer_s, connect=self._timeouts.connect_s, pool=self._timeouts.connect_s
            ),
        )

    async def send(self, payload: Mapping[str, object]) -> Outcome:
        """Post one message; whatever goes wrong on the way is an outcome, never an exception.

        Between tries passes 4^X seconds, X from 0: the only backoff that Meta publishes (facts, section 3).
        """
        body = json.dumps(payload, separators=(",", ":")).encode()
        started = self._monotonic()
        for attempt in range(self._retries.tries):
            outcome, asked_s = await self._post(body)
            wait_s = max(4.0**attempt, asked_s)
            elapsed_s = self._monotonic() - started
            last = attempt + 1 == self._retries.tries or elapsed_s + wait_s > self._retries.total_s
            if last or not may_be_sent_again(outcome):
                break
            await self._sleep(wait_s)
        return outcome

    async def close(self) -> None:
        await self._client.aclose()

    async def _post(self, body: bytes) -> tuple[Outcome, float]:
        """Try once; beside the outcome, the seconds that the provider asked us to wait."""
        trail: set[str] = set()

        async def note(event: str, _info: Mapping[str, Any]) -> None:
            trail.add(event)

        try:
            async with (
                asyncio.timeout(self._timeouts.total_s),
                self._client.stream("POST", self._url, content=body, extensions={"trace": note}) as response,
            ):
                answer = await _read(response)
                return classify(response.status_code, answer), _retry_after_s(response.headers)
        except NOT_SENT as error:
            return NotSent(details=_describe(error)), 0.0
        except Exception as error:  # noqa: BLE001  # once bytes have gone out, no failure may look like "not sent"
            if HEADERS_FAILED in trail:
                return NotSent(details=_describe(error)), 0.0
            return Uncertain(details=_describe(error)), 0.0


async def _read(response: httpx2.Response) -> bytes:
    """Read what an answer can need; the rest of a huge one is left where it is."""
    answer = bytearray()
    async for chunk in response.aiter_bytes():
        answer += chunk
        if len(answer) > MAX_ANSWER_BYTES:
            break
    return bytes(answer[:MAX_ANSWER_BYTES])


def _retry_after_s(headers: httpx2.Headers) -> float:
    """Read Retry-After, seconds or a date (RFC 9110, section 10.2.3); 0 when there is none that can be read."""
    asked = headers.get("retry-after", "").strip()
    seconds = integer(asked)
    if seconds is not None:
        return float(seconds)
    try:
        until, since = (parsedate_to_datetime(value) for value in (asked, headers.get("date", "")))
        return max(0.0, (until - since).total_seconds())
    except (TypeError, ValueError):
        return 0.0


def _describe(error: Exception) -> str:
    return text(f"{type(error).__name__}: {error}".rstrip(": ")) or "an unnamed failure"


def _messages_url(base_url: str) -> httpx2.URL:
    try:
        url = httpx2.URL(base_url.rstrip("/") + "/messages")
    except httpx2.InvalidURL as error:
        raise Malformed(field="provider URL", problem=f"is not a URL: {error}") from None
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo or url.query or url.fragment:
        raise Malformed(field="provider URL", problem="must be http(s)://host, such as https://waba-v2.360dialog.io")
    return url
