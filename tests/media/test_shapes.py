"""Scaling in strips is scaling the whole."""

import pytest
from PIL import Image, ImageChops

from proxy.media import shapes
from proxy.media.colours import to_eight_bits
from proxy.media.shapes import shrink
from tests.media.pictures import distance, noise

PREMULTIPLIED = {"RGBA": "RGBa", "LA": "La"}


def whole(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Scale rows first, then columns, of the whole picture at once."""
    tall = image.convert(PREMULTIPLIED.get(image.mode, image.mode)).resize(
        (image.width, size[1]), Image.Resampling.BICUBIC
    )
    return tall.resize(size, Image.Resampling.BICUBIC).convert(image.mode)


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "CMYK"])
@pytest.mark.parametrize(
    ("full", "size"), [((300, 217), (160, 116)), ((301, 199), (300, 198)), ((40, 900), (22, 495)), ((7, 3), (5, 2))]
)
def test_strips_leave_no_seam(
    monkeypatch: pytest.MonkeyPatch, mode: str, full: tuple[int, int], size: tuple[int, int]
) -> None:
    image = noise(full, mode)
    for strip_pixels in (1, 5000, 1_000_000):
        monkeypatch.setattr(shapes, "_STRIP_PIXELS", strip_pixels)
        made = shrink(image, size, lambda part: part)
        assert made.mode == mode
        assert made.size == size
        assert furthest(made, whole(image, size)) <= 2


def furthest(one: Image.Image, other: Image.Image) -> int:
    """Find the largest difference, as it shows on black."""
    one, other = (image.convert(PREMULTIPLIED.get(image.mode, image.mode)) for image in (one, other))
    bands = zip(one.split(), other.split(), strict=True)
    return max(int(ImageChops.difference(*pair).getextrema()[1]) for pair in bands)  # type: ignore[arg-type]


@pytest.mark.parametrize("full", [(1000, 700), (1003, 701), (5000, 60)])
def test_averaging_first_looks_the_same(monkeypatch: pytest.MonkeyPatch, full: tuple[int, int]) -> None:
    monkeypatch.setattr(shapes, "_STRIP_PIXELS", 20_000)
    image = noise((20, 14)).resize(full, Image.Resampling.BICUBIC)
    size = (full[0] // 10, full[1] // 10)
    assert distance(shrink(image, size, lambda part: part), whole(image, size)) < 2


def test_what_is_converted_strip_by_strip_is_what_would_be_converted_whole() -> None:
    image = noise((200, 150)).quantize(16)
    image.info["transparency"] = 3
    made = shrink(image, (80, 60), to_eight_bits(image))
    assert made.mode == "RGBA"
    wanted = whole(image.convert("RGBA"), (80, 60))
    assert furthest(made, wanted) <= 1
