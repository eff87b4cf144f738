"""The size of a picture and the way up, with as little memory as can be."""

import math
from collections.abc import Callable
from typing import Final

from PIL import ExifTags, Image

_STRIP_PIXELS: Final = 1_000_000
"""What is worked on at once: 4 MB, beside the source and the result."""
_GAP: Final = 2
"""Averaging whole pixels first, down to twice the size, is several times faster and looks the same (Pillow's
documentation of `reducing_gap`)."""
_REACH: Final = 2
"""Of the bicubic filter. Lanczos is 0.3 points of SSIMULACRA2 better, for an eighth more time and 6 per cent more
bytes (12 megapixels to 5)."""
_PREMULTIPLIED: Final = {"LA": "La", "RGBA": "RGBa"}
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Convert = Callable[[Image.Image], Image.Image]


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """Read the EXIF orientation of a loaded picture; a broken EXIF is no reason to refuse it."""
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - Pillow's EXIF and TIFF parsers raise whatever the bytes lead them to
        return None


def shrink(image: Image.Image, size: tuple[int, int], convert: Convert) -> Image.Image:
    """Scale a loaded picture down, converting and resampling strip by strip.

    Gives what converting and then resampling the whole would, rows first; averages leave a level or two between them.
    """
    factor = max(1, min(image.width // (_GAP * size[0]), image.height // (_GAP * size[1])))
    covered = (image.width / factor, image.height / factor)
    if factor > 1:
        image, convert = _averaged(image, factor, convert), _unchanged
    mode = convert(image.crop((0, 0, 1, 1))).mode
    out = Image.new(mode, size)
    scale = covered[1] / size[1]
    margin = math.ceil(_REACH * scale) + 1
    rows = max(1, math.ceil(_STRIP_PIXELS / image.width / scale))
    for top in range(0, size[1], rows):
        bottom = min(size[1], top + rows)
        first = max(0, math.floor(top * scale) - margin)
        last = min(image.height, math.ceil(bottom * scale) + margin)
        strip = convert(image.crop((0, first, image.width, last)))
        if mode in _PREMULTIPLIED:
            strip = strip.convert(_PREMULTIPLIED[mode])
        box = (0, top * scale - first, image.width, min(last - first, bottom * scale - first))
        strip = strip.resize((image.width, bottom - top), Image.Resampling.BICUBIC, box)
        strip = strip.resize((size[0], bottom - top), Image.Resampling.BICUBIC, (0, 0, covered[0], bottom - top))
        out.paste(strip if strip.mode == mode else strip.convert(mode), (0, top))
    return out


def _averaged(image: Image.Image, factor: int, convert: Convert) -> Image.Image:
    mode = convert(image.crop((0, 0, 1, 1))).mode
    out = Image.new(mode, (math.ceil(image.width / factor), math.ceil(image.height / factor)))
    rows = factor * max(1, _STRIP_PIXELS // image.width // factor)
    for top in range(0, image.height, rows):
        strip = convert(image.crop((0, top, image.width, min(image.height, top + rows)))).reduce(factor)
        out.paste(strip, (0, top // factor))
    return out


def _unchanged(image: Image.Image) -> Image.Image:
    return image
