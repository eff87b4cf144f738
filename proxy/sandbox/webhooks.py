"""The door to the webhook: a status is posted until the receiver answers 200, a few times."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus

import httpx2

from proxy.sandbox.settings import SandboxSettings

MAX_POSTS_AT_ONCE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """`answer` is the last HTTP status, None where nothing answered in time."""

    attempts: int = 0
    answer: int | None = None


class Webhooks:
    def __init__(self, client: httpx2.AsyncClient, settings: SandboxSettings) -> None:
        self._client = client
        self._settings = settings
        self._slots = asyncio.Semaphore(MAX_POSTS_AT_ONCE)

    async def post(self, payload: Mapping[str, object]) -> Posting:
        posting = Posting()
        url = self._settings.webhook_url
        while url is not None and posting.attempts < self._settings.webhook_attempts:
            if posting.attempts:
                await asyncio.sleep(self._settings.webhook_backoff_s * 2 ** (posting.attempts - 1))
            async with self._slots:
                answer = await self._post_once(url, json.dumps(payload).encode())
            posting = Posting(attempts=posting.attempts + 1, answer=answer)
            if answer == HTTPStatus.OK:
                break
        return posting

    async def _post_once(self, url: str, body: bytes) -> int | None:
        headers = {"Content-Type": "application/json", **self._settings.webhook_headers}
        request = self._client.build_request("POST", url, content=body, headers=headers)
        try:
            async with (
                asyncio.timeout(self._settings.webhook_timeout_s),
                aclosing(await self._client.send(request, stream=True)) as response,
            ):
                return response.status_code
        except (TimeoutError, httpx2.HTTPError):
            return None
