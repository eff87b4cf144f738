"""What a JPEG's markers say before anything is decoded: its size, and how often its pixels are gone over."""

import re
from collections.abc import Iterator
from typing import BinaryIO, Final

from proxy.errors import TooComplex

MAX_SCANS: Final = 100
"""libtiff's own limit (tif_jpeg.c). Encoders write 10 or so. A scan of 26 bytes costs up to 10 ms at 12 megapixels
(measured), so half a megabyte of them would take minutes."""

_MAX_SEGMENTS: Final = 4096
_SEGMENT_BYTES: Final = 10
_CHUNK_BYTES: Final = 64 * 1024
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE: Final = frozenset({0x01, 0xD8})
_SCAN: Final = 0xDA
_END: Final = 0xD9
_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # neither a stuffed byte, nor a fill, nor a restart
_EIGHT_BITS_RGB: Final = (8, 3)


def read_frame(file: BinaryIO) -> tuple[int, int, bool] | None:
    """Read width, height, and whether it has three channels of 8 bits, from the frame header (ITU T.81, B.2.2).

    Raises:
        TooComplex: there are more segments than in any picture.
    """
    for segment in _segments(file):
        if segment[1] == _SCAN:
            break
        if segment[1] in _FRAMES:
            height, width = int.from_bytes(segment[5:7], "big"), int.from_bytes(segment[7:9], "big")
            return width, height, (segment[4], segment[9]) == _EIGHT_BITS_RGB
    return None


def has_too_many_scans(file: BinaryIO) -> bool:
    """Count scans, up to the limit; a file of one scan for all channels is not read further than that.

    Raises:
        TooComplex: there are more segments than in any picture.
    """
    scans, channels, progressive = 0, 0, False
    for segment in _segments(file):
        if segment[1] in _FRAMES:
            channels = segment[9]
            progressive = segment[1] & 3 == 2  # noqa: PLR2004 - SOF2, 6, 10 and 14 (T.81, table B.1)
        elif segment[1] == _SCAN:
            scans += 1
            if scans > MAX_SCANS:
                return True
            if channels and not progressive and segment[4] == channels:
                return False
    return False


def _segments(file: BinaryIO) -> Iterator[bytes]:
    """Walk the markers that have a segment, and step over the coded data of scans; gives the first bytes of each.

    Like libjpeg's next_marker, steps over whatever is between them, so that nothing is hidden there.
    """
    at = 2
    for _ in range(_MAX_SEGMENTS):
        file.seek(at)
        segment = file.read(_SEGMENT_BYTES)
        if not _MARKER.match(segment):
            at = _next_marker(file, at)
            file.seek(at)
            segment = file.read(_SEGMENT_BYTES)
        if len(segment) < _SEGMENT_BYTES or segment[1] == _END:
            return
        at += 2
        if segment[1] not in _ALONE:
            yield segment
            at += int.from_bytes(segment[2:4], "big")
    raise TooComplex(limit=f"{_MAX_SEGMENTS} segments")


def _next_marker(file: BinaryIO, at: int) -> int:
    file.seek(at)
    last = b""
    while chunk := file.read(_CHUNK_BYTES):
        if found := _MARKER.search(last + chunk):
            return at - len(last) + found.start()
        at += len(chunk)
        last = chunk[-1:]
    return at
