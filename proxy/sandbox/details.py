"""The `details` of a 131053, in WhatsApp's words as users report them.

Sources: chatwoot/chatwoot #12713, #13540, #15702 and webhooks quoted in public repositories. No report was found of the
sentence for a file that is too big: it follows the one that Meta documents for received media. Of the fetcher's own
limit, only parts of the sentence are reported, and of an upload that is gone, none: code must not hang on their rest.
"""

from collections.abc import Iterable
from http import HTTPStatus

STICKER = "Sticker file could not be processed. Please choose a different file."
NOT_A_MEDIUM = "Unsupported mime type text/html"
GONE = "The uploaded media is not there any more."
LIMITED = (
    "Downloading media from weblink failed with http code 429, status message Request ratelimit by fwdproxy "
    "destination matcher asn_list: 64496"
)
"""The number is one of those for documentation (RFC 5398)."""


def http_failure(status: int, phrase: str = "") -> str:
    return (
        f"Downloading media from weblink failed with http code {status}, "
        f"status message {phrase or _standard_phrase(status)}"
    )


def unsupported(what: str, content_type: str, accepted: Iterable[str]) -> str:
    return f"Unsupported {what} mime type {content_type}. Please use one of {', '.join(accepted)}."


def not_as_declared(what: str, declared: str, processed: str) -> str:
    return (
        f"{what} file uploaded with mimetype as {declared}, however on processing it is of type {processed}. "
        "Please choose a different file."
    )


def too_big(limit: str) -> str:
    return f"Media file size too big. Max file size we currently support: {limit}."


def _standard_phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
