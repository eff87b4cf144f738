"""Stickers: what goes as it is, and what is made of any picture, still or moving."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO, Final

from PIL import Image, ImageFile

from proxy.errors import TooComplex, TypeRefused
from proxy.media import targets
from proxy.media.colours import to_eight_bits, to_srgb
from proxy.media.headers import Pixels
from proxy.media.kinds import IMAGE_SOURCES, STICKER_EDGE_PX, AsIs, ImageRules, Kind, Made, sticker_limits
from proxy.media.opening import FORMATS, codec_versions, decoding, is_described, open_picture, read_header
from proxy.media.profiles import profile_of
from proxy.media.shapes import shrink, turn_of
from proxy.media.webp import EncodedFilm, Film, encode_film

RECIPE_NUMBER: Final = 1
"""Raise it when the same source and rules would give other bytes than before, or another refusal."""
MAX_FRAMES: Final = 100
"""Kept of a film, 1 MB each; of a longer one every second goes, and again."""
MAX_SOURCE_FRAMES: Final = 3000
"""Two minutes of a screen recording; a film of a few bytes a frame could go on for hours."""
_MOVING: Final = frozenset({"image/gif", "image/webp", "image/png", "image/avif"})
"""Where further frames are a film; in a TIFF they are pages, in a JPEG and a HEIC previews."""
_QUICKEST_MS: Final = 20
_USUAL_MS: Final = 100
"""What browsers show for a frame that names less than the quickest."""
_EDGE: Final = STICKER_EDGE_PX
_LANCZOS: Final = Image.Resampling.LANCZOS


@dataclass(slots=True)
class _Reel:
    """The frames of a film as they come in, every one or every so many."""

    kept: list[tuple[Image.Image, int]]
    stride: int = 1
    seen: int = 0

    def add(self, image: ImageFile.ImageFile, profile: bytes | None) -> None:
        image.load()
        shown_ms = _shown_ms(image)  # of WebP and AVIF known once it is decoded
        if self.seen % self.stride:
            frame, so_far_ms = self.kept[-1]
            self.kept[-1] = (frame, so_far_ms + shown_ms)
        else:
            self.kept.append((_on_canvas(image, profile), shown_ms))
        self.seen += 1
        if len(self.kept) > MAX_FRAMES:
            pairs = [self.kept[at : at + 2] for at in range(0, len(self.kept), 2)]
            self.kept = [(pair[0][0], sum(shown for _, shown in pair)) for pair in pairs]
            self.stride *= 2

    def film(self) -> Film:
        return Film(frames=[frame for frame, _ in self.kept], durations_ms=[shown for _, shown in self.kept])


def fit_sticker(source: Path, target: Path, media_type: str, rules: ImageRules) -> AsIs | Made:
    """Deliver a sticker as it is where it is one and whole; otherwise make one in `target`.

    Raises:
        TypeRefused: pictures of this type are not opened.
        TooManyPixels: its header names more than `rules.max_pixels`.
        Undecodable: its bytes are broken.
        TooComplex: it would take more work than any picture should.
        DecodeLimit: memory ran out.
        TooHeavy: it cannot be made to fit.
        DiskFull: there is no room for what was made.
    """
    if media_type not in FORMATS:
        raise TypeRefused(kind=Kind.STICKER.value, media_type=media_type, accepted=", ".join(IMAGE_SOURCES))
    size_bytes = source.stat().st_size
    with source.open("rb") as file:
        pixels = read_header(file, media_type, rules)
        with decoding(media_type, rules):
            if _is_sticker(media_type, pixels, size_bytes):
                for image in _frames(open_picture(file, media_type), media_type):
                    image.load()
                return AsIs(media_type=media_type, size_bytes=size_bytes, width=_EDGE, height=_EDGE)
            reel, described = _read(file, media_type, pixels)
            film = reel.film()
            encoded = encode_film(film, sticker_limits(animated=len(film.frames) > 1).aim_bytes)
    targets.write(target, encoded.body)
    return Made(
        media_type="image/webp",
        size_bytes=len(encoded.body),
        width=_EDGE,
        height=_EDGE,
        quality=encoded.quality,
        encodes=encoded.encodes,
        source_media_type=media_type,
        source_size_bytes=size_bytes,
        source_width=pixels.width,
        source_height=pixels.height,
        steps=tuple(_steps(pixels, reel.seen, encoded, described=described)),
    )


@cache
def sticker_recipe(rules: ImageRules) -> str:
    """Name everything that decides the bytes of a made sticker, and what is refused: 16 hex characters."""
    parts = {"sticker": RECIPE_NUMBER, "max_pixels": rules.max_pixels, "codecs": codec_versions()}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _is_sticker(media_type: str, pixels: Pixels, size_bytes: int) -> bool:
    """Hold a WebP to the smaller reading of KB: what lies between the two is made again rather than warned of."""
    fits = size_bytes <= sticker_limits(animated=pixels.animated).aim_bytes
    return media_type == "image/webp" and (pixels.width, pixels.height) == (_EDGE, _EDGE) and fits


def _read(file: BinaryIO, media_type: str, pixels: Pixels) -> tuple[_Reel, bool]:
    image = open_picture(file, media_type)
    described = is_described(image)
    profile = image.info.get("icc_profile") or profile_of(pixels.primaries, pixels.transfer)
    image.draft(None, _size_on_canvas(image))
    reel = _Reel([])
    for frame in _frames(image, media_type):
        reel.add(frame, profile)
    return reel, described


def _frames(image: ImageFile.ImageFile, media_type: str) -> Iterator[ImageFile.ImageFile]:
    """Give the picture once for each of its frames; it changes under who holds it."""
    number = 0
    if not getattr(image, "default_image", False):  # what an APNG shows where films are not known
        yield image
    while media_type in _MOVING:
        number += 1
        try:
            image.seek(number)
        except EOFError:
            break
        if number >= MAX_SOURCE_FRAMES:
            raise TooComplex(limit=f"{MAX_SOURCE_FRAMES} frames")
        yield image


def _shown_ms(image: Image.Image) -> int:
    named_ms = round(image.info.get("duration") or 0)
    return named_ms if named_ms >= _QUICKEST_MS else _USUAL_MS


def _size_on_canvas(image: Image.Image) -> tuple[int, int]:
    scale = _EDGE / max(image.size)
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def _on_canvas(image: ImageFile.ImageFile, profile: bytes | None) -> Image.Image:
    """Scale a decoded frame until it touches the edges, and let the rest of the square be transparent."""
    size, convert = _size_on_canvas(image), to_eight_bits(image)
    scaled = shrink(image, size, convert) if image.width > size[0] else convert(image).resize(size, _LANCZOS)
    picture, _ = to_srgb(scaled, profile)
    if (turn := turn_of(image)) is not None:
        picture = picture.transpose(turn)
    canvas = Image.new("RGBA", (_EDGE, _EDGE))
    canvas.paste(picture, ((_EDGE - picture.width) // 2, (_EDGE - picture.height) // 2))
    return canvas


def _steps(pixels: Pixels, frames: int, encoded: EncodedFilm, *, described: bool) -> Iterator[str]:
    if (pixels.width, pixels.height) != (_EDGE, _EDGE):
        yield f"scaled to {_EDGE}x{_EDGE}"
    if pixels.width != pixels.height:
        yield "margins left transparent"
    if encoded.frames != frames:
        yield f"{frames} frames thinned to {encoded.frames}"
    if described:
        yield "metadata removed"
    yield "saved as WEBP"
