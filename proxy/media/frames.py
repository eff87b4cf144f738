"""Tell audio that is nothing but frames: MP3 and ADTS.

Two bytes of sync are found in any noise, so a frame counts only when its length leads to another of the same stream.
"""

import re
from collections.abc import Callable
from typing import BinaryIO, Final

WINDOW_BYTES: Final = 64 * 1024
_MAX_ID3_TAGS: Final = 4
_ID3_HEADER_BYTES: Final = 10
_HEADER_BYTES: Final = 7

_SYNC: Final = re.compile(rb"\xff[\xe2\xe3\xf0-\xf3\xf8-\xfb]")
_MPEG_1: Final = 3
_LAYER_III_KBPS: Final = {
    _MPEG_1: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    0: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_LAYER_III_HZ: Final = {_MPEG_1: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_ADTS_RATES: Final = 13


def tell(file: BinaryIO, head: bytes, size_bytes: int) -> str | None:
    """Look at the very beginning, or soon after ID3 tags, which writers pad as they like."""
    at = _after_id3(file)
    window = head
    if at:
        file.seek(at)
        window = file.read(WINDOW_BYTES)
    ends = at + len(window) >= size_bytes
    for start in (found.start() for found in _SYNC.finditer(window)):
        if start and not at:
            break
        if _leads_on(window, start, _adts_length, ends=ends):
            return "audio/aac"
        if _leads_on(window, start, _mp3_length, ends=ends):
            return "audio/mpeg"
    return None


def _after_id3(file: BinaryIO) -> int:
    """Skip tags by their syncsafe length (ID3v2.4, section 3.1)."""
    at = 0
    for _ in range(_MAX_ID3_TAGS):
        file.seek(at)
        tag = file.read(_ID3_HEADER_BYTES)
        if not tag.startswith(b"ID3") or len(tag) < _ID3_HEADER_BYTES or any(byte & 0x80 for byte in tag[6:]):
            break
        footer = _ID3_HEADER_BYTES if tag[5] & 0x10 else 0
        at += _ID3_HEADER_BYTES + (tag[6] << 21 | tag[7] << 14 | tag[8] << 7 | tag[9]) + footer
    return at


def _leads_on(window: bytes, at: int, length_of: Callable[[bytes], int], *, ends: bool) -> bool:
    length = length_of(window[at : at + _HEADER_BYTES])
    if not length:
        return False
    after = window[at + length : at + length + _HEADER_BYTES]
    if not after:
        return ends and at + length == len(window)
    return length_of(after) > 0 and after[1] == window[at + 1] and not (after[2] ^ window[at + 2]) & 0x0C


def _mp3_length(header: bytes) -> int:
    """Bytes of an MPEG Layer III frame, 0 when this is none (ISO 11172-3, 2.4.2.3)."""
    if len(header) < _HEADER_BYTES or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:  # noqa: PLR2004 - bit masks
        return 0
    version, bitrate, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    rates, bitrates = _LAYER_III_HZ.get(version, ()), _LAYER_III_KBPS.get(version, ())
    if rate >= len(rates) or not 0 < bitrate <= len(bitrates):
        return 0
    samples_by_8000 = 144_000 if version == _MPEG_1 else 72_000
    return samples_by_8000 * bitrates[bitrate - 1] // rates[rate] + (header[2] >> 1 & 1)


def _adts_length(header: bytes) -> int:
    """Bytes of an ADTS frame, 0 when this is none (ISO 13818-7, 6.2)."""
    if len(header) < _HEADER_BYTES or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:  # noqa: PLR2004 - bit masks
        return 0
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return length if length >= _HEADER_BYTES and header[2] >> 2 & 15 < _ADTS_RATES else 0
