"""Pictures: what goes as it is, and what is made to fit. Pillow and its exceptions stop here."""

import errno
import hashlib
import json
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import BinaryIO, Final

import PIL
from PIL import Image, ImageFile, UnidentifiedImageError, features

from proxy.errors import DecodeLimit, DiskFull, TooManyPixels, TypeRefused, Undecodable
from proxy.media import encoding
from proxy.media.colours import has_transparency, on_white, to_eight_bits, to_srgb, turn_of
from proxy.media.encoding import Encoded
from proxy.media.headers import Pixels, read_pixels
from proxy.media.kinds import IMAGE_SOURCES, LIMITS, AsIs, ImageRules, Kind, Made, MediaWarning

RECIPE_NUMBER: Final = 1
"""Raise it when the same source and rules would give other bytes than before."""

_FORMATS: Final = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF"}
_CODECS: Final = ("libjpeg_turbo", "jpg", "zlib", "zlib_ng", "webp", "littlecms2")
_METADATA: Final = frozenset({"comment", "exif", "icc_profile", "photoshop", "xmp", "XML:com.adobe.xmp"})

FOREIGN: Final = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
"""What Pillow's plug-ins raise over broken bytes."""


def fit_image(source: Path, target: Path, media_type: str, rules: ImageRules) -> AsIs | Made:
    """Deliver a picture as it is where it is plain, light and whole; otherwise make it so in `target`.

    Raises:
        TypeRefused: pictures of this type are not opened.
        TooManyPixels: its header names more than `rules.max_pixels`.
        Undecodable: its bytes are broken.
        DecodeLimit: memory ran out.
        TooHeavy: it cannot be made to fit.
        DiskFull: there is no room for what was made.
    """
    if media_type not in _FORMATS:
        raise TypeRefused(kind=Kind.IMAGE.value, media_type=media_type, accepted=", ".join(IMAGE_SOURCES))
    size_bytes = source.stat().st_size
    with source.open("rb") as file:
        pixels = _read_header(file, media_type, rules)
        acceptable = media_type in LIMITS[Kind.IMAGE].media_types and pixels.plain and size_bytes <= rules.max_bytes
        as_is = AsIs(
            media_type=media_type,
            size_bytes=size_bytes,
            width=pixels.width,
            height=pixels.height,
            warnings=(MediaWarning.SIZE_UNCONFIRMED,) if size_bytes > rules.aim_bytes else (),
        )
        light = size_bytes <= rules.heavy_bytes and max(pixels.width, pixels.height) <= rules.heavy_edge_px
        with _decoding(media_type, rules), Image.open(file, formats=[_FORMATS[media_type]]) as image:
            if acceptable and light:
                _prove(image)
                return as_is
            picture, steps = _prepare(image, rules, pixels)
            may_stay = acceptable and size_bytes <= rules.budget_bytes
            encoded = _encode(picture, rules.budget_bytes, enough_bytes=size_bytes if may_stay else None)
    if may_stay and len(encoded.body) >= size_bytes:
        return as_is
    if encoded.media_type == "image/jpeg" and picture.mode == "RGBA":
        steps += ("transparency put on white",)
    if (encoded.width, encoded.height) != picture.size:
        steps += ("scaled again to fit the bytes",)
    steps += (f"saved as {_FORMATS[encoded.media_type]}",)
    _write(target, encoded.body)
    return Made(
        media_type=encoded.media_type,
        size_bytes=len(encoded.body),
        width=encoded.width,
        height=encoded.height,
        quality=encoded.quality,
        encodes=encoded.encodes,
        source_media_type=media_type,
        source_size_bytes=size_bytes,
        source_width=pixels.width,
        source_height=pixels.height,
        steps=steps,
    )


