"""What another host's answer to our GET means for an import: a body, the same as before, or another address."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from proxy.errors import ImportAway, ImportRefused, TooLarge

MAX_VALIDATOR_BYTES: Final = 1024

_MOVED: Final = frozenset(
    {
        HTTPStatus.MOVED_PERMANENTLY,
        HTTPStatus.FOUND,
        HTTPStatus.SEE_OTHER,
        HTTPStatus.TEMPORARY_REDIRECT,
        HTTPStatus.PERMANENT_REDIRECT,
    }
)
_TRY_AGAIN: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Validators:
    """What tells one state of a file from the next, as the host wrote it (RFC 9110, section 8.8)."""

    etag: bytes | None
    last_modified: bytes | None

    def conditions(self) -> list[tuple[bytes, bytes]]:
        named = ((b"If-None-Match", self.etag), (b"If-Modified-Since", self.last_modified))
        return [(name, value) for name, value in named if value is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The file follows."""

    validators: Validators


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The file is what it was when its validators were given."""


@dataclass(frozen=True, slots=True)
class Moved:
    location: str


def judge(status: int, headers: Sequence[tuple[bytes, bytes]], *, max_bytes: int) -> Body | Unchanged | Moved:
    """Read the head of an answer. A body counts only as it is, and only where it is told how it ends.

    Raises:
        ImportRefused: asked again, the answer would be no better.
        ImportAway: it may be, later.
        TooLarge: the body is announced to be.
    """
    if status in _MOVED:
        return Moved(_location(_all(headers, b"location")))
    if status == HTTPStatus.NOT_MODIFIED:
        return Unchanged()
    if status in _TRY_AGAIN or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise ImportAway(details=f"HTTP {status}")
    if status != HTTPStatus.OK:
        raise ImportRefused(problem=f"is answered with HTTP {status} instead of 200")
    if any(coding.strip().lower() not in {b"", b"identity"} for coding in _all(headers, b"content-encoding")):
        raise ImportRefused(problem="is delivered compressed, though we ask for it as it is")
    lengths = _all(headers, b"content-length")
    if not lengths and not _all(headers, b"transfer-encoding"):
        raise ImportRefused(problem="is delivered without a length, so nobody knows whether it came whole")
    if lengths and int(lengths[0]) > max_bytes:
        raise TooLarge(size_bytes=int(lengths[0]), limit_bytes=max_bytes)
    return Body(
        validators=Validators(
            etag=_validator(_all(headers, b"etag")), last_modified=_validator(_all(headers, b"last-modified"))
        )
    )


def _all(headers: Sequence[tuple[bytes, bytes]], wanted: bytes) -> list[bytes]:
    return [value for name, value in headers if name.lower() == wanted]


def _location(values: Sequence[bytes]) -> str:
    try:
        (value,) = values
        return value.decode()
    except ValueError as error:
        raise ImportRefused(problem="is redirected by a header that can be read in two ways") from error


def _validator(values: Sequence[bytes]) -> bytes | None:
    """Take one that stands alone and is short; else the file is brought whole each time."""
    return values[0] if len(values) == 1 and 0 < len(values[0]) <= MAX_VALIDATOR_BYTES else None
