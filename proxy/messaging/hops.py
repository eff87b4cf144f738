"""What of a request and of its answer is for the next hop, and what is for the other end (RFC 9110, 7.6.1)."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote_to_bytes

from proxy.errors import NotFound

Headers = list[tuple[bytes, bytes]]

METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
"""Not TRACE: it sends back what it got, and that may be a key that its caller must not see."""
PREFIX: Final = b"/waba/"
KEY_HEADERS: Final = frozenset({b"authorization", b"d360-api-key"})
MESSAGES: Final = frozenset({"messages", "marketing_messages"})
"""The second is Meta's Marketing Messages API, whose bodies are the same."""
MAX_MESSAGE_SEGMENTS: Final = 3
"""`<version>/<phone id>/messages` at Meta, `messages` at 360dialog."""

_VERSION: Final = re.compile(r"v[0-9]{1,3}\.[0-9]")
_NODE: Final = re.compile(r"[0-9]+")
_HOP: Final = frozenset(
    {
        b"connection",
        b"expect",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_NOT_ONWARD: Final = KEY_HEADERS | {b"host", b"forwarded", b"via", b"traceparent", b"tracestate", b"baggage"}
"""The host is another; who stands before us, and what we trace, is no business of the provider's."""
_NOT_BACK: Final = frozenset({b"date", b"x-request-id"})
"""uvicorn writes the one, we the other, and either may stand once."""


def onward(headers: Iterable[tuple[bytes, bytes]], *, key: tuple[bytes, bytes]) -> Headers:
    """Take the headers that go to the provider, with one key among them: the one that it is to see."""
    return [
        *((name, value) for name, value in _end_to_end(headers) if not _is_held_back(name)),
        key,
    ]


def back(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Take the headers that go back to the caller."""
    return [(name, value) for name, value in _end_to_end(headers) if name not in _NOT_BACK]


def segments_of(raw_path: bytes) -> tuple[str, ...]:
    """Read what is asked of the provider, the last segment empty where the path ends in a slash.

    Raises:
        NotFound: it climbs, or could be read in two ways.
    """
    if not raw_path.startswith(PREFIX):
        raise NotFound
    segments = raw_path.removeprefix(PREFIX).split(b"/")
    decoded = [unquote_to_bytes(segment) for segment in segments]
    odd = any(segment in {b".", b".."} or re.search(rb"[/\\\x00-\x20\x7f]", segment) for segment in decoded)
    if odd or b"" in segments[:-1] or segments == [b""]:
        raise NotFound
    try:
        return tuple(segment.decode() for segment in decoded)
    except UnicodeDecodeError as error:
        raise NotFound from error


def sends_a_message(method: str, segments: tuple[str, ...]) -> bool:
    named = [segment for segment in segments if segment]
    return method == "POST" and len(named) <= MAX_MESSAGE_SEGMENTS and named[-1].lower() in MESSAGES


def house_key_header(key: str, segments: tuple[str, ...]) -> tuple[bytes, bytes]:
    """Write the house's key where the owner of the path reads it (facts, section 2).

    Meta's paths begin with a version, or with an id that something follows; all others may be 360dialog's.
    """
    is_metas = _VERSION.fullmatch(segments[0]) or (len(segments) > 1 and _NODE.fullmatch(segments[0]))
    return (b"authorization", f"Bearer {key}".encode()) if is_metas else (b"d360-api-key", key.encode())


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    lowered = [(name.lower(), value) for name, value in headers]
    listed = [value for name, value in lowered if name == b"connection"]
    named = {option.strip().lower() for value in listed for option in value.split(b",")}
    return [(name, value) for name, value in lowered if name not in _HOP and name not in named]


def _is_held_back(name: bytes) -> bool:
    return name in _NOT_ONWARD or name.startswith(b"x-forwarded-")