@cache
def image_recipe(rules: ImageRules) -> str:
    """Name everything that decides the bytes of a made picture, and what is refused: 16 hex characters."""
    versions = {codec: features.version(codec) for codec in _CODECS}
    parts = {"number": RECIPE_NUMBER, "rules": asdict(rules), "pillow": PIL.__version__, "codecs": versions}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _read_header(file: BinaryIO, media_type: str, rules: ImageRules) -> Pixels:
    """Hold the pixel limit before Pillow sees the file: its WebP decoder takes the canvas's memory on opening."""
    pixels = read_pixels(file, media_type)
    if pixels is None:
        raise Undecodable(media_type=media_type, reason="its header is broken")
    if pixels.width * pixels.height > rules.max_pixels:
        raise TooManyPixels(width=pixels.width, height=pixels.height, limit_pixels=rules.max_pixels)
    file.seek(0)
    return pixels


def _prove(image: ImageFile.ImageFile) -> None:
    """Decode everything once. An eighth of a JPEG's pixels still takes all of its entropy-coded data."""
    image.draft(None, (1, 1))
    image.load()


def _prepare(image: ImageFile.ImageFile, rules: ImageRules, pixels: Pixels) -> tuple[Image.Image, tuple[str, ...]]:
    """Decode, scale, bring to sRGB and turn upright, in the order that is cheapest, and say what was done."""
    steps = []
    size = encoding.fit(image.size, rules.heavy_edge_px)
    mode = image.mode
    image.draft(None, size)  # the box instead of the size would decode up to four times the pixels (measured)
    image.load()
    turn = turn_of(image)
    picture = to_eight_bits(image)
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
        steps.append("scaled")
    picture, managed = to_srgb(picture, image.info.get("icc_profile"))
    if _is_animated(image):
        steps.append("first frame taken")
    if managed:
        steps.append("colours brought to sRGB")
    if picture.mode == "RGBA" and not has_transparency(picture):
        picture = picture.convert("RGB")
    if mode not in {"RGB", "RGBA"} or pixels.deep:
        steps.append("brought to 8-bit RGB")
    if turn is not None:
        picture = picture.transpose(turn)
        steps.append("turned upright")
    if _METADATA & image.info.keys() or getattr(image, "text", None):
        steps.append("metadata removed")
    picture.info.clear()  # Pillow writes comments, profiles and transparency from here unasked
    return picture, tuple(steps)


def _is_animated(image: ImageFile.ImageFile) -> bool:
    """Ask once the first frame is taken, because Pillow looks at the second; a JPEG's others are previews."""
    try:
        return bool(getattr(image, "is_animated", False)) and image.format != "MPO"
    except FOREIGN:
        return True


def _encode(picture: Image.Image, budget_bytes: int, *, enough_bytes: int | None) -> Encoded:
    if picture.mode == "RGB":
        return encoding.as_jpeg(picture, budget_bytes, enough_bytes=enough_bytes)
    png = encoding.as_png(picture, budget_bytes)
    if len(png.body) <= budget_bytes:
        return png
    return encoding.as_jpeg(on_white(picture), budget_bytes, enough_bytes=enough_bytes, encodes_before=png.encodes)


def _write(target: Path, body: bytes) -> None:
    try:
        target.write_bytes(body)
    except OSError as error:
        target.unlink(missing_ok=True)
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFull from error
        raise


@contextmanager
def _decoding(media_type: str, rules: ImageRules) -> Iterator[None]:
    """Translate what Pillow raises; runs in a worker, where the limit and the filters are nobody else's."""
    usual_limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = rules.max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except FOREIGN as error:
        raise _translate(error, media_type, rules) from error
    finally:
        Image.MAX_IMAGE_PIXELS = usual_limit


def _translate(error: BaseException, media_type: str, rules: ImageRules) -> DecodeLimit | Undecodable:
    """Say it without Pillow's own words, which may hold a path."""
    if isinstance(error, MemoryError) or "out of memory" in str(error):
        return DecodeLimit(limit="memory")
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return DecodeLimit(limit=f"{rules.max_pixels} pixels")
    if isinstance(error, UnidentifiedImageError):
        return Undecodable(media_type=media_type, reason="its header is broken")
    if "truncated" in str(error) or isinstance(error, EOFError):
        return Undecodable(media_type=media_type, reason="it is cut short")
    return Undecodable(media_type=media_type, reason="its data is broken")
