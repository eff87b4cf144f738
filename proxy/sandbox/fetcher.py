"""The door to the origins: one GET, as WhatsApp's fetcher does it.

Known of the real one: it follows no redirect (chatwoot/chatwoot #15702) and sends neither cookies nor credentials
(Meta's "Media" page). That it asks for identity encoding, and its name, are guesses.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from http import HTTPStatus

import httpx2

from proxy.sandbox import details
from proxy.sandbox.limits import ACCEPTED
from proxy.sandbox.looks import HEAD_BYTES
from proxy.sandbox.media import Medium
from proxy.sandbox.verdicts import judge_answer, judge_body

MAX_FETCHES_AT_ONCE = 32

_HEADERS = {"User-Agent": "facebookexternalua", "Accept": "*/*", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a GET. The body is not kept: `head` is its beginning, `sha256` None if it was not read to its end.

    `problem` None: a medium that can be used, or (`unchanged`) leave to use the one that is kept.
    `status` None: nothing answered. Header names are in lower case.
    """

    request_headers: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    size_bytes: int = 0
    sha256: str | None = None
    head: bytes = b""
    unchanged: bool = False
    problem: str | None = None
    ms: float = 0.0


class Fetcher:
    def __init__(self, client: httpx2.AsyncClient, *, timeout_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._slots = asyncio.Semaphore(MAX_FETCHES_AT_ONCE)

    async def get(self, medium: Medium, *, last_modified: str | None = None) -> Answer:
        """Fetch within the time limit; with `last_modified` only if it has changed since."""
        conditions = {} if last_modified is None else {"If-Modified-Since": last_modified}
        try:
            request = self._client.build_request("GET", medium.link, headers=_HEADERS | conditions)
        except httpx2.InvalidURL:
            return Answer(problem=details.http_failure(HTTPStatus.BAD_REQUEST))
        async with self._slots:
            started_s = asyncio.get_running_loop().time()
            answer = await self._ask(medium, request, last_modified)
            return replace(answer, ms=round((asyncio.get_running_loop().time() - started_s) * 1000, 1))

    async def _ask(self, medium: Medium, request: httpx2.Request, last_modified: str | None) -> Answer:
        """A slow origin ends as WhatsApp's own 500: WhatsApp/WhatsApp-Business-API-Setup-Scripts #110."""
        answer = Answer(request_headers=dict(request.headers))
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                aclosing(await self._client.send(request, stream=True)) as response,
            ):
                answer = replace(answer, status=response.status_code, headers=dict(response.headers))
                if last_modified is not None and _is_unchanged(answer, last_modified):
                    return replace(answer, unchanged=True)
                problem = judge_answer(medium, response.status_code, response.reason_phrase, answer.headers)
                if problem is not None:
                    return replace(answer, problem=problem)
                return await _read(medium, response, answer)
        except TimeoutError:
            return replace(answer, problem=details.http_failure(HTTPStatus.INTERNAL_SERVER_ERROR))
        except httpx2.HTTPError:
            return replace(answer, problem=details.http_failure(HTTPStatus.BAD_GATEWAY))


def _is_unchanged(answer: Answer, last_modified: str) -> bool:
    return answer.status == HTTPStatus.NOT_MODIFIED or answer.headers.get("last-modified") == last_modified


async def _read(medium: Medium, response: httpx2.Response, answer: Answer) -> Answer:
    digest, size_bytes, head = hashlib.sha256(), 0, b""
    async with aclosing(response.aiter_raw()) as chunks:
        async for chunk in chunks:
            size_bytes += len(chunk)
            if size_bytes > ACCEPTED[medium.kind].max_bytes:
                break
            digest.update(chunk)
            head += chunk[: HEAD_BYTES - len(head)]
    answer = replace(answer, size_bytes=size_bytes, head=head)
    problem = judge_body(medium, answer.headers, size_bytes, head)
    if size_bytes > ACCEPTED[medium.kind].max_bytes:
        return replace(answer, problem=problem)
    return replace(answer, sha256=digest.hexdigest(), problem=problem)
