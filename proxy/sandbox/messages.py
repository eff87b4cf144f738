"""A posted message, read as the API documents it.

Source: Meta's "Messages" reference and its image, document, audio and error code pages; the sentences of code 100 are
those that public clients report. Templates and interactive messages are not known here yet.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlsplit

from proxy.sandbox.limits import (
    ACCEPTED,
    MAX_CALLBACK_DATA_CHARS,
    MAX_CAPTION_CHARS,
    MAX_RECIPIENT_DIGITS,
    MAX_TEXT_CHARS,
    Kind,
)

Json: TypeAlias = Mapping[str, object]

BAD_PARAMETER, MISSING, BAD_VALUE, UNSUPPORTED_TYPE = 100, 131008, 131009, 131051


@dataclass(frozen=True, slots=True, kw_only=True)
class Medium:
    """What is to be fetched, and as what."""

    kind: Kind
    link: str
    voice: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """`medium` None: a text, or a medium by id, which needs no fetch."""

    body: Json
    to: str
    wa_id: str
    medium: Medium | None
    callback_data: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """`details` stand apart from the message for WhatsApp's own codes; for the Graph's code 100 there are none."""

    code: int
    message: str
    details: str | None = None


def read(raw: bytes) -> Posted | Refusal:
    try:
        body = json.loads(raw)
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return _bad_parameter("Invalid parameter: the body is not JSON.")
    if not isinstance(body, dict):
        return _bad_parameter("Invalid parameter: the body is not an object.")
    return _envelope_refusal(body) or _content_refusal(body) or _posted(body)


def _posted(body: Json) -> Posted:
    to, callback_data = str(body["to"]), body.get("biz_opaque_callback_data")
    return Posted(
        body=body,
        to=to,
        wa_id=re.sub(r"\D", "", to),
        medium=_medium(body),
        callback_data=None if callback_data is None else str(callback_data),
    )


def _medium(body: Json) -> Medium | None:
    kind = _type(body)
    content = body[kind]
    if kind == "text" or not isinstance(content, dict) or not content.get("link"):
        return None
    return Medium(kind=Kind(kind), link=content["link"], voice=content.get("voice", False))


def _type(body: Json) -> str:
    return str(body.get("type", "text"))


def _envelope_refusal(body: Json) -> Refusal | None:
    to = body.get("to")
    if body.get("messaging_product") != "whatsapp":
        return _bad_parameter("The parameter messaging_product is required.")
    if not to:
        return _bad_parameter("The parameter to is required.")
    if body.get("recipient_type", "individual") != "individual":
        return _bad_value("recipient_type must be individual: groups are not known here.")
    if not isinstance(to, str) or not _is_number(to):
        return _bad_value("to is not a phone number.")
    return _callback_data_refusal(body.get("biz_opaque_callback_data"))


def _callback_data_refusal(callback_data: object) -> Refusal | None:
    if callback_data is None:
        return None
    if not isinstance(callback_data, str):
        return _bad_parameter("Param biz_opaque_callback_data must be a string.")
    too_long = len(callback_data) > MAX_CALLBACK_DATA_CHARS
    return _too_long("biz_opaque_callback_data", MAX_CALLBACK_DATA_CHARS) if too_long else None


def _content_refusal(body: Json) -> Refusal | None:
    kind = _type(body)
    if kind not in {"text", *Kind}:
        return Refusal(
            code=UNSUPPORTED_TYPE,
            message="(#131051) Unsupported message type",
            details=f"The sandbox does not know messages of type {kind}.",
        )
    content = body.get(kind)
    if content is None:
        return _missing(f"Parameter '{kind}' is mandatory for type '{kind}'")
    if not isinstance(content, dict):
        return _bad_parameter(f"Param {kind} must be a JSON object.")
    return _text_refusal(content) if kind == "text" else _medium_refusal(Kind(kind), content)


def _text_refusal(text: Json) -> Refusal | None:
    body = text.get("body")
    if not isinstance(body, str) or not body:
        return _missing("Parameter 'body' is mandatory for type 'text'")
    return _too_long("text['body']", MAX_TEXT_CHARS) if len(body) > MAX_TEXT_CHARS else None


def _medium_refusal(kind: Kind, content: Json) -> Refusal | None:
    unexpected = sorted(set(content) - ACCEPTED[kind].fields)
    if unexpected:
        return _bad_parameter(f'Unexpected key "{unexpected[0]}" on param "{kind}".')
    for name in ("id", "link", "caption", "filename"):
        if name in content and not isinstance(content[name], str):
            return _bad_parameter(f"Param {kind}['{name}'] must be a string.")
    if not isinstance(content.get("voice", False), bool):
        return _bad_parameter(f"Param {kind}['voice'] must be a boolean.")
    if len(str(content.get("caption", ""))) > MAX_CAPTION_CHARS:
        return _too_long(f"{kind}['caption']", MAX_CAPTION_CHARS)
    return _reference_refusal(kind, content)


def _reference_refusal(kind: Kind, content: Json) -> Refusal | None:
    """What the API answers to both id and link is not documented; that they exclude each other is."""
    medium_id, link = content.get("id"), content.get("link")
    if medium_id and link:
        return _bad_parameter(f"Param {kind} must hold either id or link, not both.")
    if not medium_id and not link:
        return _missing(f"Parameter 'id' or 'link' is mandatory for type '{kind}'")
    if link and not _is_web_link(str(link)):
        return _bad_value(f"{kind}['link'] is not a valid http or https URL.")
    return None


def _is_number(text: str) -> bool:
    digits = re.sub(r"[-+() ]", "", text)
    return digits.isascii() and digits.isdigit() and len(digits) <= MAX_RECIPIENT_DIGITS


def _is_web_link(link: str) -> bool:
    try:
        parts = urlsplit(link)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _bad_parameter(sentence: str) -> Refusal:
    return Refusal(code=BAD_PARAMETER, message=f"(#100) {sentence}")


def _too_long(name: str, limit: int) -> Refusal:
    return _bad_parameter(f"Param {name} must be at most {limit} characters long.")


def _missing(details: str) -> Refusal:
    return Refusal(code=MISSING, message="(#131008) Required parameter is missing", details=details)


def _bad_value(details: str) -> Refusal:
    return Refusal(code=BAD_VALUE, message="(#131009) Parameter value is not valid", details=details)
