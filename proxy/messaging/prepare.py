"""A wish becomes a message that can be posted. What WhatsApp would refuse later is refused here, now."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from proxy.delivery.mint import Mint, Minted
from proxy.errors import Malformed
from proxy.messaging.callers import Caller
from proxy.messaging.messages import Message, make_media, parse_number
from proxy.messaging.wishes import SendWish
from proxy.storage.store import parse_key

FOREIGN_LINK = "foreign_link"
"""A warning: the link is not ours, so nothing is known of what it delivers."""
ANYBODY = Caller(prefixes=("",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A message that can be posted; `minted` is None where the link is foreign."""

    id: str
    message: Message
    minted: Minted | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    mint: Mint
    new_id: Callable[[], str]

    async def __call__(self, wish: SendWish, caller: Caller = ANYBODY) -> Prepared:
        """Make everything that the message needs, and post nothing.

        Raises:
            Malformed: the wish breaks a rule of WhatsApp's.
            KeyNotAllowed, NotFound: not this caller's key, or nobody's.
            RefusedMedium: WhatsApp would refuse the medium.
        """
        draft = self.draft(wish)
        minted = await self._minted(wish, caller)
        media = replace(draft.media, link=minted.url) if minted else draft.media
        own_id = self.new_id()
        return Prepared(
            id=own_id,
            message=replace(draft, media=media, callback_data=draft.callback_data or own_id),
            minted=minted,
            warnings=minted.verdict.warnings if minted else (FOREIGN_LINK,),
        )

    def draft(self, wish: SendWish) -> Message:
        """Hold a wish to WhatsApp's rules while it has cost nothing yet; a medium by key has a stand-in for its link.

        Raises:
            Malformed: it breaks one.
        """
        media = make_media(
            wish.kind,
            link=wish.link or self.mint.public_url,
            caption=wish.caption,
            filename=wish.filename,
            voice=wish.voice,
        )
        return Message(
            to=parse_number(wish.to), media=media, reply_to=wish.reply_to, callback_data=wish.callback_data or None
        )

    async def _minted(self, wish: SendWish, caller: Caller) -> Minted | None:
        if wish.key is not None:
            key = parse_key(wish.key)
            caller.require(key)
            return await self.mint.mint(wish.kind, key)
        minted = await self.mint.reopen(wish.link or "")
        if minted is None:
            return None
        caller.require(minted.link.key)
        if minted.link.kind is not wish.kind:
            raise Malformed(field="kind", problem=f"this link was made for {minted.link.kind}; ask for one of its own")
        return minted
