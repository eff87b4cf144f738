"""One link in a message that somebody else wrote: ours, one of our store's objects, or foreign."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from proxy.delivery.mint import Mint, Minted
from proxy.errors import Malformed, NotFound
from proxy.messaging.addresses import Addresses
from proxy.messaging.callers import Caller
from proxy.messaging.slots import Slot
from proxy.storage.store import Key, parse_key

ForeignLinks = Literal["pass", "refuse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relink:
    mint: Mint
    addresses: Addresses
    foreign_links: ForeignLinks

    async def __call__(self, slot: Slot, link: str, caller: Caller) -> Minted | None:
        """Give the link that delivers what this one names as the slot's kind; None where that lies elsewhere, and may.

        Raises:
            KeyNotAllowed: it names a key of the store that is not this caller's.
            NotFound: it names a key of the store that is not there.
            RefusedMedium, Gone: WhatsApp would refuse it, or could not fetch it.
            Malformed: it is a link of ours for another kind, or one that WhatsApp or FOREIGN_LINKS does not take.
        """
        minted = await self.mint.reopen(link)
        if minted is not None:
            caller.require(minted.link.key)
            if minted.link.kind is not slot.kind:
                raise Malformed(field="link", problem=f"was made for {minted.link.kind}; ask for one of its own")
            return minted
        keys = tuple(_parsed(self.addresses.keys_of(link)))
        for key in keys:
            caller.require(key)
            try:
                return await self.mint.mint(slot.kind, key)
            except NotFound:
                continue
        if keys:
            raise NotFound
        self._check_foreign(slot, link)
        return None

    def _check_foreign(self, slot: Slot, link: str) -> None:
        in_web = link.lower().startswith(("http://", "https://"))
        if slot.sure and not in_web:
            raise Malformed(
                field="link", problem="names no object of our store, and WhatsApp fetches http and https only"
            )
        if in_web and self.foreign_links == "refuse":
            raise Malformed(
                field="link", problem="names no object of our store, and FOREIGN_LINKS says to refuse all others"
            )


def _parsed(texts: Iterable[str]) -> Iterator[Key]:
    """Leave out what is in the store and cannot be a key here: it is as foreign as any link."""
    for text in texts:
        try:
            yield parse_key(text)
        except Malformed:
            continue
