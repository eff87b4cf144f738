"""What the boxes of a HEIC or AVIF say before anything is decoded (ISO/IEC 14496-12 and 23008-12)."""

import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import SEEK_END
from itertools import islice
from typing import BinaryIO, Final

from proxy.errors import TooComplex

MAX_TILES: Final = 1000
"""libheif's own limit of items in a file (heif_security_limits)."""

_MAX_META_BYTES: Final = 4_000_000
"""A phone's is 5 to 50 KB; it may hold a profile of 2 MB."""
_MAX_BOXES: Final = 4096
_MAX_DEPTH: Final = 4
_HEADER_BYTES: Final = 8
_LONG_HEADER_BYTES: Final = 16
_FULL_BYTES: Final = 4  # version and flags
_EIGHT: Final = 8
_CODE_POINTS: Final = b"colrnclx"
_TRACK_SIZE_BYTES: Final = 8  # the last two fields of a track header, 16.16 fixed point


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """The primary picture, before any turn. `decoded` counts the pixels of all its tiles, or of a sequence's frame."""

    width: int
    height: int
    decoded: int
    deep: bool
    primaries: int
    transfer: int


def read_still(file: BinaryIO) -> Still | None:
    """Read size and colours of the primary picture, None when the boxes are broken.

    Raises:
        TooComplex: it has more tiles than libheif would decode.
    """
    found = dict[bytes, bytes]()
    for name, at, length in _top_level(file):
        if name in {b"meta", b"moov"} and name not in found and length <= _MAX_META_BYTES:
            file.seek(at)
            found[name] = file.read(length)
    try:
        frames = list(_frame_sizes(found.get(b"moov", b"")))
        still = _primary(found.get(b"meta", b""))
    except (struct.error, IndexError):
        return None
    frame = max(frames, key=lambda size: size[0] * size[1], default=(0, 0))
    if still is None:
        return Still(width=frame[0], height=frame[1], decoded=0, deep=False, primaries=0, transfer=0)
    if frame[0] * frame[1] <= still.decoded:
        return still
    return replace(still, decoded=frame[0] * frame[1])


def _top_level(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Give name, offset and length of what is in each box; a length of 0 means to the end of the file."""
    at, size_bytes = 0, file.seek(0, SEEK_END)
    for _ in range(_MAX_BOXES):
        if at > size_bytes:  # and perhaps behind what a file system holds: lseek(2) fails there
            return
        file.seek(at)
        header = file.read(_LONG_HEADER_BYTES)
        if len(header) < _HEADER_BYTES:
            return
        length, name, skip = int.from_bytes(header[:4], "big"), header[4:8], _HEADER_BYTES
        if length == 1:
            length, skip = int.from_bytes(header[8:], "big"), _LONG_HEADER_BYTES
        elif length == 0:
            length = size_bytes - at
        if length < skip:
            return
        yield name, at + skip, length - skip
        at += length


def _children(data: bytes, skip: int = 0) -> Iterator[tuple[bytes, bytes]]:
    at = skip
    for _ in range(_MAX_BOXES):
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if length < _HEADER_BYTES or at + length > len(data):
            return
        yield name, data[at + _HEADER_BYTES : at + length]
        at += length


def _primary(meta: bytes) -> Still | None:
    boxes = dict(_children(meta, _FULL_BYTES))
    if b"pitm" not in boxes or b"iprp" not in boxes:
        return None
    wide = boxes[b"pitm"][0] > 0
    primary: int = struct.unpack_from(">L" if wide else ">H", boxes[b"pitm"], _FULL_BYTES)[0]
    properties = list(_children(boxes[b"iprp"]))
    held = [*_children(dict(properties).get(b"ipco", b""))]
    owned = _associations([body for name, body in properties if name == b"ipma"])
    tiles = _references(boxes.get(b"iref", b""))
    leaves = _leaves(primary, tiles)
    sizes = {item: _size(item, owned, held) for item in {primary, *leaves}}
    shown = _named(leaves[0], owned, held) | _named(primary, owned, held)
    colour = shown.get(_CODE_POINTS)
    primaries, transfer = struct.unpack_from(">HH", colour, 4) if colour else (0, 0)
    depths = shown.get(b"pixi", b"")[_FULL_BYTES + 1 :]
    return Still(
        width=sizes[primary][0],
        height=sizes[primary][1],
        decoded=sum(sizes[leaf][0] * sizes[leaf][1] for leaf in leaves),
        deep=any(depth > _EIGHT for depth in depths),
        primaries=primaries,
        transfer=transfer,
    )


def _associations(tables: list[bytes]) -> dict[int, list[int]]:
    """Read which properties each item has (ItemPropertyAssociationBox), as places in ipco that count from one."""
    owned = dict[int, list[int]]()
    for table in tables:
        item_format = ">LB" if table[0] else ">HB"
        wide = table[3] & 1
        at = _FULL_BYTES + 4
        for _ in range(min(_MAX_BOXES, struct.unpack_from(">L", table, _FULL_BYTES)[0])):
            item, count = struct.unpack_from(item_format, table, at)
            at += struct.calcsize(item_format)
            places = struct.unpack_from(f">{count}{'H' if wide else 'B'}", table, at)
            at += count * (2 if wide else 1)
            owned.setdefault(item, [place & (0x7FFF if wide else 0x7F) for place in places])
    return owned


def _references(iref: bytes) -> dict[int, list[int]]:
    """Read what each derived item is made of (SingleItemTypeReferenceBox of type dimg)."""
    made_of = defaultdict[int, list[int]](list)
    wide = bool(iref[:1] > b"\0")
    for name, body in _children(iref, _FULL_BYTES):
        if name == b"dimg":
            item, count = struct.unpack_from(">LH" if wide else ">HH", body)
            made_of[item] += struct.unpack_from(f">{count}{'L' if wide else 'H'}", body, 6 if wide else 4)
    return made_of


def _leaves(primary: int, made_of: dict[int, list[int]]) -> list[int]:
    """List the items that are decoded for the primary, each as often as it is."""
    items = [primary]
    for _ in range(_MAX_DEPTH):
        if len(items) > MAX_TILES:
            raise TooComplex(limit=f"{MAX_TILES} tiles")
        if not any(item in made_of for item in items):
            return items
        parts = (part for item in items for part in made_of.get(item, [item]))
        items = list(islice(parts, MAX_TILES + 1))
    raise TooComplex(limit=f"{_MAX_DEPTH} layers of tiles")


def _named(item: int, owned: dict[int, list[int]], held: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    mine = [held[place - 1] for place in owned.get(item, []) if 0 < place <= len(held)]
    return {name + body[:4] if name == b"colr" else name: body for name, body in mine}


def _size(item: int, owned: dict[int, list[int]], held: list[tuple[bytes, bytes]]) -> tuple[int, int]:
    size = _named(item, owned, held).get(b"ispe")
    return struct.unpack_from(">LL", size, _FULL_BYTES) if size else (0, 0)


def _frame_sizes(moov: bytes) -> Iterator[tuple[int, int]]:
    for name, track in _children(moov):
        if name == b"trak":
            header = dict(_children(track)).get(b"tkhd", b"")
            width, height = struct.unpack(">LL", header[-_TRACK_SIZE_BYTES:].rjust(_TRACK_SIZE_BYTES, b"\0"))
            yield width >> 16, height >> 16
