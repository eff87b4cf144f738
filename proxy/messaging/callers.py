"""Who may call, what each may use, and how much they may say."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from proxy.errors import KeyNotAllowed, Malformed, TooLarge, Unauthorized
from proxy.storage.store import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """`prefixes` of keys that it may use; the empty one opens all."""

    prefixes: tuple[str, ...]

    def require(self, key: Key) -> None:
        if not key.startswith(self.prefixes):
            raise KeyNotAllowed(key=key)


@dataclass(frozen=True, slots=True)
class Callers:
    """Known callers, by the SHA-256 of the key that each presents."""

    prefixes_by_hash: Mapping[bytes, tuple[str, ...]]

    def admit(self, request: Request) -> Caller:
        """Find out who calls, in the same time whoever it is.

        Raises:
            Unauthorized: the key that it presents is none of ours, or it presents none.
        """
        _, presented = presented_key(request)
        digest = hashlib.sha256(presented.encode()).digest()
        found = [prefixes for known, prefixes in self.prefixes_by_hash.items() if hmac.compare_digest(known, digest)]
        if not found:
            raise Unauthorized(required="gateway key (Authorization: Bearer <key>, or D360-API-KEY: <key>)")
        return Caller(prefixes=found[0])


def presented_key(request: Request) -> tuple[str, str]:
    """Give the key that a caller presents, and the header that it comes in: Meta's where both are there."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return "authorization", token.strip()
    return "d360-api-key", request.headers.get("d360-api-key", "").strip()


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Read a body, and stop reading where it is too long.

    Raises:
        TooLarge: it is over max_bytes.
        Malformed: the caller hung up before its end.
    """
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                raise TooLarge(size_bytes=None, limit_bytes=max_bytes)
    except ClientDisconnect as error:
        raise Malformed(field="body", problem="ended before it was whole") from error
    return bytes(body)
