"""One link in a message that somebody else wrote: ours, one of our store's objects, or foreign."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from proxy.delivery.mint import Mint, Minted
from proxy.errors import Malformed, NotFound
from proxy.messaging.addresses import Addresses
from proxy.messaging.callers import Caller
from proxy.messaging.importing import Importing
from proxy.messaging.slots import Slot
from proxy.storage.store import Key, parse_key

ForeignLinks = Literal["pass", "refuse", "import"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relinked:
    """A link that works; `imported`: its medium was fetched from elsewhere for this message."""

    minted: Minted
    imported: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Relink:
    """`importing` is None where foreign links are not imported."""

    mint: Mint
    addresses: Addresses
    foreign_links: ForeignLinks
    importing: Importing | None

    async def __call__(self, slot: Slot, link: str, caller: Caller) -> Relinked | None:
        """Give the link that delivers what this one names as the slot's kind; None where that lies elsewhere, and may.

        Raises:
            KeyNotAllowed: it names a key of the store that is not this caller's.
            NotFound: it names a key of the store that is not there.
            RefusedMedium, Gone: WhatsApp would refuse it, or could not fetch it.
            Malformed: it is a link of ours for another kind, or one that WhatsApp or FOREIGN_LINKS does not take.
            ImportRefused, ImportAway, TooLarge: it lies elsewhere, and cannot be imported, or not now.
        """
        minted = await self.mint.reopen(link)
        if minted is not None:
            caller.require(minted.link.key)
            if minted.link.kind is not slot.kind:
                raise Malformed(field="link", problem=f"was made for {minted.link.kind}; ask for one of its own")
            return Relinked(minted=minted)
        keys = tuple(_parsed(self.addresses.keys_of(link)))
        for key in keys:
            caller.require(key)
            try:
                return Relinked(minted=await self.mint.mint(slot.kind, key))
            except NotFound:
                continue
        if keys:
            raise NotFound
        return await self._foreign(slot, link)

    async def _foreign(self, slot: Slot, link: str) -> Relinked | None:
        """Do with it what FOREIGN_LINKS says.

        What is imported lies under no prefix of any caller's. It is asked for with nothing but the link itself, so
        that a caller gets at no more by it than the hosts of IMPORT_HOSTS show to this machine.
        """
        in_web = link.lower().startswith(("http://", "https://"))
        if slot.is_medium and not in_web:
            raise Malformed(
                field="link", problem="names no object of our store, and WhatsApp fetches http and https only"
            )
        if in_web and self.foreign_links == "refuse":
            raise Malformed(
                field="link", problem="names no object of our store, and FOREIGN_LINKS says to refuse all others"
            )
        if in_web and self.importing is not None:
            return Relinked(minted=await self.mint.mint(slot.kind, await self.importing(link)), imported=True)
        return None


def _parsed(texts: Iterable[str]) -> Iterator[Key]:
    """Leave out what is in the store and cannot be a key here: it is as foreign as any link."""
    for text in texts:
        try:
            yield parse_key(text)
        except Malformed:
            continue
