"""The five link messages, exactly as the provider's API takes them.

Source: Meta's "Send messages" and its pages on the five kinds (facts, sections 1 and 2). Only what a documented
rule refuses is refused; a message that breaks one does not construct.
"""

import re
from dataclasses import dataclass
from typing import ClassVar, assert_never
from urllib.parse import urlsplit

from proxy.errors import Malformed
from proxy.media.kinds import Kind

MAX_CAPTION_CHARS = 1024
"""Meta's image and document pages; how an emoji counts they do not say, so by the milder reading: code points."""
MAX_CALLBACK_DATA_CHARS = 512
"""Meta's "Messages" reference."""
MIN_NUMBER_DIGITS = 7
"""The shortest there is: Niue, +683 and four digits (its numbering plan at the ITU)."""
MAX_NUMBER_DIGITS = 15
"""ITU-T E.164."""

_INVISIBLE = "\u00ad\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff"
_HYPHENS = "\u2010-\u2015\u2212-"
_SEPARATORS = re.compile(rf"[\s./(){_INVISIBLE}{_HYPHENS}]")
"""What people put between digits, and the invisible marks that come along when one is copied from a phone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Media:
    """A media object: where the file is, by exactly one of `link` and `id`."""

    link: str | None = None
    id: str | None = None
    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        if (self.link is None) == (self.id is None):
            raise Malformed(field="link", problem="give either link or id, and not both")
        if self.link is not None:
            _check_link(self.link)
        if self.id is not None:
            _check_text("id", self.id)

    def payload(self) -> dict[str, object]:
        """Give the object as it stands under its kind in the API's JSON."""
        return {"link": self.link} if self.link is not None else {"id": self.id}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Captioned(_Media):
    caption: str | None = None

    def __post_init__(self) -> None:
        # zero-argument super() does not find the class that slots=True makes anew (CPython issue 90562)
        _Media.__post_init__(self)
        if self.caption is not None:
            _check_text("caption", self.caption, max_chars=MAX_CAPTION_CHARS)

    def payload(self) -> dict[str, object]:
        caption = {} if self.caption is None else {"caption": self.caption}
        return _Media.payload(self) | caption


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio(_Media):
    """`voice`: shown as a voice note; the bytes must be Opus in Ogg then."""

    voice: bool = False
    kind: ClassVar[Kind] = Kind.AUDIO

    def payload(self) -> dict[str, object]:
        voice: dict[str, object] = {"voice": True} if self.voice else {}
        return _Media.payload(self) | voice


@dataclass(frozen=True, slots=True, kw_only=True)
class Document(_Captioned):
    """`filename`: shown to the recipient; its extension picks the icon."""

    filename: str | None = None
    kind: ClassVar[Kind] = Kind.DOCUMENT

    def __post_init__(self) -> None:
        _Captioned.__post_init__(self)
        if self.filename is not None:
            _check_text("filename", self.filename)

    def payload(self) -> dict[str, object]:
        filename = {} if self.filename is None else {"filename": self.filename}
        return _Captioned.payload(self) | filename


@dataclass(frozen=True, slots=True, kw_only=True)
class Image(_Captioned):
    kind: ClassVar[Kind] = Kind.IMAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Sticker(_Media):
    kind: ClassVar[Kind] = Kind.STICKER


@dataclass(frozen=True, slots=True, kw_only=True)
class Video(_Captioned):
    kind: ClassVar[Kind] = Kind.VIDEO


Media = Audio | Document | Image | Sticker | Video


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A media message to one person.

    `to` is digits, as `parse_number` gives them; `reply_to` the provider's id of the message that is quoted;
    `callback_data` comes back in every status webhook.
    """

    to: str
    media: Media
    reply_to: str | None = None
    callback_data: str | None = None

    def __post_init__(self) -> None:
        if parse_number(self.to) != self.to:
            raise Malformed(field="to", problem="must be digits only; parse_number makes them so")
        if self.reply_to is not None:
            _check_text("reply_to", self.reply_to)
        if self.callback_data is not None:
            _check_text("callback_data", self.callback_data, max_chars=MAX_CALLBACK_DATA_CHARS)

    def payload(self) -> dict[str, object]:
        """Give the API's JSON, the same for 360dialog and Meta."""
        context = {} if self.reply_to is None else {"context": {"message_id": self.reply_to}}
        callback = {} if self.callback_data is None else {"biz_opaque_callback_data": self.callback_data}
        return {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": self.to,
            "type": self.media.kind.value,
            self.media.kind.value: self.media.payload(),
            **context,
            **callback,
        }


