"""Why a message failed, in plain words, and what to do: read from WhatsApp's code and the text beside it.

Codes are Meta's, and the texts of 131053 those that users report (facts, section 2). Meta announces that titles will
go, so nothing is built on them; a text that is not known is handed on as it is.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from proxy.messaging.causes import TEXTS, Cause

MEDIUM_FAILED: Final = 131053


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """`sentence` says what happened, `advice` what to do about it."""

    cause: Cause
    sentence: str
    advice: str


def diagnose(code: int | None, details: str | None) -> Diagnosis:
    """Read the code and the text of a failed status or of a refused post; never raises."""
    cause = _of_medium(details or "") if code == MEDIUM_FAILED else _of_code(code, details or "")
    sentence, advice = TEXTS[cause]
    if cause is Cause.OTHER:
        sentence = f"WhatsApp or the provider said: {details}" if details else _without_text(code)
    return Diagnosis(cause=cause, sentence=sentence, advice=advice)


def could_be(cause: Cause) -> frozenset[int] | None:
    """Give the codes that a cause can come of, so that a search may pass by all others; None where any can."""
    if cause in _OF_TEXT:
        return None
    codes = {code for code, other in _CODES.items() if other is cause}
    return frozenset(codes) or frozenset({MEDIUM_FAILED})


def _of_medium(details: str) -> Cause:
    if status := _HTTP.search(details):
        return _of_http(int(status[1]), details)
    return next((cause for pattern, cause in _MEDIUM_TEXTS if pattern.search(details)), _unread(details))


def _of_http(status: int, details: str) -> Cause:
    if _DNS.search(details):
        return Cause.DNS_TIMED_OUT
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Cause.FETCHER_THROTTLED if _FWDPROXY.search(details) else Cause.LINK_THROTTLED
    if status in _TIMED_OUT or _TIMEOUT.search(details):
        return Cause.LINK_TIMED_OUT
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return Cause.PAGE_INSTEAD_OF_MEDIUM
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Cause.LINK_FAILED
    return _HTTP_CAUSES.get(status, Cause.LINK_REFUSED)


def _of_code(code: int | None, details: str) -> Cause:
    if code is None:
        return Cause.THROUGHPUT if _RATE_OF_360DIALOG.search(details) else Cause.OTHER
    if code in _PERMISSIONS:
        return Cause.CREDENTIAL
    return _CODES.get(code, Cause.OTHER)


def _unread(details: str) -> Cause:
    """A text that says no more than the code means that WhatsApp could not use the medium; another is handed on."""
    return Cause.OTHER if details and not _NO_MORE_THAN_THE_CODE.search(details) else Cause.MEDIUM_UNPROCESSED


def _without_text(code: int | None) -> str:
    return "It failed, and no reason was given." if code is None else f"It failed with code {code}, without a reason."


_HTTP = re.compile(r"http code (\d{3})\b", re.IGNORECASE)
_DNS = re.compile(r"\bDNS\b", re.IGNORECASE)
_FWDPROXY = re.compile(r"fwdproxy|asn_list", re.IGNORECASE)
_TIMEOUT = re.compile(r"timed?[ -]?out", re.IGNORECASE)
_NO_MORE_THAN_THE_CODE = re.compile(r"^\s*(\(#131053\)\s*)?media upload error\W*$", re.IGNORECASE)
_RATE_OF_360DIALOG = re.compile(r"exceeded the (endpoint rate limit|limit of \S+ requests?)", re.IGNORECASE)
_TIMED_OUT: Final = frozenset({408, 499, 504})
"""499 is what nginx logs for a client that hung up; it goes with WhatsApp's time-outs (facts, section 4d)."""

_HTTP_CAUSES: Final[Mapping[int, Cause]] = MappingProxyType(
    {
        401: Cause.LINK_FORBIDDEN,
        403: Cause.LINK_FORBIDDEN,
        404: Cause.LINK_NOT_FOUND,
        410: Cause.LINK_GONE,
        413: Cause.TOO_LARGE,
    }
)
_MEDIUM_TEXTS: Final = (
    (re.compile(r"mime type text/html", re.IGNORECASE), Cause.PAGE_INSTEAD_OF_MEDIUM),
    (re.compile(r"unsupported .*mime ?type", re.IGNORECASE), Cause.TYPE_REFUSED),
    (re.compile(r"uploaded with mime ?type as .* however", re.IGNORECASE), Cause.TYPE_DISAGREES),
    (re.compile(r"size too (big|large)|max file size", re.IGNORECASE), Cause.TOO_LARGE),
    (re.compile(r"sticker", re.IGNORECASE), Cause.STICKER_REFUSED),
    (_DNS, Cause.DNS_TIMED_OUT),
    (_FWDPROXY, Cause.FETCHER_THROTTLED),
    (_TIMEOUT, Cause.LINK_TIMED_OUT),
    (re.compile(r"could not be processed", re.IGNORECASE), Cause.MEDIUM_UNPROCESSED),
)
_PERMISSIONS: Final = frozenset({0, 3, 10, 190, 131005, *range(200, 300)})
_CODES: Final[Mapping[int, Cause]] = MappingProxyType(
    dict.fromkeys((1, 2, 131000, 131016, 131057), Cause.WHATSAPP_AWAY)
    | dict.fromkeys((4, 80007, 130429), Cause.THROUGHPUT)
    | dict.fromkeys((100, 131008, 131009, 131021, 131051), Cause.PARAMETER)
    | dict.fromkeys((33, 131045), Cause.SENDER)
    | dict.fromkeys((368, 130497, 131031), Cause.RESTRICTED)
    | dict.fromkeys((130472, 131049), Cause.MARKETING_CAPPED)
    | dict.fromkeys((131064, 132000, 132001, 132012, 132015, 132016), Cause.TEMPLATE)
    | {
        130403: Cause.BLOCKED,
        131026: Cause.NOT_ON_WHATSAPP,
        131042: Cause.PAYMENT,
        131047: Cause.WINDOW_CLOSED,
        131048: Cause.SPAM,
        131050: Cause.MARKETING_STOPPED,
        131056: Cause.PAIR_RATE,
    }
)
_OF_TEXT: Final = frozenset({Cause.OTHER, Cause.THROUGHPUT, Cause.CREDENTIAL})
