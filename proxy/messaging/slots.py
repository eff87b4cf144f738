"""Where media stand in a message that somebody else wrote, and what of WhatsApp's rules can be seen there.

A link is one wherever an object under the name of a kind holds it: in plain messages, headers, cards (facts, section
6). The rules are asked only of objects that are media for sure, which stand beside a `type` of their own name: the
data of a flow may hold an object `image` that is none.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from proxy.errors import Malformed
from proxy.media.kinds import Kind
from proxy.messaging import foreign
from proxy.messaging.json_texts import Array, Object, Plain, Text, Value, read_object
from proxy.messaging.messages import make_media, parse_number

MAX_LINKS: Final = 64
"""A carousel has ten cards."""
CALLBACK_DATA: Final = "biz_opaque_callback_data"
DEFAULT_TYPE: Final = "text"

_KINDS: Final = frozenset(Kind)
_STAND_IN: Final = "https://link.invalid"
_UNWRITABLE: Final = re.compile("[\\x00\\ud800-\\udfff]")
"""JSON can say it, and neither UTF-8 nor PostgreSQL can keep it. Two halves of a pair were read as one character."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A place for a medium; `where` names it as in `template.components[0].parameters[0].image`.

    `links` has more than one entry where the name stands twice. `is_medium`: it is one, and not an object that has a
    link under such a name.
    """

    where: str
    kind: Kind
    links: tuple[Text, ...]
    is_medium: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A body on its way to the provider, as far as it is ours to read.

    `type` is empty where it is no message, such as a mark as read. `recipient` is digits, for they stand in the ledger
    under their hash; empty where the message goes to no number.
    """

    body: bytes
    root: Object
    type: str
    slots: tuple[Slot, ...]
    recipient: str

    @property
    def has_callback_data(self) -> bool:
        return bool(self.root.all(CALLBACK_DATA))


def read_letter(body: bytes) -> Letter:
    """Read a message's body.

    Raises:
        Malformed: it is no JSON object, a medium in it breaks a rule of WhatsApp's, or a link cannot be written down.
    """
    root = read_object(body)
    slots = tuple(_slots(root, ""))
    if sum(len(slot.links) for slot in slots) > MAX_LINKS:
        raise Malformed(field="body", problem=f"may hold {MAX_LINKS} links, and this one holds more")
    return Letter(body=body, root=root, type=_type(root), slots=slots, recipient=_recipient(root))


def _slots(value: Value, where: str) -> Iterator[Slot]:
    if isinstance(value, Array):
        for number, item in enumerate(value.items):
            yield from _slots(item, f"{where}[{number}]")
    if isinstance(value, Object):
        types = {text.value for text in value.texts("type")}
        for name, inner in value.members:
            place = f"{where}.{name}" if where else name
            if name in _KINDS and isinstance(inner, Object):
                is_medium, shown = name in types, foreign.text(place) or name
                if is_medium:
                    _check(inner, Kind(name), shown)
                links = tuple(_links(inner, shown))
                if is_medium or links:
                    yield Slot(where=shown, kind=Kind(name), links=links, is_medium=is_medium)
            yield from _slots(inner, place)


def _links(medium: Object, where: str) -> Iterator[Text]:
    for link in medium.texts("link"):
        if _UNWRITABLE.search(link.value):
            raise Malformed(field=f"{where}.link", problem="must hold no NUL and no half of a surrogate pair")
        if link.value:
            yield link


def _check(medium: Object, kind: Kind, where: str) -> None:
    """Ask what is documented, and no more.

    Raises:
        Malformed: the provider would refuse it.
    """
    try:
        for caption in {text.value for text in medium.texts("caption")} | {""}:
            make_media(
                kind,
                link=_STAND_IN if _is_given(medium, "link") else None,
                id="id" if _is_given(medium, "id") else None,
                caption=caption,
            )
    except Malformed as error:
        raise Malformed(field=f"{where}.{error.field}", problem=error.problem) from None


def _is_given(medium: Object, name: str) -> bool:
    """Tell a member that says something from an empty one, which client libraries write for none."""
    return any(value != Plain(b"null") and (not isinstance(value, Text) or value.value) for value in medium.all(name))


def _type(root: Object) -> str:
    """Read what kind of message goes to somebody; Meta takes one without a type for a text (facts, section 2)."""
    if not root.all("to"):
        return ""
    return next((text for each in root.texts("type") if (text := foreign.identifier(each.value))), DEFAULT_TYPE)


def _recipient(root: Object) -> str:
    """Read the number as `send` does, so that one person has one hash; else take the digits that there are."""
    to = next((value for value in reversed(root.all("to")) if isinstance(value, Text | Plain)), Plain(b""))
    written = to.value if isinstance(to, Text) else to.raw.decode()
    try:
        return parse_number(written)
    except Malformed:
        return re.sub(r"[^0-9]", "", written)
