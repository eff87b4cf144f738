"""What the first bytes of a file say that it is: WhatsApp looks, and refuses what is not as declared."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

HEAD_BYTES = 64
UNKNOWN = "application/octet-stream"
EMPTY = "application/x-empty"

_RIFF_FORM_AT, _WEBP_CHUNK_AT, _WEBP_BODY_AT = 8, 12, 20
_OPUS_HEAD_AT, _OPUS_CHANNELS_AT = 28, 37


def _is_jpeg(head: bytes) -> bool:
    return head.startswith(b"\xff\xd8\xff")


def _is_png(head: bytes) -> bool:
    return head.startswith(b"\x89PNG\r\n\x1a\n")


def _is_webp(head: bytes) -> bool:
    return head.startswith(b"RIFF") and head.startswith(b"WEBP", _RIFF_FORM_AT)


def _is_mono_opus(head: bytes) -> bool:
    """RFC 7845, section 5.1; more than one channel is not accepted, by Meta's audio page of 2026-02-17."""
    opus = head.startswith(b"OggS") and head.startswith(b"OpusHead", _OPUS_HEAD_AT)
    return opus and head[_OPUS_CHANNELS_AT : _OPUS_CHANNELS_AT + 1] == b"\x01"


def _is_iso_media(head: bytes) -> bool:
    return head.startswith(b"ftyp", 4)


def _is_amr(head: bytes) -> bool:
    return head.startswith(b"#!AMR")


_LOOKS: Mapping[str, Callable[[bytes], bool]] = MappingProxyType(
    {
        "image/jpeg": _is_jpeg,
        "image/png": _is_png,
        "image/webp": _is_webp,
        "audio/ogg; codecs=opus": _is_mono_opus,
        "audio/mp4": _is_iso_media,
        "audio/amr": _is_amr,
        "video/mp4": _is_iso_media,
        "video/3gpp": _is_iso_media,
        "video/3gp": _is_iso_media,
    }
)


def processed_type(declared: str, head: bytes) -> str:
    """Name what the bytes are: the declared type when they fit it, or when nothing is known of that type."""
    if not head:
        return EMPTY
    fits = _LOOKS.get(declared)
    if fits is None or fits(head):
        return declared
    return next((media_type for media_type, looks_so in _LOOKS.items() if looks_so(head)), UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebP:
    width: int
    height: int
    animated: bool


def look_at_webp(head: bytes) -> WebP | None:
    """Read size and animation from the first chunk (RFC 9649, sections 2.5 to 2.7); None when it cannot be read."""
    chunk, body = head[_WEBP_CHUNK_AT : _WEBP_CHUNK_AT + 4], head[_WEBP_BODY_AT:]
    if not _is_webp(head) or len(body) < 10:  # noqa: PLR2004 -- all three headers need ten bytes
        return None
    if chunk == b"VP8X":
        width, height = (int.from_bytes(body[at : at + 3], "little") + 1 for at in (4, 7))
        return WebP(width=width, height=height, animated=bool(body[0] & 0b10))
    if chunk == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return WebP(width=(bits & 0x3FFF) + 1, height=(bits >> 14 & 0x3FFF) + 1, animated=False)
    if chunk == b"VP8 ":
        width, height = (int.from_bytes(body[at : at + 2], "little") & 0x3FFF for at in (6, 8))
        return WebP(width=width, height=height, animated=False)
    return None
