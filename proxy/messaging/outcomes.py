"""What became of a post: the one table that decides whether it may be sent again.

A message is sent again only when it is certain that it was not taken. Errors are told apart by code, never by
HTTP status (Meta's error page says so; 130429 is seen with both 400 and 429).
"""

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import assert_never

from proxy.messaging.foreign import MAX_DETAILS_CHARS, first, identifier, integer, member, read_json, text

AGAIN_CODES = frozenset({2, 4, 80007, 130429, 131016, 131056, 131057})
"""Throttled or briefly away: nothing was taken (Meta's error codes; facts, section 2)."""

_THROTTLE = re.compile(r"exceeded the (endpoint rate limit|limit of \S+ requests?)", re.IGNORECASE)
"""360dialog throttles with 400, told by its text alone (its error list; facts, section 2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The provider took it; whether it arrives, a webhook says. `wa_id` may differ from the number written to."""

    message_id: str
    wa_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The provider took nothing; `again`: it may, a little later."""

    code: int | None
    details: str
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertain:
    """Perhaps taken, perhaps not: never send it again by itself, a webhook settles it."""

    details: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """The body never left: no connection came about."""

    details: str


Outcome = Accepted | Refused | Uncertain | NotSent


def may_be_sent_again(outcome: Outcome) -> bool:
    match outcome:
        case NotSent():
            return True
        case Refused(again=again):
            return again
        case Accepted() | Uncertain():
            return False
        case _:
            assert_never(outcome)


def classify(status: int, body: bytes) -> Accepted | Refused | Uncertain:
    """Judge an answer, whatever it holds; details have at most MAX_DETAILS_CHARS characters."""
    answer = read_json(body)
    return (
        _accepted(status, answer)
        or _refused_with_code(answer)
        or _refused_by_360dialog(status, answer)
        or Uncertain(details=_describe(status, body, answer))
    )


def _accepted(status: int, answer: object) -> Accepted | None:
    message_id = identifier(member(first(member(answer, "messages")), "id"))
    if not _is_success(status) or message_id is None:
        return None
    return Accepted(message_id=message_id, wa_id=identifier(member(first(member(answer, "contacts")), "wa_id")))


def _refused_with_code(answer: object) -> Refused | None:
    """Read the Graph shape, Meta's own and what 360dialog passes through."""
    error = member(answer, "error")
    code = integer(member(error, "code"))
    if code is None:
        return None
    details = text(member(error, "error_data", "details")) or text(member(error, "message"))
    return Refused(code=code, details=details or f"code {code}, without a reason", again=code in AGAIN_CODES)


def _refused_by_360dialog(status: int, answer: object) -> Refused | None:
    reason = _reason_of_360dialog(answer)
    if reason is None or not _is_refusal(status):
        return None
    again = bool(_THROTTLE.search(reason)) or status == HTTPStatus.TOO_MANY_REQUESTS
    return Refused(code=None, details=reason, again=again)


def _reason_of_360dialog(answer: object) -> str | None:
    """Read its three own shapes, the last of which is the ErrorResp of its OpenAPI (facts, section 2)."""
    meta = member(answer, "meta")
    return (
        text(member(meta, "developerMessage"))
        or text(member(meta, "developer_message"))
        or text(member(answer, "error"))
    )


def _is_success(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def _is_refusal(status: int) -> bool:
    return HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.REQUEST_TIMEOUT


def _describe(status: int, body: bytes, answer: object) -> str:
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return f"HTTP {status}: a redirect, which is not followed"
    said = _reason_of_360dialog(answer) or text(member(answer, "error", "message"))
    if said is None and _is_success(status):
        return f"HTTP {status} without a message id"
    if said is None:
        said = text(body[:MAX_DETAILS_CHARS].decode(errors="replace")) or "an empty body"
    return f"HTTP {status}: {said}"[:MAX_DETAILS_CHARS]
