"""The door to the owner's own webhook: a body is posted as it came, and only a 2xx means that it was taken.

No redirect is followed and no proxy taken from the environment: a body holds numbers and texts, and goes to the
address that was set, or nowhere.
"""

import asyncio
from contextlib import aclosing, suppress
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, Literal

import httpx2

from proxy.messaging.parcels import Parcel
from proxy.messaging.tls import authorities

CONNECT_S: Final = 5.0
TOTAL_S: Final = 20.0
"""All of it; WhatsApp's own limit is 5 s (facts, section 5), and a busy system of the owner's may take longer."""
MAX_CONNECTIONS: Final = 20
KEEPALIVE_S: Final = 5.0
MAX_ANSWER_BYTES: Final = 64 * 1024
"""Nobody reads it; what is short is read to its end, so that the connection can be used again."""

Result = Literal["taken", "refused", "away", "sealed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`problem` says in a word or two why it was not taken; nothing of the answer's body is in it.

    `sealed`: it could not even be opened.
    """

    result: Result
    problem: str | None = None


class Owner:
    def __init__(self, url: str, *, total_s: float = TOTAL_S) -> None:
        self._url = httpx2.URL(url)
        self._total_s = total_s
        self._client = httpx2.AsyncClient(
            auth=httpx2.Auth(),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            follow_redirects=False,
            limits=httpx2.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=KEEPALIVE_S),
            trust_env=False,
            verify=authorities(),
        )

    async def post(self, parcel: Parcel) -> Answer:
        """Post it once; whatever goes wrong is an answer, never an exception."""
        timeout = httpx2.Timeout(self._total_s, connect=CONNECT_S, pool=CONNECT_S)
        headers = [(name.encode(), value.encode("latin-1")) for name, value in parcel.headers]
        request = httpx2.Request(
            "POST", self._url, headers=headers, content=parcel.body, extensions={"timeout": timeout.as_dict()}
        )
        try:
            async with (
                asyncio.timeout(self._total_s),
                aclosing(await self._client.send(request, stream=True)) as response,
            ):
                if response.is_success:
                    with suppress(httpx2.HTTPError, httpx2.StreamError):
                        await _read(response)
                    return Answer(result="taken")
                return Answer(result="refused", problem=f"HTTP {response.status_code}")
        except TimeoutError:
            return Answer(result="away", problem=f"no answer in {self._total_s:g} s")
        except Exception as error:  # noqa: BLE001 - whatever it is, the body stays, and is posted again
            return Answer(result="away", problem=type(error).__name__)

    async def close(self) -> None:
        await self._client.aclose()


async def _read(response: httpx2.Response) -> None:
    size_bytes = 0
    async for chunk in response.aiter_raw():
        size_bytes += len(chunk)
        if size_bytes > MAX_ANSWER_BYTES:
            return
