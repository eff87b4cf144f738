"""Messages that are made of parts: templates and interactive ones, and the media in their headers and on their cards.

Source: Meta's pages on templates, media card carousels, reply buttons, call-to-action buttons, lists and interactive
media carousels (2025). Of what a template may say, nobody can know here: only its shape is looked at.
"""

from collections.abc import Iterable, Iterator, Mapping

from proxy.sandbox.limits import Kind
from proxy.sandbox.media import Json, Wanted, read_medium
from proxy.sandbox.refusals import Refusal, bad_parameter, bad_value, missing, too_long

MIN_CARDS, MAX_CARDS = 2, 10
MAX_CAROUSEL_BODY_CHARS = 1024
MAX_CARD_BODY_CHARS, MAX_CARD_BREAKS = 160, 2
HEADERS = frozenset({Kind.IMAGE, Kind.VIDEO, Kind.DOCUMENT})
CARD_HEADERS = frozenset({Kind.IMAGE, Kind.VIDEO})
INTERACTIVE_TYPES = frozenset(
    {
        "button",
        "carousel",
        "catalog_message",
        "cta_url",
        "flow",
        "list",
        "location_request_message",
        "order_details",
        "product",
        "product_list",
    }
)

Found = Iterator[Wanted | Refusal | None]


def read_template(template: Json) -> Found:
    """Find the media of a template; they stand in headers only."""
    language = template.get("language")
    if not isinstance(template.get("name"), str) or not template.get("name"):
        yield missing("Parameter 'name' is mandatory for type 'template'")
    if not isinstance(language, Mapping) or not isinstance(language.get("code"), str):
        yield missing("Parameter 'language['code']' is mandatory for type 'template'")
    yield from _in_components(template.get("components", []), HEADERS)


def read_interactive(interactive: Json) -> Found:
    """Find the media of an interactive message: in its header, or in those of its cards."""
    if interactive.get("type") not in INTERACTIVE_TYPES:
        yield bad_value(f"interactive['type'] must be one of {', '.join(sorted(INTERACTIVE_TYPES))}.")
    action = interactive.get("action")
    if not isinstance(action, Mapping):
        yield missing("Parameter 'action' is mandatory for type 'interactive'")
        return
    if "header" in interactive:
        yield _in_header(interactive["header"], frozenset() if interactive.get("type") == "list" else HEADERS)
    if interactive.get("type") == "carousel":
        cards = action.get("cards")
        if not isinstance(cards, list) or not MIN_CARDS <= len(cards) <= MAX_CARDS:
            yield bad_value(f"A carousel has {MIN_CARDS} to {MAX_CARDS} cards.")
            return
        yield _text_refusal(interactive, MAX_CAROUSEL_BODY_CHARS)
        for card in _objects(cards):
            yield _text_refusal(card, MAX_CARD_BODY_CHARS, MAX_CARD_BREAKS)
            yield _in_header(card.get("header"), CARD_HEADERS)


def _in_components(components: object, kinds: frozenset[Kind]) -> Found:
    if not isinstance(components, list):
        yield bad_parameter("Param template['components'] must be an array.")
        return
    for component in _objects(components):
        match component.get("type"):
            case "header" | "HEADER":
                parameters = component.get("parameters")
                for parameter in _objects(parameters if isinstance(parameters, list) else []):
                    yield _in_header(parameter, kinds)
            case "carousel" | "CAROUSEL":
                cards = component.get("cards")
                for card in _objects(cards if isinstance(cards, list) else []):
                    yield from _in_components(card.get("components"), CARD_HEADERS)


def _in_header(header: object, kinds: frozenset[Kind]) -> Wanted | Refusal | None:
    """Read a header, or a parameter of one: both name their type, and hold it."""
    kind = header.get("type") if isinstance(header, Mapping) else None
    if not isinstance(header, Mapping) or not isinstance(kind, str):
        return missing("A header needs a type.")
    if kind not in frozenset(Kind):
        return None
    if kind not in kinds:
        return bad_value(f"A header cannot be of type {kind} here.")
    return read_medium(Kind(kind), header.get(kind))


def _text_refusal(part: Json, max_chars: int, max_breaks: int | None = None) -> Refusal | None:
    body = part.get("body")
    text = body.get("text") if isinstance(body, Mapping) else None
    if not isinstance(text, str):
        return None
    if len(text) > max_chars:
        return too_long("body['text']", max_chars)
    is_broken = max_breaks is not None and text.count("\n") > max_breaks
    return bad_value(f"A card's body has at most {max_breaks} line breaks.") if is_broken else None


def _objects(items: Iterable[object]) -> Iterator[Json]:
    return (item for item in items if isinstance(item, Mapping))
