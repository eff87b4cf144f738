"""What the first directory of a TIFF says before anything is decoded (TIFF 6.0, section 2)."""

import struct
from dataclasses import dataclass
from typing import BinaryIO, Final

from proxy.errors import TooComplex

MAX_VALUES: Final = 100_000
"""Values of one tag, which counts strips and tiles too: Pillow makes Python objects of them."""

_HEADER_BYTES: Final = 8
_ENTRY_BYTES: Final = 12
_ENDIANS: Final = {b"II": "<", b"MM": ">"}
_BYTES_AND_TEXT: Final = (1, 2, 6, 7)
_WIDTHS: Final = {1: "B", 3: "H", 4: "L"}

_SUBFILE: Final = 254
_WIDTH: Final = 256
_HEIGHT: Final = 257
_BITS: Final = 258
_TILE_WIDTH: Final = 322
_TILE_HEIGHT: Final = 323
_REDUCED: Final = 1
_EIGHT: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """The first picture. `tile_pixels` is what one of its tiles holds, 0 for strips.

    A camera's raw file has a preview (`reduced`) here and keeps the picture itself elsewhere.
    """

    width: int
    height: int
    tile_pixels: int
    deep: bool
    reduced: bool


def read_first(file: BinaryIO) -> First | None:
    """Read the first directory, None when it is broken.

    Raises:
        TooComplex: a tag has more values than any picture needs.
    """
    file.seek(0)
    header = file.read(_HEADER_BYTES)
    endian = _ENDIANS.get(header[:2])
    if endian is None or len(header) < _HEADER_BYTES:
        return None
    file.seek(struct.unpack(endian + "L", header[4:])[0])
    count = file.read(2)
    if len(count) < len(b"\0\0"):
        return None
    entries = file.read(struct.unpack(endian + "H", count)[0] * _ENTRY_BYTES)
    values = dict[int, int]()
    for at in range(0, len(entries) - _ENTRY_BYTES + 1, _ENTRY_BYTES):
        tag, kind, amount, inline = struct.unpack(endian + "HHL4s", entries[at : at + _ENTRY_BYTES])
        if amount > MAX_VALUES and kind not in _BYTES_AND_TEXT:
            raise TooComplex(limit=f"{MAX_VALUES} values in a TIFF tag")
        if kind in _WIDTHS and amount:
            values.setdefault(tag, struct.unpack_from(endian + _WIDTHS[kind], inline)[0])
    return First(
        width=values.get(_WIDTH, 0),
        height=values.get(_HEIGHT, 0),
        tile_pixels=values.get(_TILE_WIDTH, 0) * values.get(_TILE_HEIGHT, 0),
        deep=values.get(_BITS, 1) > _EIGHT,
        reduced=bool(values.get(_SUBFILE, 0) & _REDUCED),
    )
