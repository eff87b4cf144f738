"""The door to the provider for what others ask of it through us: one request, as it is, to one host.

Nothing is asked twice here, and no redirect followed: whoever asked has its own ways to try again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx2

from proxy.delivery.answers import BodyBroke
from proxy.errors import MedialinkError
from proxy.messaging.foreign import text
from proxy.messaging.hops import Headers, back
from proxy.messaging.outcomes import NotSent, Outcome, Uncertain, classify
from proxy.messaging.provider import HEADERS_FAILED, KEEPALIVE_S, NOT_SENT, Timeouts
from proxy.messaging.tls import authorities

MAX_CONNECTIONS = 100
MAX_ANSWER_BYTES = 1024 * 1024
"""Of an answer to a message; what else is asked is passed on as it comes."""
PASS_TOTAL_S = 300.0
"""An upload of 100 MB, WhatsApp's largest medium, at 350 KB/s."""
PASS_STALL_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """`path` is raw, begins with a slash and has been looked at; `headers` are those that the provider is to see."""

    method: str
    path: bytes
    query: bytes
    headers: Headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: Headers
    body: bytes


class Passing:
    """An answer that is coming in; its taker closes it."""

    def __init__(self, response: httpx2.Response, until_s: float) -> None:
        self.status = response.status_code
        self.headers = back(response.headers.raw)
        self._response = response
        self._until_s = until_s

    async def body(self) -> AsyncIterator[bytes]:
        """Give what comes, as it comes.

        Raises:
            BodyBroke: it did not come whole, or not in time.
        """
        chunks = self._response.aiter_raw()
        try:
            while True:
                async with asyncio.timeout_at(self._until_s):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    return
                yield chunk
        except (httpx2.HTTPError, httpx2.StreamError, TimeoutError) as error:
            raise BodyBroke(f"the provider's answer broke off: {type(error).__name__}") from error

    async def aclose(self) -> None:
        await self._response.aclose()


class Upstream:
    def __init__(
        self,
        base_url: str,
        *,
        timeouts: Timeouts,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._base = httpx2.URL(base_url)
        self._timeouts = timeouts
        self._client = httpx2.AsyncClient(
            auth=httpx2.Auth(),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # else it would keep all that ever came
            follow_redirects=False,
            limits=httpx2.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=KEEPALIVE_S),
            transport=transport,
            trust_env=False,
            verify=authorities(),
        )

    async def post(self, call: Call, body: bytes) -> tuple[Outcome, Answer | None]:
        """Post a message once. Without an answer, the outcome says whether it may have been taken."""
        trail: set[str] = set()
        request = self._request(call, body, self._timeouts.answer_s, trail)
        try:
            async with (
                asyncio.timeout(self._timeouts.total_s),
                aclosing(await self._client.send(request, stream=True)) as response,
            ):
                answer = Answer(
                    status=response.status_code, headers=back(response.headers.raw), body=await _read(response)
                )
        except Exception as error:  # noqa: BLE001 - once bytes have gone out, no failure may look like "not sent"
            return _failure(error, trail), None
        return classify(answer.status, answer.body), answer

    async def pass_on(self, call: Call, body: AsyncIterator[bytes] | None) -> Passing | NotSent | Uncertain:
        """Pass a request on, and give the answer as soon as its head is there.

        Raises:
            Whatever error of ours `body` raises.
        """
        trail: set[str] = set()
        request = self._request(call, body, PASS_STALL_S, trail)
        until_s = asyncio.get_running_loop().time() + PASS_TOTAL_S
        try:
            async with asyncio.timeout_at(until_s):
                response = await self._client.send(request, stream=True)
        except MedialinkError:
            raise
        except Exception as error:  # noqa: BLE001 - as in `post`
            return _failure(error, trail)
        return Passing(response, until_s)

    async def close(self) -> None:
        await self._client.aclose()

    def _request(
        self, call: Call, body: bytes | AsyncIterator[bytes] | None, stall_s: float, trail: set[str]
    ) -> httpx2.Request:
        """Build it by hand: a client's own would carry its name, and whatever else it thinks is missing.

        The target stands beside the URL, of which httpx2 would write some characters in another way.
        """

        async def note(event: str, _info: Any) -> None:
            trail.add(event)

        target = self._base.raw_path.rstrip(b"/") + call.path + (b"?" + call.query if call.query else b"")
        timeout = httpx2.Timeout(stall_s, connect=self._timeouts.connect_s, pool=self._timeouts.connect_s)
        return httpx2.Request(
            call.method,
            self._base,
            headers=call.headers,
            content=body,
            extensions={"timeout": timeout.as_dict(), "trace": note, "target": target},
        )


def _failure(error: Exception, trail: set[str]) -> NotSent | Uncertain:
    details = text(f"{type(error).__name__}: {error}".rstrip(": ")) or "an unnamed failure"
    not_sent = isinstance(error, NOT_SENT) or HEADERS_FAILED in trail
    return NotSent(details=details) if not_sent else Uncertain(details=details)


async def _read(response: httpx2.Response) -> bytes:
    answer = bytearray()
    async for chunk in response.aiter_raw():
        answer += chunk
        if len(answer) > MAX_ANSWER_BYTES:
            raise ValueError(f"an answer of more than {MAX_ANSWER_BYTES} bytes")
    return bytes(answer)
