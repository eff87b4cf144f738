"""The door to the host of a foreign link: one GET, its body into a file.

It is httpcore2 alone, below httpx2: which follows no redirect, unpacks nothing, keeps no cookie and asks no
environment for a proxy.
"""

import asyncio
import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import httpcore2

from proxy.errors import ImportAway, ImportRefused, TooLarge
from proxy.messaging.import_answers import Body, Moved, Unchanged, Validators, judge
from proxy.messaging.import_hosts import WebAddress

MAX_CONNECTIONS: Final = 8
KEEPALIVE_S: Final = 2.0
"""Well below the 5 s after which Apache and Node.js close: a request into a close would look like a failing host."""
AGENT: Final = b"medialink"

FAILURES: Final = (
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.ProxyError,
    httpcore2.TimeoutException,
    httpcore2.UnsupportedProtocol,
    ssl.SSLError,
)
"""All that httpcore2 raises; of TLS, what breaks after the handshake comes as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportLimits:
    """`connect_s` bounds each of TCP and TLS, `stall_s` the wait for more, `total_s` all, redirects included."""

    max_bytes: int
    connect_s: float = 4.0
    stall_s: float = 10.0
    total_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """A body that came whole."""

    sha256: str
    size_bytes: int
    validators: Validators


class ImportOrigin:
    """Holds connections to hosts that were asked a moment ago."""

    def __init__(self, network: httpcore2.AsyncNetworkBackend, tls: ssl.SSLContext, limits: ImportLimits) -> None:
        self._max_bytes = limits.max_bytes
        self._timeouts = {
            "connect": limits.connect_s,
            "pool": limits.connect_s,
            "read": limits.stall_s,
            "write": limits.stall_s,
        }
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            network_backend=network,
            max_connections=MAX_CONNECTIONS,
            keepalive_expiry=KEEPALIVE_S,
        )

    async def get(self, address: WebAddress, known: Validators | None, into: Path) -> Brought | Unchanged | Moved:
        """Ask once, and write a body into a file.

        Raises:
            ImportRefused: it is not to be had, from there or at all.
            ImportAway: it is not to be had now, or did not come whole.
            TooLarge: it has more than max_bytes.
        """
        asked = [(b"Accept", b"*/*"), (b"Accept-Encoding", b"identity"), (b"User-Agent", AGENT)]
        asked += known.conditions() if known else []
        try:
            async with self._pool.stream(
                "GET",
                httpcore2.URL(
                    scheme=address.scheme.encode(),
                    host=address.host.encode(),
                    port=address.port,
                    target=address.target.encode(),
                ),
                headers=asked,
                extensions={"timeout": self._timeouts},
            ) as response:
                verdict = judge(response.status, response.headers, max_bytes=self._max_bytes)
                return await self._bring(response, verdict, into) if isinstance(verdict, Body) else verdict
        except FAILURES as error:
            raise _ours(error) from error

    async def close(self) -> None:
        await self._pool.aclose()

    async def _bring(self, response: httpcore2.Response, head: Body, into: Path) -> Brought:
        digest, size_bytes = hashlib.sha256(), 0
        with into.open("wb") as file:
            async for chunk in response.aiter_stream():
                size_bytes += len(chunk)
                if size_bytes > self._max_bytes:
                    raise TooLarge(size_bytes=None, limit_bytes=self._max_bytes)
                await asyncio.to_thread(_write, file, digest, chunk)
        return Brought(sha256=digest.hexdigest(), size_bytes=size_bytes, validators=head.validators)


def _write(file: BinaryIO, digest: Any, chunk: bytes) -> None:
    file.write(chunk)
    digest.update(chunk)


def _ours(error: Exception) -> ImportRefused | ImportAway:
    """Tell a host that is not who it should be from one that fails; httpcore2 keeps the cause in its arguments."""
    cause = error.args[0] if error.args else None
    if isinstance(cause, ssl.SSLCertVerificationError):
        return ImportRefused(problem=f"is at a host whose certificate does not hold: {cause.verify_message}")
    return ImportAway(details=type(error).__name__)
