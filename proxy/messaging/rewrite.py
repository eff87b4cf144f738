"""A message that somebody else wrote gets links that work: a step before it is posted, all links at once."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from proxy.delivery.links import Link
from proxy.delivery.mint import Minted
from proxy.errors import MedialinkError
from proxy.messaging.callers import Caller
from proxy.messaging.entries import LedgerMedium
from proxy.messaging.json_texts import Edit, Text, splice, written_anew
from proxy.messaging.prepare import FOREIGN_LINK
from proxy.messaging.relink import Relink, Relinked
from proxy.messaging.slots import CALLBACK_DATA, Letter, Slot


class LinkFailed(Exception):
    """One link of a message cannot be delivered; `where` it stands."""

    def __init__(self, where: str, error: MedialinkError) -> None:
        super().__init__(where)
        self.where = where
        self.error = error


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """A message that can be posted. `minted` is its first link of ours."""

    id: str
    letter: Letter
    body: bytes
    media: tuple[LedgerMedium, ...]
    minted: Minted | None
    warnings: tuple[str, ...]
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Rewrite:
    relink: Relink

    async def __call__(self, letter: Letter, caller: Caller, *, own_id: str) -> Rewritten:
        """Make everything that the message needs. Whoever stops waiting stops no rendition that is being made.

        Raises:
            LinkFailed: of the first link that cannot be delivered.
        """
        places = [(slot, text) for slot in letter.slots for text in slot.links]
        wanted = {(slot.kind, text.value, slot.is_medium): slot for slot, text in places}
        outcomes = await asyncio.gather(
            *(self.relink(slot, link, caller) for (_, link, _), slot in wanted.items()), return_exceptions=True
        )
        relinked = dict(zip(wanted, outcomes, strict=True))
        found = [(slot, text, _good(slot, relinked[slot.kind, text.value, slot.is_medium])) for slot, text in places]
        edits = [written_anew(text, new.minted.url) for _, text, new in found if new and new.minted.url != text.value]
        if letter.slots and not letter.has_callback_data:
            edits.append(_callback_data(letter, own_id))
        return Rewritten(
            id=own_id,
            letter=letter,
            body=splice(letter.body, edits),
            media=(
                *(LedgerMedium.of(slot.kind, *_as_sent(text, new)) for slot, text, new in found),
                *(LedgerMedium(kind=slot.kind) for slot in letter.slots if not slot.links),
            ),
            minted=next((new.minted for _, _, new in found if new), None),
            warnings=_warnings([new for _, _, new in found]),
            counts=_counts(found),
        )


def _good(slot: Slot, outcome: Relinked | BaseException | None) -> Relinked | None:
    match outcome:
        case None | Relinked():
            return outcome
        case MedialinkError():
            raise LinkFailed(slot.where, outcome)
        case BaseException():
            raise outcome
        case _:
            assert_never(outcome)


def _as_sent(text: Text, new: Relinked | None) -> tuple[str, Link | None]:
    return (new.minted.url, new.minted.link) if new else (text.value, None)


def _callback_data(letter: Letter, own_id: str) -> Edit:
    """Add our id, by which a webhook finds the message if the provider's answer is lost."""
    return Edit(letter.root.inside, letter.root.inside, f'"{CALLBACK_DATA}":"{own_id}",'.encode())


def _warnings(relinked: list[Relinked | None]) -> tuple[str, ...]:
    said = [warning for new in relinked for warning in (new.minted.verdict.warnings if new else (FOREIGN_LINK,))]
    return tuple(dict.fromkeys(said))


def _counts(found: list[tuple[Slot, Text, Relinked | None]]) -> Mapping[str, int]:
    counted = Counter(_became(text, new) for _, text, new in found)
    return {what: counted[what] for what in ("replaced", "kept", "imported", "foreign")}


def _became(text: Text, new: Relinked | None) -> str:
    if new is None:
        return "foreign"
    if new.imported:
        return "imported"
    return "kept" if new.minted.url == text.value else "replaced"
