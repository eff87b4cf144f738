"""Encode a picture within a byte budget: the usual quality first, then a lower one, then fewer pixels."""

import math
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import Final

from PIL import Image

from proxy.errors import TooHeavy
from proxy.media import codecs
from proxy.media.colours import on_white
from proxy.media.kinds import Kind
from proxy.media.sampling import Sample

QUALITY: Final = 82
FLOOR_QUALITY: Final = 50
"""Below it a photograph shows blocks before it shows fewer pixels."""
SHRUNK_QUALITY: Final = 62
MAX_ENCODES: Final = 4
_AIMS: Final = (0.95, 0.96, 0.9, 0.7)
"""The share of the budget that each encode aims at. The estimate is off by a few per cent; the last one must fit."""
_WORTH_A_TRY: Final = 1.2
"""The usual quality is tried first even when the estimate is so far over the budget, because it may be wrong."""
_PNG_DOUBT: Final = 3
"""The PNG of a whole picture was 0.35 to 1.1 of what its sample foretold (measured)."""
_BYTES_BY_SCALE: Final = 1.6
"""Bytes fall with this power of the scale; 2 would be the pixels alone, but finer detail is left in each of them."""
_STEPS: Final = (0.5, 0.9)
"""The least and the greatest scale of one step down; after each, a new sample tells more than a power could."""
_MIN_EDGE_PX: Final = 16
_NARROW: Final = 0.4
_LONGEST: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """`quality` is JPEG's, None for PNG."""

    body: bytes
    media_type: str
    width: int
    height: int
    quality: int | None
    encodes: int


def encode(picture: Image.Image, budget_bytes: int, *, enough_bytes: int | None = None) -> Encoded:
    """Encode an RGB or RGBA picture within the budget, as PNG where that keeps its transparency or is smaller.

    A first JPEG of `enough_bytes` or more is given back as it is: its caller has something better.

    Raises:
        TooHeavy: even a thumbnail does not fit.
    """
    sample = Sample(picture)
    transparent = picture.mode == "RGBA"
    lossless = None
    if (transparent or sample.favours_png) and sample.png_bytes <= budget_bytes * _PNG_DOUBT:
        lossless = _as_png(picture)
        if len(lossless.body) <= budget_bytes and (transparent or len(lossless.body) <= sample.jpeg_bytes(QUALITY)):
            return lossless
    encoded = _as_jpeg(
        on_white(picture) if transparent else picture,
        sample,
        budget_bytes,
        enough_bytes=enough_bytes,
        encodes=0 if lossless is None else lossless.encodes,
    )
    if lossless is not None and not transparent and len(lossless.body) <= min(len(encoded.body), budget_bytes):
        return replace(lossless, encodes=encoded.encodes)
    return encoded


def fit(size: tuple[int, int], edge_px: int) -> tuple[int, int]:
    """Scale a size down so that its long side is at most `edge_px`, or more where it is more than 2.5 of the short.

    A conversation in one screenshot would be unreadable: 1170x18000 would become 166x2560. Of such a picture the short
    side is kept at 0.4 of the edge while the long one is at most 4 edges and there are no more pixels than in a square
    of the edge, which bounds bytes and memory as before. WhatsApp documents no limit of pixels.
    """
    longest, shortest = max(size), min(size)
    usual = edge_px / longest
    readable = min(_NARROW * edge_px / shortest, edge_px / math.sqrt(longest * shortest), _LONGEST * edge_px / longest)
    return scaled(size, max(usual, readable))


def scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    if scale >= 1:
        return size
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _as_png(picture: Image.Image) -> Encoded:
    body = codecs.png(picture)
    return Encoded(
        body=body, media_type="image/png", width=picture.width, height=picture.height, quality=None, encodes=1
    )


def _as_jpeg(
    picture: Image.Image, sample: Sample, budget_bytes: int, *, enough_bytes: int | None, encodes: int
) -> Encoded:
    shrunk, off_by = picture, 1.0
    hoped_bytes = budget_bytes if sample.exact else _WORTH_A_TRY * budget_bytes
    usual = enough_bytes is not None or sample.jpeg_bytes(QUALITY) <= hoped_bytes
    quality = QUALITY if usual else _best_quality(sample, budget_bytes, _AIMS[encodes])
    while True:
        while quality is None:
            shrunk = _shrink(picture, shrunk.size, sample.jpeg_bytes(SHRUNK_QUALITY) * off_by, budget_bytes)
            sample = Sample(shrunk)
            quality = _best_quality(sample, budget_bytes, _AIMS[encodes] / off_by)
        body = codecs.jpeg(shrunk, quality, sample.chroma)
        encodes += 1
        if len(body) <= budget_bytes or (enough_bytes is not None and len(body) >= enough_bytes):
            return Encoded(
                body=body,
                media_type="image/jpeg",
                width=shrunk.width,
                height=shrunk.height,
                quality=quality,
                encodes=encodes,
            )
        if encodes == MAX_ENCODES:
            raise _too_heavy(len(body), budget_bytes)
        off_by = len(body) / sample.jpeg_bytes(quality)
        quality = _best_quality(sample, budget_bytes, _AIMS[encodes] / off_by)


def _best_quality(sample: Sample, budget_bytes: int, aim: float) -> int | None:
    """Find the best quality that the sample lets hope for; None when that is below the floor."""
    aim_bytes = budget_bytes if sample.exact else aim * budget_bytes
    fitting = bisect_right(range(FLOOR_QUALITY, QUALITY + 1), aim_bytes, key=sample.jpeg_bytes)
    return FLOOR_QUALITY + fitting - 1 if fitting else None


def _shrink(picture: Image.Image, size: tuple[int, int], expected_bytes: float, budget_bytes: int) -> Image.Image:
    if max(size) <= _MIN_EDGE_PX:
        raise _too_heavy(math.ceil(expected_bytes), budget_bytes)
    least, greatest = _STEPS
    scale = min(greatest, max(least, (budget_bytes / expected_bytes) ** (1 / _BYTES_BY_SCALE)))
    return picture.resize(scaled(size, scale), Image.Resampling.LANCZOS, reducing_gap=2.0)


def _too_heavy(size_bytes: int, limit_bytes: int) -> TooHeavy:
    return TooHeavy(kind=Kind.IMAGE.value, size_bytes=size_bytes, limit_bytes=limit_bytes)
