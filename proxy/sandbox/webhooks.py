"""The door to the webhook: a payload is posted until the receiver answers 200, a few times.

Signed, and asked whether it is the right one, as Meta's pages on webhooks say: X-Hub-Signature-256 over the raw bytes,
which are JSON with escaped unicode; a challenge that must come back with a 200.
"""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus

import httpx2

from proxy.sandbox.settings import SandboxSettings

MAX_POSTS_AT_ONCE = 32
MAX_CHALLENGE_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """`answer` is the last HTTP status, None where nothing answered in time."""

    attempts: int = 0
    answer: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """`answer` as in a posting; `verified` when the challenge came back."""

    verified: bool = False
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
        headers = {"Content-Type": "application/json", **self._signature(body), **self._settings.webhook_headers}
        request = self._client.build_request("POST", url, content=body, headers=headers)
        try:
            async with (
                asyncio.timeout(self._settings.webhook_timeout_s),
                aclosing(await self._client.send(request, stream=True)) as response,
            ):
                return response.status_code
        except (TimeoutError, httpx2.HTTPError):
            return None

    async def shake_hands(self, verify_token: str, challenge: str) -> Handshake:
        """Ask the webhook for the challenge, which it gives to those who know its token."""
        if self._settings.webhook_url is None:
            return Handshake()
        asked = {"hub.mode": "subscribe", "hub.verify_token": verify_token, "hub.challenge": challenge}
        url = httpx2.URL(self._settings.webhook_url).copy_merge_params(asked)
        try:
            async with (
                asyncio.timeout(self._settings.webhook_timeout_s),
                aclosing(await self._client.send(self._client.build_request("GET", url), stream=True)) as response,
            ):
                body = b""
                async with aclosing(response.aiter_raw()) as chunks:
                    async for chunk in chunks:
                        body += chunk[: MAX_CHALLENGE_BYTES - len(body)]
                came_back = response.status_code == HTTPStatus.OK and body == challenge.encode()
                return Handshake(verified=came_back, answer=response.status_code)
        except (TimeoutError, httpx2.HTTPError):
            return Handshake()

    def _signature(self, body: bytes) -> Mapping[str, str]:
        secret = self._settings.app_secret
        if secret is None:
            return {}
        return {"X-Hub-Signature-256": f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"}
