"""A media object, wherever it stands: alone, in a template's header, on a card.

Source: Meta's image, document and audio pages.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlsplit

from proxy.sandbox.limits import ACCEPTED, MAX_CAPTION_CHARS, Kind
from proxy.sandbox.refusals import Refusal, bad_parameter, bad_value, missing, too_long

Json: TypeAlias = Mapping[str, object]

_OPTIONAL = frozenset({"caption", "filename"})
"""Null there is as good as nothing: heyoo 0.1.2 writes `"caption": null` in every medium that has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A medium of a message, by what it is sent as."""

    kind: Kind
    voice: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Medium(Wanted):
    """What is to be fetched."""

    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded(Wanted):
    """What was uploaded before, and needs no fetch."""

    id: str


def read_medium(kind: Kind, content: object) -> Medium | Uploaded | Refusal:
    """Read a media object, by link or by id."""
    if not isinstance(content, Mapping):
        return bad_parameter(f"Param {kind} must be a JSON object.")
    refusal = _medium_refusal(kind, content)
    if refusal is not None:
        return refusal
    voice = bool(content.get("voice", False))
    if content.get("link"):
        return Medium(kind=kind, link=str(content["link"]), voice=voice)
    return Uploaded(kind=kind, id=str(content["id"]), voice=voice)


def _medium_refusal(kind: Kind, content: Json) -> Refusal | None:
    unexpected = sorted(set(content) - ACCEPTED[kind].fields)
    if unexpected:
        return bad_parameter(f'Unexpected key "{unexpected[0]}" on param "{kind}".')
    for name in ("id", "link", "caption", "filename"):
        is_left_out = name not in content or (name in _OPTIONAL and content[name] is None)
        if not is_left_out and not isinstance(content[name], str):
            return bad_parameter(f"Param {kind}['{name}'] must be a string.")
    if not isinstance(content.get("voice", False), bool):
        return bad_parameter(f"Param {kind}['voice'] must be a boolean.")
    if len(str(content.get("caption") or "")) > MAX_CAPTION_CHARS:
        return too_long(f"{kind}['caption']", MAX_CAPTION_CHARS)
    return _reference_refusal(kind, content)


def _reference_refusal(kind: Kind, content: Json) -> Refusal | None:
    """What the API answers to both id and link is not documented; that they exclude each other is."""
    medium_id, link = content.get("id"), content.get("link")
    if medium_id and link:
        return bad_parameter(f"Param {kind} must hold either id or link, not both.")
    if not medium_id and not link:
        return missing(f"Parameter 'id' or 'link' is mandatory for type '{kind}'")
    if link and not _is_web_link(str(link)):
        return bad_value(f"{kind}['link'] is not a valid http or https URL.")
    return None


def _is_web_link(link: str) -> bool:
    try:
        parts = urlsplit(link)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
