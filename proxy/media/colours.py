"""Bring any picture that Pillow decodes to 8-bit RGB or RGBA in sRGB, with the colours that its maker saw."""

from io import BytesIO
from typing import Final

from PIL import ExifTags, Image, ImageCms

_SRGB: Final = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_PROFILE_SPACES: Final = {"L": "GRAY", "LA": "GRAY", "RGB": "RGB", "RGBA": "RGB", "CMYK": "CMYK"}
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_16_TO_8_BITS: Final = 1 / 257


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """Read the EXIF orientation of a loaded picture; a broken EXIF is no reason to refuse it."""
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - Pillow's EXIF and TIFF parsers raise whatever the bytes lead them to
        return None


def to_eight_bits(image: Image.Image) -> Image.Image:
    """Leave only L, LA, RGB, RGBA and CMYK, which resampling and colour management know."""
    if image.mode.startswith("I"):
        grey = image.convert("I").point(lambda value: value * _16_TO_8_BITS + 0.5).convert("L")
        if "transparency" in image.info:
            grey = Image.merge("LA", (grey, image.convert("LA").getchannel("A")))
        return grey
    transparent = image.has_transparency_data
    match image.mode:
        case "1" | "L" | "LA":
            mode = "LA" if transparent else "L"
        case "CMYK":
            mode = "CMYK"
        case _:
            mode = "RGBA" if transparent else "RGB"
    return image if image.mode == mode else image.convert(mode)


def to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, bool]:
    """Apply the picture's ICC profile where it fits the mode; returns RGB or RGBA, and whether it was applied.

    A profile that is broken or is of another colour space is ignored, as viewers do.
    """
    plain = "RGBA" if image.mode in {"LA", "RGBA"} else "RGB"
    if profile and (managed := _apply(image, profile)):
        return managed, True
    return (image if image.mode == plain else image.convert(plain)), False


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


def has_transparency(image: Image.Image) -> bool:
    """Say whether any pixel of an RGB or RGBA picture lets the ground show through."""
    return image.mode == "RGBA" and image.getchannel("A").getextrema() != (255, 255)


def on_white(image: Image.Image) -> Image.Image:
    ground = Image.new("RGB", image.size, "white")
    ground.paste(image, mask=image.getchannel("A"))
    return ground
