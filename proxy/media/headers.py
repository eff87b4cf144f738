"""What a header says of a medium besides its type: pixels, animation, channels. Nothing is decoded."""

from dataclasses import dataclass
from typing import BinaryIO, Final

_HEAD_BYTES: Final = 64
_MAX_JPEG_SEGMENTS: Final = 4096
_JPEG_SEGMENT_BYTES: Final = 10
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_JPEG_FILL: Final = 0xFF
_JPEG_SCAN: Final = 0xDA
_PNG_COLOURS: Final = (b"\x08\x02", b"\x08\x06")  # 8 bits; truecolour, without and with alpha
_PNG_IHDR_END: Final = 29
_BITS: Final = 8
_OPUS_HEAD_AT: Final = 28  # after a page header with its one segment (RFC 7845, section 3)
_OPUS_HEAD_BYTES: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """`plain` is WhatsApp's condition for an image: 8 bits a channel, RGB or RGBA; `deep` is more bits than that."""

    width: int
    height: int
    plain: bool = False
    deep: bool = False
    animated: bool = False


def read_pixels(file: BinaryIO, media_type: str) -> Pixels | None:
    """Read the size of a JPEG, PNG, GIF or WebP; None when its header does not say."""
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    pixels = None
    match media_type:
        case "image/jpeg":
            pixels = _jpeg(file)
        case "image/png" if head[12:16] == b"IHDR" and len(head) > _PNG_IHDR_END:
            width, height = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
            pixels = Pixels(width=width, height=height, plain=head[24:26] in _PNG_COLOURS, deep=head[24] > _BITS)
        case "image/gif":
            pixels = Pixels(width=_int(head, 6, 2), height=_int(head, 8, 2))
        case "image/webp":
            pixels = _webp(head)
    return pixels if pixels and pixels.width and pixels.height else None


def read_opus_channels(file: BinaryIO) -> int:
    """Read the channel count of OpusHead (RFC 7845, section 5.1), 0 when it is not there."""
    file.seek(_OPUS_HEAD_AT)
    packet = file.read(_OPUS_HEAD_BYTES)
    return packet[-1] if packet.startswith(b"OpusHead") and len(packet) == _OPUS_HEAD_BYTES else 0


def _int(data: bytes, offset: int, count: int) -> int:
    return int.from_bytes(data[offset : offset + count], "little")


def _jpeg(file: BinaryIO) -> Pixels | None:
    """Walk the segments to the frame header (ITU T.81, B.2.2)."""
    at = 2
    for _ in range(_MAX_JPEG_SEGMENTS):
        file.seek(at)
        segment = file.read(_JPEG_SEGMENT_BYTES)
        if len(segment) < _JPEG_SEGMENT_BYTES or segment[0] != _JPEG_FILL or segment[1] == _JPEG_SCAN:
            break
        if segment[1] in _JPEG_FRAMES:
            height, width = int.from_bytes(segment[5:7], "big"), int.from_bytes(segment[7:9], "big")
            return Pixels(width=width, height=height, plain=(segment[4], segment[9]) == (8, 3))
        if segment[1] == _JPEG_FILL:
            at += 1
        else:
            at += 2 if segment[1] in _JPEG_ALONE else 2 + int.from_bytes(segment[2:4], "big")
    return None


def _webp(head: bytes) -> Pixels | None:
    """Read the first chunk (RFC 9649, sections 2.5 to 2.7)."""
    match head[12:16]:
        case b"VP8X":
            animated = bool(_int(head, 20, 1) & 2)
            return Pixels(width=_int(head, 24, 3) + 1, height=_int(head, 27, 3) + 1, animated=animated)
        case b"VP8L":
            bits = _int(head, 21, 4)
            return Pixels(width=(bits & 0x3FFF) + 1, height=(bits >> 14 & 0x3FFF) + 1)
        case b"VP8 ":
            return Pixels(width=_int(head, 26, 2) & 0x3FFF, height=_int(head, 28, 2) & 0x3FFF)
    return None
