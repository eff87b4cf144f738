"""Pictures: what goes as it is, and what is made to fit."""

import hashlib
import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import BinaryIO, Final

from PIL import Image, ImageFile

from proxy.errors import TypeRefused
from proxy.media import encoding, targets
from proxy.media.colours import has_transparency, to_srgb
from proxy.media.headers import Pixels
from proxy.media.kinds import IMAGE_SOURCES, LIMITS, AsIs, ImageRules, Kind, Made, MediaWarning
from proxy.media.opening import FORMATS, codec_versions, decoding, open_picture, read_header, read_picture

RECIPE_NUMBER: Final = 2
"""Raise it when the same source and rules would give other bytes than before, or another refusal."""


def fit_image(source: Path, target: Path, media_type: str, rules: ImageRules) -> AsIs | Made:
    """Deliver a picture as it is where it is plain, light and whole; otherwise make it so in `target`.

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
        raise TypeRefused(kind=Kind.IMAGE.value, media_type=media_type, accepted=", ".join(IMAGE_SOURCES))
    size_bytes = source.stat().st_size
    with source.open("rb") as file:
        pixels = read_header(file, media_type, rules)
        acceptable = media_type in LIMITS[Kind.IMAGE].media_types and pixels.plain and size_bytes <= rules.max_bytes
        as_is = AsIs(
            media_type=media_type,
            size_bytes=size_bytes,
            width=pixels.width,
            height=pixels.height,
            warnings=(MediaWarning.SIZE_UNCONFIRMED,) if size_bytes > rules.aim_bytes else (),
        )
        small = encoding.fit((pixels.width, pixels.height), rules.heavy_edge_px) == (pixels.width, pixels.height)
        with decoding(media_type, rules):
            if acceptable and small and size_bytes <= rules.heavy_bytes:
                _prove(open_picture(file, media_type))
                return as_is
            picture, steps = _prepare(file, media_type, rules, pixels)
            may_stay = acceptable and size_bytes <= rules.budget_bytes
            encoded = encoding.encode(picture, rules.budget_bytes, enough_bytes=size_bytes if may_stay else None)
    if may_stay and len(encoded.body) >= size_bytes:
        return as_is
    if encoded.media_type == "image/jpeg" and picture.mode == "RGBA":
        steps += ("transparency put on white",)
    if (encoded.width, encoded.height) != picture.size:
        steps += ("scaled again to fit the bytes",)
    steps += (f"saved as {FORMATS[encoded.media_type]}",)
    targets.write(target, encoded.body)
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
    parts = {"number": RECIPE_NUMBER, "rules": asdict(rules), "codecs": codec_versions()}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _prove(image: ImageFile.ImageFile) -> None:
    """Decode everything once. An eighth of a JPEG's pixels still takes all of its entropy-coded data."""
    image.draft(None, (1, 1))
    image.load()


def _prepare(file: BinaryIO, media_type: str, rules: ImageRules, pixels: Pixels) -> tuple[Image.Image, tuple[str, ...]]:
    """Decode, scale, bring to sRGB and turn upright, and say what was done."""
    steps = []
    read = read_picture(file, media_type, pixels, rules.heavy_edge_px)
    picture, managed = to_srgb(read.image, read.profile)
    if read.scaled:
        steps.append("scaled")
    if read.animated:
        steps.append("first frame taken")
    if managed:
        steps.append("colours brought to sRGB")
    if picture.mode == "RGBA" and not has_transparency(picture):
        picture = picture.convert("RGB")
    if read.converted:
        steps.append("brought to 8-bit RGB")
    if read.turn is not None:
        picture = picture.transpose(read.turn)
    if read.turned:
        steps.append("turned upright")
    if read.described:
        steps.append("metadata removed")
    picture.info.clear()  # Pillow writes comments, profiles and transparency from here unasked
    return picture, tuple(steps)
