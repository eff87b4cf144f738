"""A posted message, read as the API documents it.

Source: Meta's "Messages" reference.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from proxy.sandbox.composed import read_interactive, read_template
from proxy.sandbox.limits import MAX_CALLBACK_DATA_CHARS, MAX_RECIPIENT_DIGITS, MAX_TEXT_CHARS, Kind
from proxy.sandbox.media import Json, Wanted, read_medium
from proxy.sandbox.refusals import Refusal, bad_parameter, bad_value, missing, too_long, unsupported


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """`media` are those that it shows: a text has none."""

    body: Json
    to: str
    wa_id: str
    media: tuple[Wanted, ...]
    callback_data: str | None


def read(raw: bytes) -> Posted | Refusal:
    try:
        body = json.loads(raw)
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return bad_parameter("Invalid parameter: the body is not JSON.")
    if not isinstance(body, dict):
        return bad_parameter("Invalid parameter: the body is not an object.")
    return _envelope_refusal(body) or _posted(body)


def _posted(body: Json) -> Posted | Refusal:
    media = []
    for found in _content(body):
        if isinstance(found, Refusal):
            return found
        media += [] if found is None else [found]
    to, callback_data = str(body["to"]), body.get("biz_opaque_callback_data")
    return Posted(
        body=body,
        to=to,
        wa_id=re.sub(r"\D", "", to),
        media=tuple(media),
        callback_data=None if callback_data is None else str(callback_data),
    )


def _envelope_refusal(body: Json) -> Refusal | None:
    to = body.get("to")
    if body.get("messaging_product") != "whatsapp":
        return bad_parameter("The parameter messaging_product is required.")
    if not to:
        return bad_parameter("The parameter to is required.")
    if body.get("recipient_type", "individual") != "individual":
        return bad_value("recipient_type must be individual: groups are not known here.")
    if not isinstance(to, str) or not _is_number(to):
        return bad_value("to is not a phone number.")
    return _callback_data_refusal(body.get("biz_opaque_callback_data"))


def _callback_data_refusal(callback_data: object) -> Refusal | None:
    if callback_data is None:
        return None
    if not isinstance(callback_data, str):
        return bad_parameter("Param biz_opaque_callback_data must be a string.")
    is_longer = len(callback_data) > MAX_CALLBACK_DATA_CHARS
    return too_long("biz_opaque_callback_data", MAX_CALLBACK_DATA_CHARS) if is_longer else None


def _content(body: Json) -> Iterator[Wanted | Refusal | None]:
    """Read what the message is: all that it shows, or why it is not taken."""
    kind = str(body.get("type", "text"))
    content = body.get(kind)
    if kind not in {"text", "template", "interactive", *Kind}:
        yield unsupported(f"The sandbox does not know messages of type {kind}.")
    elif content is None:
        yield missing(f"Parameter '{kind}' is mandatory for type '{kind}'")
    elif not isinstance(content, dict):
        yield bad_parameter(f"Param {kind} must be a JSON object.")
    elif kind == "text":
        yield _text_refusal(content)
    elif kind == "template":
        yield from read_template(content)
    elif kind == "interactive":
        yield from read_interactive(content)
    else:
        yield read_medium(Kind(kind), content)


def _text_refusal(text: Json) -> Refusal | None:
    body = text.get("body")
    if not isinstance(body, str) or not body:
        return missing("Parameter 'body' is mandatory for type 'text'")
    return too_long("text['body']", MAX_TEXT_CHARS) if len(body) > MAX_TEXT_CHARS else None


def _is_number(text: str) -> bool:
    digits = re.sub(r"[-+() ]", "", text)
    return digits.isascii() and digits.isdigit() and len(digits) <= MAX_RECIPIENT_DIGITS
