"""The door to Pillow and its plug-ins: one named format is opened, within limits, and their exceptions stop here."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final

import PIL
import pillow_heif
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
    features,
)

from proxy.errors import DecodeLimit, TooComplex, TooManyPixels, Undecodable
from proxy.media import jpegs
from proxy.media.colours import to_eight_bits
from proxy.media.encoding import fit
from proxy.media.headers import Pixels, read_pixels
from proxy.media.kinds import ImageRules
from proxy.media.profiles import profile_of
from proxy.media.shapes import shrink, turn_of

FORMATS: Final = {
    "image/jpeg": JpegImagePlugin.JpegImageFile.format,
    "image/png": PngImagePlugin.PngImageFile.format,
    "image/webp": WebPImagePlugin.WebPImageFile.format,
    "image/gif": GifImagePlugin.GifImageFile.format,
    "image/tiff": TiffImagePlugin.TiffImageFile.format,
    "image/bmp": BmpImagePlugin.BmpImageFile.format,
    "image/heic": pillow_heif.HeifImageFile.format,
    "image/avif": AvifImagePlugin.AvifImageFile.format,
}
MAX_RUN_LENGTH_PIXELS: Final = 10_000_000
"""Pillow decodes run-length BMP in Python: 3 million pixels a second at worst, from a file of 9 KB (measured)."""
MAX_PNG_CHUNK_BYTES: Final = 8 * 1024 * 1024
"""Of a PNG's profile, or of one of its texts, unpacked. Pillow's own limit of 1 MB refuses printers' profiles."""

_CODECS: Final = ("libjpeg_turbo", "jpg", "zlib", "zlib_ng", "webp", "littlecms2", "libtiff", "avif")
_METADATA: Final = frozenset({"comment", "exif", "icc_profile", "photoshop", "xmp", "XML:com.adobe.xmp"})
_SPENT: Final = ("out of memory", "memory allocation", "security limit", "too much memory")

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
"""What Pillow's plug-ins and pillow-heif raise over broken bytes."""

# A worker is one of as many as there are cores, and each thread would reserve a heap of 64 MB in it (glibc).
pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
PngImagePlugin.MAX_TEXT_CHUNK = MAX_PNG_CHUNK_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The first frame, small enough, in L, LA, RGB, RGBA or CMYK; what is still to be done with it, and what was."""

    image: Image.Image
    profile: bytes | None
    turn: Image.Transpose | None
    turned: bool
    animated: bool
    converted: bool
    described: bool
    scaled: bool


def codec_versions() -> dict[str, str | None]:
    """Name every library that decides the pixels."""
    heif = {"pillow_heif": pillow_heif.__version__, "libheif": pillow_heif.libheif_version()}
    decoders = {
        "dav1d": AvifImagePlugin.get_codec_version("dav1d"),
        "hevc": str(pillow_heif.libheif_info()["decoders"]),
    }
    return {"pillow": PIL.__version__} | {codec: features.version(codec) for codec in _CODECS} | heif | decoders


def read_header(file: BinaryIO, media_type: str, rules: ImageRules) -> Pixels:
    """Hold the limits before a decoder sees the file: some take the canvas's memory on opening.

    Raises:
        Undecodable: the header is broken, or is that of a preview.
        TooManyPixels: it names more than `rules.max_pixels`.
        TooComplex: it would take more work than any picture should.
    """
    pixels = read_pixels(file, media_type)
    if pixels is None:
        raise Undecodable(media_type=media_type, reason="its header is broken")
    if pixels.preview:
        raise Undecodable(media_type=media_type, reason="its first picture is a preview, as in a camera's raw file")
    if pixels.width * pixels.height > rules.max_pixels:
        raise TooManyPixels(width=pixels.width, height=pixels.height, limit_pixels=rules.max_pixels)
    if pixels.decoded > rules.max_pixels:
        raise TooComplex(limit=f"{rules.max_pixels} pixels")
    if pixels.run_length and pixels.width * pixels.height > MAX_RUN_LENGTH_PIXELS:
        raise TooComplex(limit=f"{MAX_RUN_LENGTH_PIXELS} run-length pixels")
    if media_type == "image/jpeg" and jpegs.has_too_many_scans(file):
        raise TooComplex(limit=f"{jpegs.MAX_SCANS} scans")
    file.seek(0)
    return pixels


def open_picture(file: BinaryIO, media_type: str) -> ImageFile.ImageFile:
    return Image.open(file, formats=[FORMATS[media_type]])


def is_described(image: Image.Image) -> bool:
    """Say whether anything but pixels is told: who, where, with what."""
    return bool(_METADATA & image.info.keys() or getattr(image, "text", None))


def read_picture(file: BinaryIO, media_type: str, pixels: Pixels, edge_px: int) -> Picture:
    """Decode and scale down, in the order that takes the least memory; the decoded whole is let go here."""
    image = open_picture(file, media_type)
    described = is_described(image)
    for name in ("xmp", "XML:com.adobe.xmp"):
        image.info.pop(name, None)  # Pillow would turn by it; viewers go by EXIF, or by HEIF's own properties
    turned = isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(ExifTags.Base.Orientation, 1) != 1
    size = fit(image.size, edge_px)
    mode, full_size = image.mode, image.size
    image.draft(None, size)  # the box instead of the size would decode up to four times the pixels (measured)
    image.load()
    turn = turn_of(image)
    convert = to_eight_bits(image)
    return Picture(
        image=convert(image) if image.size == size else shrink(image, size, convert),
        profile=image.info.get("icc_profile") or profile_of(pixels.primaries, pixels.transfer),
        turn=turn,
        turned=turned or turn is not None,
        animated=_is_animated(image),
        converted=mode not in {"RGB", "RGBA"} or pixels.deep,
        described=described,
        scaled=full_size != size,
    )


@contextmanager
def decoding(media_type: str, rules: ImageRules) -> Iterator[None]:
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


def _is_animated(image: ImageFile.ImageFile) -> bool:
    """Ask once the first frame is taken, because Pillow looks at the second; a JPEG's others are previews."""
    try:
        return bool(getattr(image, "is_animated", False)) and image.format != "MPO"
    except FOREIGN:
        return True


def _translate(error: BaseException, media_type: str, rules: ImageRules) -> DecodeLimit | TooComplex | Undecodable:
    """Say it without Pillow's own words, which may hold a path."""
    words = str(error).lower()
    if isinstance(error, MemoryError) or any(spent in words for spent in _SPENT):
        return DecodeLimit(limit="memory")
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return TooComplex(limit=f"{rules.max_pixels} pixels")
    if "decompressed data too large" in words:
        return TooComplex(limit=f"{MAX_PNG_CHUNK_BYTES} bytes in a chunk")
    if isinstance(error, UnidentifiedImageError):
        return Undecodable(media_type=media_type, reason="its header is broken, or of a form that is not opened")
    if "truncated" in words or isinstance(error, EOFError):
        return Undecodable(media_type=media_type, reason="it is cut short")
    return Undecodable(media_type=media_type, reason="its data is broken")
