"""A small sample of a picture tells what it shows, and what it will weigh."""

from functools import cache, cached_property
from typing import Final

from PIL import Image, ImageChops

from proxy.media import codecs
from proxy.media.colours import on_white

_TILE_PX: Final = 16
"""One unit of a JPEG with halved chroma (ITU-T T.81, A.2), so that the seams fall between its blocks."""
_TILES: Final = 24
"""Across and down. Many small tiles foresee bytes better than few large ones."""
_HEAD_BYTES: Final = 330
"""What a JPEG holds besides its data."""
_FLAT: Final = 0.6
"""The share of equal neighbours from which PNG is thought of: photographs have 0.01 to 0.6, and more only where they
were cut out; screenshots, charts and drawings 0.7 to 1 (measured)."""
_PNG_AT_MOST: Final = 1.6
"""PNG over JPEG in bytes of the sample, whose seams PNG pays for: 1.3 and less where the whole PNG was the smaller,
1.7 and more where it was not, 3 to 10 for photographs (measured)."""
_COMPARED_QUALITY: Final = 82
_SEEN_STEP: Final = 24
_FINE_CHROMA: Final = 0.0025
"""The share of pixels whose chroma changes by a step that is seen when it is halved: coloured text 0.005 to 0.03,
photographs 0 to 0.0023. A screenshot of 307 KB scored 66 of 100 in SSIMULACRA2 with full chroma, 25 with halved."""


class Sample:
    """Tiles from all over an RGB or RGBA picture, or the whole of a small one: then the estimates are exact."""

    def __init__(self, picture: Image.Image) -> None:
        pixels = picture.width * picture.height
        self.exact = pixels <= (_TILES * _TILE_PX) ** 2
        self._tiles = picture if self.exact else _tiles(picture)
        self._opaque = on_white(self._tiles) if picture.mode == "RGBA" else self._tiles
        self._ratio = pixels / (self._tiles.width * self._tiles.height)
        self._jpeg_bytes = cache(self._measure_jpeg)

    @cached_property
    def favours_png(self) -> bool:
        """Say whether PNG is likely to be smaller than JPEG: flat graphics with few colours."""
        if _equal_neighbours(self._opaque) <= _FLAT:
            return False
        return self._png_bytes <= _PNG_AT_MOST * len(codecs.jpeg(self._opaque, _COMPARED_QUALITY, codecs.FULL_CHROMA))

    @cached_property
    def chroma(self) -> str:
        """Choose full chroma for coloured text and lines, halved for what photographs hold."""
        return codecs.FULL_CHROMA if _lost_with_chroma(self._opaque) > _FINE_CHROMA else codecs.HALVED_CHROMA

    @property
    def png_bytes(self) -> float:
        return self._png_bytes * self._ratio

    def jpeg_bytes(self, quality: int) -> float:
        return self._jpeg_bytes(quality)

    @cached_property
    def _png_bytes(self) -> int:
        return len(codecs.png(self._tiles))

    def _measure_jpeg(self, quality: int) -> float:
        return (len(codecs.jpeg(self._opaque, quality, self.chroma)) - _HEAD_BYTES) * self._ratio + _HEAD_BYTES


def _tiles(picture: Image.Image) -> Image.Image:
    """Put tiles on an even grid side by side: rows of them first, then columns, which is 12 times fewer calls."""
    height, tops = _grid(picture.height)
    rows = Image.new(picture.mode, (picture.width, height * len(tops)))
    for number, top in enumerate(tops):
        rows.paste(picture.crop((0, top, picture.width, top + height)), (0, number * height))
    width, lefts = _grid(picture.width)
    tiles = Image.new(picture.mode, (width * len(lefts), rows.height))
    for number, left in enumerate(lefts):
        tiles.paste(rows.crop((left, 0, left + width, rows.height)), (number * width, 0))
    return tiles


def _grid(side: int) -> tuple[int, list[int]]:
    """Give the length of a tile along a side of the picture, and where each begins."""
    length = min(_TILE_PX, side)
    count = min(_TILES, side // length)
    return length, [(side - length) * (2 * number + 1) // (2 * count) for number in range(count)]


def _equal_neighbours(picture: Image.Image) -> float:
    """Give the share of pixels that equal the one to the left, or above in a picture of one column."""
    width, height = picture.size
    step = (1, 0) if width > 1 else (0, 1)
    here = picture.crop((*step, width, height))
    before = picture.crop((0, 0, width - step[0], height - step[1]))
    if not here.width * here.height:
        return 1.0
    red, green, blue = ImageChops.difference(here, before).split()
    return _share(ImageChops.lighter(ImageChops.lighter(red, green), blue), 0, 1)


def _lost_with_chroma(picture: Image.Image) -> float:
    _, *chroma = picture.convert("YCbCr").split()
    return max(
        _share(ImageChops.difference(one, one.reduce(2).resize(one.size, Image.Resampling.BILINEAR)), _SEEN_STEP, 256)
        for one in chroma
    )


def _share(levels: Image.Image, first: int, end: int) -> float:
    return sum(levels.histogram()[first:end]) / (levels.width * levels.height)
