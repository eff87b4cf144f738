"""Encode a picture within a byte budget: the usual quality first, then a lower one, then fewer pixels."""

import math
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from PIL import Image

from proxy.errors import TooHeavy
from proxy.media.kinds import Kind

QUALITY: Final = 82
FLOOR_QUALITY: Final = 50
"""Below it a photograph shows blocks before it shows fewer pixels."""
SHRUNK_QUALITY: Final = 62
_AIM: Final = 0.96
"""Aim a little under the budget, because the model is off by a few per cent."""
_USUAL_SLOPE: Final = 0.72
"""Bytes fall with the quantiser's scale to about this power; measured on the specimen and photographs, 0.6 to 0.85."""
_BEST_PNG_GAIN: Final = 3
"""Flat graphics are up to 2.7 times smaller at zlib's highest level than at its lowest, photographs 1.1 (measured)."""
_MAX_SHRINK: Final = 0.9
_MIN_EDGE_PX: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """`quality` is JPEG's, None for PNG."""

    body: bytes
    media_type: str
    width: int
    height: int
    quality: int | None
    encodes: int


def as_png(picture: Image.Image, budget_bytes: int) -> Encoded:
    """Encode a picture without loss; the caller looks whether it fits.

    The smallest form takes ten times as long as the quickest (4.0 s against 0.4 s for 3 megapixels of photograph), so
    it is tried only where it can be small enough.
    """
    body, encodes = _png(picture, compress_level=1), 1
    if len(body) <= budget_bytes * _BEST_PNG_GAIN:
        body, encodes = _png(picture, optimize=True), 2
    return Encoded(
        body=body,
        media_type="image/png",
        width=picture.width,
        height=picture.height,
        quality=None,
        encodes=encodes,
    )


def as_jpeg(
    picture: Image.Image, budget_bytes: int, *, enough_bytes: int | None = None, encodes_before: int = 0
) -> Encoded:
    """Encode an RGB picture within the budget.

    A first try of `enough_bytes` or more is given back as it is: its caller has something better.

    Raises:
        TooHeavy: even a thumbnail does not fit.
    """
    tried: list[tuple[int, int]] = []
    size, quality = picture.size, QUALITY
    shrunk = picture
    while True:
        body = _jpeg(shrunk, quality)
        tried.append((quality, len(body)))
        if len(body) <= budget_bytes or (len(tried) == 1 and enough_bytes is not None and len(body) >= enough_bytes):
            return Encoded(
                body=body,
                media_type="image/jpeg",
                width=size[0],
                height=size[1],
                quality=quality,
                encodes=encodes_before + len(tried),
            )
        lower = _lower_quality(tried, budget_bytes) if shrunk is picture else None
        if lower is not None:
            quality = lower
            continue
        if max(size) <= _MIN_EDGE_PX:
            raise TooHeavy(kind=Kind.IMAGE.value, size_bytes=len(body), limit_bytes=budget_bytes)
        expected = len(body) * (_scale(quality) / _scale(SHRUNK_QUALITY)) ** _USUAL_SLOPE
        factor = min(_MAX_SHRINK, math.sqrt(_AIM * budget_bytes / expected))
        size, quality = fit((size[0], size[1]), math.floor(max(size) * factor)), SHRUNK_QUALITY
        shrunk = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def fit(size: tuple[int, int], edge_px: int) -> tuple[int, int]:
    """Scale a size down so that its long side is at most `edge_px`."""
    longest = max(size)
    if longest <= edge_px:
        return size
    edge_px = max(1, edge_px)
    return max(1, round(size[0] * edge_px / longest)), max(1, round(size[1] * edge_px / longest))


def _png(picture: Image.Image, **options: int) -> bytes:
    out = BytesIO()
    picture.save(out, "PNG", **options)
    return out.getvalue()


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    out = BytesIO()
    picture.save(out, "JPEG", quality=quality, optimize=True)
    return out.getvalue()


def _lower_quality(tried: list[tuple[int, int]], budget_bytes: int) -> int | None:
    """Follow the last two tries, log of bytes over log of scale; None when that leads below the floor."""
    quality, size = tried[-1]
    slope = _USUAL_SLOPE
    if len(tried) > 1:
        before_quality, before_size = tried[-2]
        measured = math.log(before_size / size) / math.log(_scale(quality) / _scale(before_quality))
        slope = min(1.5, max(0.3, measured))
    wanted = _scale(quality) * (size / (_AIM * budget_bytes)) ** (1 / slope)
    lower = min(quality - 1, math.floor(100 - wanted / 2))
    return lower if lower >= FLOOR_QUALITY else None


def _scale(quality: int) -> int:
    """Give libjpeg's scale of the quantiser in per cent, for qualities from 50 up (jcparam.c)."""
    return 200 - 2 * quality
