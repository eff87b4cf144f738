"""Bring any picture that Pillow decodes to 8-bit RGB or RGBA in sRGB, with the colours that its maker saw."""

import math
from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Final

from PIL import Image, ImageCms

MAX_PROFILE_BYTES: Final = 4_000_000
"""Those of printing conditions take 0.5 to 3 MB; a larger one is ignored like a broken one."""

_SRGB: Final = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_PROFILE_SPACES: Final = {"L": "GRAY", "LA": "GRAY", "RGB": "RGB", "RGBA": "RGB", "CMYK": "CMYK"}
_WHITES: Final = (1, 255, 65535)
_SIXTEEN_BITS: Final = range(65536)
_TIFF_PHOTOMETRIC: Final = 262
_WHITE_IS_ZERO: Final = 0


def to_eight_bits(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """Look at a loaded picture once, and give what brings any part of it to L, LA, RGB, RGBA or CMYK.

    Resampling and colour management know these.
    """
    if image.mode.startswith("I") or image.mode == "F":
        scale, offset = _levels(image)
        return partial(_levelled, scale=scale, offset=offset)
    match image.mode:
        case "1" | "L" | "LA" | "La":
            mode = "LA" if image.has_transparency_data else "L"
        case "CMYK":
            mode = "CMYK"
        case _:
            mode = "RGBA" if image.has_transparency_data and not _forgot_alpha(image) else "RGB"
    return lambda part: part if part.mode == mode else part.convert(mode)


def to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, bool]:
    """Apply the picture's ICC profile where it fits the mode; returns RGB or RGBA, and whether it was applied.

    A profile that is broken, too large or of another colour space is ignored, as viewers do.
    """
    plain = "RGBA" if image.mode in {"LA", "RGBA"} else "RGB"
    if profile and len(profile) <= MAX_PROFILE_BYTES and (managed := _apply(image, profile)):
        return managed, True
    return (image if image.mode == plain else image.convert(plain)), False


def has_transparency(image: Image.Image) -> bool:
    """Say whether any pixel of an RGB or RGBA picture lets the ground show through."""
    return image.mode == "RGBA" and image.getchannel("A").getextrema() != (255, 255)


def on_white(image: Image.Image) -> Image.Image:
    ground = Image.new("RGB", image.size, "white")
    ground.paste(image, mask=image.getchannel("A"))
    return ground


def _levels(image: Image.Image) -> tuple[float, float]:
    """Find scale and offset to 8 bits.

    White is 1, 255 or 65535, the first that no pixel is brighter than (floats of 0 to 1 are the usual ones), or else
    the brightest pixel. TIFF's white-is-zero is Pillow's to turn, which it does for 8 bits only (OPEN_INFO).
    """
    white = 65535.0
    if not image.mode.startswith("I;16"):
        brightest: float = image.getextrema()[1]  # type: ignore[assignment]  # of one channel it is a number
        if not math.isfinite(brightest):
            brightest = 1
        usual = _WHITES if image.mode == "F" else _WHITES[1:]
        white = next((one for one in usual if brightest <= one), brightest)
    scale = 255 / white
    tags = getattr(image, "tag_v2", {})
    if tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO:
        return -scale, 255.5
    return scale, 0.5


def _levelled(part: Image.Image, *, scale: float, offset: float) -> Image.Image:
    grey = part.point(lambda value: value * scale + offset).convert("L")
    see_through = part.info.get("transparency")
    if see_through in _SIXTEEN_BITS:  # Pillow would compare it with what is left after cutting to 8 bits
        opaque = [255 * (level != see_through) for level in _SIXTEEN_BITS]
        return Image.merge("LA", (grey, part.convert("I").point(opaque, "L")))
    return grey


def _forgot_alpha(image: Image.Image) -> bool:
    """Know a BMP whose program left the fourth byte at zero: viewers show it opaque."""
    return image.format == "BMP" and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0)


def _apply(image: Image.Image, profile: bytes) -> Image.Image | None:
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if (source.profile.profile_description or "").startswith("sRGB"):
            return None
        if source.profile.xcolor_space.strip() != _PROFILE_SPACES[image.mode]:
            return None
        opaque = image.getchannel("L") if image.mode == "LA" else image
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        managed = ImageCms.profileToProfile(opaque, source, _SRGB, outputMode=mode)
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None
    if managed is not None and image.mode == "LA":
        managed.putalpha(image.getchannel("A"))
    return managed
