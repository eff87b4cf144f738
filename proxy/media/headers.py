"""What a header says of a medium besides its type: pixels, animation, channels. Nothing is decoded."""

from dataclasses import dataclass
from typing import BinaryIO, Final

from proxy.media import boxes, directories, jpegs

_HEAD_BYTES: Final = 64
_PNG_COLOURS: Final = (b"\x08\x02", b"\x08\x06")  # 8 bits; truecolour, without and with alpha
_PNG_IHDR_END: Final = 29
_BITS: Final = 8
_BMP_CORE_BYTES: Final = 12
_BMP_RUN_LENGTH: Final = (1, 2)
_OPUS_HEAD_AT: Final = 28  # after a page header with its one segment (RFC 7845, section 3)
_OPUS_HEAD_BYTES: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """`plain` is WhatsApp's condition for an image: 8 bits a channel, RGB or RGBA; `deep` is more bits than that.

    `decoded` counts the pixels that decoding takes where tiles make it more than the size says; `run_length` is BMP's
    old compression; a `preview` stands before the picture itself. `primaries` and `transfer` are H.273's code points
    of the colours, 0 where the header has none.
    """

    width: int
    height: int
    plain: bool = False
    deep: bool = False
    animated: bool = False
    run_length: bool = False
    preview: bool = False
    decoded: int = 0
    primaries: int = 0
    transfer: int = 0


def read_pixels(file: BinaryIO, media_type: str) -> Pixels | None:  # noqa: C901 - a table of types
    """Read what the header of a picture says; None when it does not say its size.

    Raises:
        TooComplex: it holds more segments, tag values or tiles than any picture.
    """
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    pixels = None
    match media_type:
        case "image/jpeg":
            if frame := jpegs.read_frame(file):
                pixels = Pixels(width=frame[0], height=frame[1], plain=frame[2])
        case "image/png" if head[12:16] == b"IHDR" and len(head) > _PNG_IHDR_END:
            width, height = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
            pixels = Pixels(width=width, height=height, plain=head[24:26] in _PNG_COLOURS, deep=head[24] > _BITS)
        case "image/gif":
            pixels = Pixels(width=_int(head, 6, 2), height=_int(head, 8, 2))
        case "image/webp":
            pixels = _webp(head)
        case "image/bmp":
            pixels = _bmp(head)
        case "image/tiff":
            if first := directories.read_first(file):
                pixels = Pixels(
                    width=first.width,
                    height=first.height,
                    decoded=first.tile_pixels,
                    deep=first.deep,
                    preview=first.reduced,
                )
        case "image/heic" | "image/avif":
            if still := boxes.read_still(file):
                pixels = Pixels(
                    width=still.width,
                    height=still.height,
                    decoded=still.decoded,
                    deep=still.deep,
                    primaries=still.primaries,
                    transfer=still.transfer,
                )
    return pixels if pixels and pixels.width and pixels.height else None


def read_opus_channels(file: BinaryIO) -> int:
    """Read the channel count of OpusHead (RFC 7845, section 5.1), 0 when it is not there."""
    file.seek(_OPUS_HEAD_AT)
    packet = file.read(_OPUS_HEAD_BYTES)
    return packet[-1] if packet.startswith(b"OpusHead") and len(packet) == _OPUS_HEAD_BYTES else 0


def _int(data: bytes, offset: int, count: int) -> int:
    return int.from_bytes(data[offset : offset + count], "little")


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


def _bmp(head: bytes) -> Pixels:
    """Read the info header (MS-WMF, 2.2.2.3); a negative height means rows from the top."""
    if _int(head, 14, 4) == _BMP_CORE_BYTES:
        return Pixels(width=_int(head, 18, 2), height=_int(head, 20, 2))
    height = int.from_bytes(head[22:26], "little", signed=True)
    return Pixels(width=_int(head, 18, 4), height=abs(height), run_length=_int(head, 30, 4) in _BMP_RUN_LENGTH)