def make_media(  # noqa: PLR0913  # the API's own fields, all by name
    kind: Kind,
    *,
    link: str | None = None,
    id: str | None = None,  # noqa: A002  # the API's own name
    caption: str | None = None,
    filename: str | None = None,
    voice: bool | None = None,
) -> Media:
    """Build the media object of a kind; an empty caption or filename is none.

    Raises:
        Malformed: link and id do not exclude each other, or the kind does not take a field that is given.
    """
    if caption and kind in {Kind.AUDIO, Kind.STICKER}:
        raise Malformed(field="caption", problem=f"WhatsApp shows none with {kind}; send the text as its own message")
    if filename and kind is not Kind.DOCUMENT:
        raise Malformed(field="filename", problem=f"only a document has one, not {kind}; leave it out")
    if voice and kind is not Kind.AUDIO:
        raise Malformed(field="voice", problem=f"only audio can be a voice note, not {kind}; leave it out")
    match kind:
        case Kind.AUDIO:
            return Audio(link=link, id=id, voice=bool(voice))
        case Kind.DOCUMENT:
            return Document(link=link, id=id, caption=caption or None, filename=filename or None)
        case Kind.IMAGE:
            return Image(link=link, id=id, caption=caption or None)
        case Kind.STICKER:
            return Sticker(link=link, id=id)
        case Kind.VIDEO:
            return Video(link=link, id=id, caption=caption or None)
        case _:
            assert_never(kind)


def parse_number(text: str) -> str:
    """Read an international number as people write it into digits, the form of 360dialog's wa_id.

    A leading 00 is read as +: no country code starts with 0 (ITU, list of assigned country codes), so it can be
    nothing else. A bracketed trunk zero is refused: Italy dials it from abroad and Germany does not.

    Raises:
        Malformed: it is no such number. The problem never repeats it, for errors are logged.
    """
    if re.search(r"\(\s*0\s*\)", text):
        raise Malformed(field="to", problem='holds "(0)"; write the number as it is dialled from abroad')
    bare = _SEPARATORS.sub("", text)
    digits = bare.removeprefix("+") if bare.startswith("+") else bare.removeprefix("00")
    if not re.fullmatch(r"[0-9]+", digits):
        raise Malformed(field="to", problem="must be a phone number: a + and digits, such as +49 170 1234567")
    if digits.startswith("0"):
        raise Malformed(field="to", problem="must start with a country code, such as +49, and not with 0")
    if not MIN_NUMBER_DIGITS <= len(digits) <= MAX_NUMBER_DIGITS:
        raise Malformed(
            field="to",
            problem=f"has {len(digits)} digits; a whole international number has "
            f"{MIN_NUMBER_DIGITS} to {MAX_NUMBER_DIGITS}",
        )
    return digits


def _check_link(link: str) -> None:
    try:
        parts = urlsplit(link)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise Malformed(field="link", problem="is not a URL") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise Malformed(field="link", problem="must be a whole http or https URL, for WhatsApp fetches no other")
    if not link.isprintable() or " " in link:
        raise Malformed(field="link", problem="must not hold spaces or control characters; percent-encode them")


def _check_text(field: str, text: str, max_chars: int | None = None) -> None:
    if not text:
        raise Malformed(field=field, problem="must not be empty; leave it out instead")
    if max_chars is not None and len(text) > max_chars:
        raise Malformed(field=field, problem=f"has {len(text)} characters; WhatsApp takes at most {max_chars}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Malformed(field=field, problem="is not valid Unicode") from None
