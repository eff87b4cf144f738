"""Our errors in the provider's own shape, which the callers of `/waba` know how to read: Meta's Graph error.

Codes are Meta's, by what a caller does about them (facts, section 2): 131016 and 4 are tried again, the others not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from proxy.errors import (
    AccountNotAllowed,
    Gone,
    ImportRefused,
    KeyNotAllowed,
    MedialinkError,
    NotFound,
    PublicUrlBroken,
    RefusedMedium,
    StillSending,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)

PARAMETER: Final = 100
UNKNOWN: Final = 131000
AWAY: Final = 131016
MEDIUM: Final = 131053

_MESSAGES: Final[Mapping[int, str]] = MappingProxyType(
    {
        4: "Application request limit reached",
        PARAMETER: "Invalid parameter",
        190: "Access token is not known to this gateway",
        UNKNOWN: "Something went wrong",
        131005: "Access denied",
        AWAY: "Service unavailable",
        MEDIUM: "Media upload error",
    }
)
_CODES: Final[tuple[tuple[type[MedialinkError], int], ...]] = (
    (Unauthorized, 190),
    (KeyNotAllowed, 131005),
    (AccountNotAllowed, 131005),
    (TooManyRequests, 4),
    (Unavailable, AWAY),
    (StillSending, AWAY),
    (PublicUrlBroken, MEDIUM),
)
_NOT_IN_STORE: Final = "There is no such object in the store, so WhatsApp would get a 404."


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphError:
    status: int
    code: int
    details: str
    retry_after_s: int | None = None

    def payload(self, trace_id: str) -> dict[str, object]:
        return {
            "error": {
                "message": f"(#{self.code}) {_MESSAGES[self.code]}",
                "type": "OAuthException",
                "code": self.code,
                "error_data": {"messaging_product": "whatsapp", "details": self.details},
                "fbtrace_id": trace_id,
            }
        }


def graph_error(error: MedialinkError, where: str | None = None) -> GraphError:
    """Tell an error of ours to a caller of the provider; `where` is the medium that it is about."""
    status, code = _status_and_code(error, of_medium=where is not None)
    sentence = _NOT_IN_STORE if where is not None and isinstance(error, NotFound) else error.message
    return GraphError(
        status=status,
        code=code,
        details=f"{where}: {sentence}" if where else sentence,
        retry_after_s=error.retry_after_s,
    )


def _status_and_code(error: MedialinkError, *, of_medium: bool) -> tuple[int, int]:
    if isinstance(error, RefusedMedium | Gone | ImportRefused) or (of_medium and isinstance(error, NotFound)):
        return HTTPStatus.BAD_REQUEST, MEDIUM
    for kind, code in _CODES:
        if isinstance(error, kind):
            return error.status, code
    return error.status, PARAMETER if error.status < HTTPStatus.INTERNAL_SERVER_ERROR else UNKNOWN
