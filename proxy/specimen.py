"""A photograph that nobody had to take: heavy, turned by its EXIF, and telling where it was made."""

import math
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Final

from PIL import ExifTags, Image, ImageChops, ImageDraw, ImageFilter, ImageOps

QUALITY: Final = 92
_DRAFT: Final = 2
"""The scene is painted at half the size and sharpened by full-size grain, as a lens and a sensor do."""
_FRAYED_PX: Final = 16
"""Filters and offsets leave the outermost pixels wrong: they are painted and cut off."""
_HORIZON: Final = 0.56
_TURNED_BY_CAMERA: Final = 6

Colour = tuple[int, int, int]


def make_photograph(path: Path, *, width: int = 4032, height: int = 3024, seed: int = 7) -> None:
    """Write a JPEG of an evening at a mountain lake.

    `width` and `height` are the sensor's: the camera was held upright, so EXIF turns the picture a quarter, and names
    the camera and a place. The same arguments give the same picture.
    """
    random = Random(seed)  # noqa: S311 - scenery, not secrets
    upright = (height, width)
    draft = math.ceil(height / _DRAFT), math.ceil(width / _DRAFT)
    scene = ImageOps.crop(_paint(random, (draft[0] + 2 * _FRAYED_PX, draft[1] + 2 * _FRAYED_PX)), _FRAYED_PX)
    photograph = _grain(random, scene.resize(upright, Image.Resampling.BICUBIC))
    photograph.transpose(Image.Transpose.ROTATE_90).save(path, "JPEG", quality=QUALITY, exif=_exif())


def _paint(random: Random, size: tuple[int, int]) -> Image.Image:
    width, height = size
    horizon = round(height * _HORIZON)
    land = _sky(random, (width, horizon))
    _sun(land, (round(width * 0.66), round(horizon * 0.70)))
    ridges = (
        (0.60, 0.17, ((112, 98, 134), (232, 176, 152))),
        (0.72, 0.14, ((74, 72, 106), (176, 128, 120))),
        (0.86, 0.09, ((40, 52, 66), (112, 104, 92))),
    )
    for number, (level, roughness, colours) in enumerate(ridges):
        crest = _crest(random, width, level * horizon, roughness * horizon)
        _ridge(random, land, crest, colours, 0.45 - 0.2 * number)
    _forest(random, land, _crest(random, width, 0.965 * horizon, 0.03 * horizon))
    scene = Image.new("RGB", size)
    scene.paste(land, (0, 0))
    scene.paste(_lake(random, land, (width, height - horizon)), (0, horizon))
    _shore(random, scene)
    return scene


def _noise(random: Random, size: tuple[int, int]) -> Image.Image:
    return Image.frombytes("L", size, random.randbytes(size[0] * size[1]))


def _clouded(random: Random, size: tuple[int, int], cells: tuple[int, int], octaves: int) -> Image.Image:
    """Add noise of ever finer grain, each at half the strength of the one before."""
    cloud = _noise(random, cells)
    for octave in range(1, octaves):
        finer = (min(size[0], cells[0] << octave), min(size[1], cells[1] << octave))
        share = 0.5**octave / (2 - 0.5**octave)
        cloud = Image.blend(cloud.resize(finer, Image.Resampling.BICUBIC), _noise(random, finer), share)
    return ImageOps.autocontrast(cloud.resize(size, Image.Resampling.BICUBIC), cutoff=1)


def _sky(random: Random, size: tuple[int, int]) -> Image.Image:
    fall = Image.linear_gradient("L").resize(size)
    sky = ImageOps.colorize(fall, (34, 62, 118), (255, 214, 158), (196, 158, 176), midpoint=150)
    clouds = _clouded(random, size, (3, 9), 6).point(lambda value: max(0, min(255, (value - 120) * 2.4)))
    light = ImageOps.colorize(fall, (196, 190, 214), (255, 232, 196), (250, 190, 164), midpoint=140)
    return Image.composite(light, sky, ImageChops.multiply(clouds, fall.point(lambda value: 230 - value // 2)))


def _sun(land: Image.Image, centre: tuple[int, int]) -> None:
    for radius, colour, strength in (
        (0.75, (255, 176, 96), 0.62),
        (0.2, (255, 226, 160), 0.85),
        (0.045, (255, 252, 232), 4),
    ):
        edge = round(land.width * radius) * 2
        disc = ImageOps.invert(Image.radial_gradient("L")).point(
            lambda value, strength=strength: min(255, max(0, value - 74) / 181 * 255 * strength)
        )
        at = (centre[0] - edge // 2, centre[1] - edge // 2)
        land.paste(Image.new("RGB", (edge, edge), colour), at, disc.resize((edge, edge), Image.Resampling.BICUBIC))


def _crest(random: Random, width: int, level: float, height: float) -> list[float]:
    """Split a line in the middle again and again, each time with half the scatter."""
    line = [random.uniform(-1, 1) for _ in range(4)]
    scatter = 0.6
    while len(line) < width // 3:
        middles = [(a + b) / 2 + random.uniform(-scatter, scatter) for a, b in pairwise(line)]
        line = [point for pair in zip(line, middles, strict=False) for point in pair] + [line[-1]]
        scatter *= 0.52
    return [level + height * point for point in line]


def _mask(size: tuple[int, int], crest: list[float]) -> Image.Image:
    mask = Image.new("L", size)
    step = size[0] / (len(crest) - 1)
    outline = [(index * step, y) for index, y in enumerate(crest)]
    ImageDraw.Draw(mask).polygon([(0, size[1]), *outline, (size[0], size[1])], fill=255)
    return mask


def _ridge(random: Random, land: Image.Image, crest: list[float], colours: tuple[Colour, Colour], haze: float) -> None:
    size = land.size
    rock = _clouded(random, size, (10, 6), 7).filter(ImageFilter.EMBOSS).filter(ImageFilter.GaussianBlur(1))
    slope = ImageOps.colorize(ImageOps.autocontrast(rock, cutoff=2), *colours)
    fog = Image.linear_gradient("L").resize(size).point(lambda value: value * haze)
    slope.paste(Image.new("RGB", size, (232, 196, 178)), mask=fog)
    land.paste(slope, mask=_mask(size, crest))


def _forest(random: Random, land: Image.Image, crest: list[float]) -> None:
    """Stand firs along a crest."""
    draw = ImageDraw.Draw(land)
    step = land.width / (len(crest) - 1)
    base = Image.new("RGB", land.size, (18, 30, 32))
    land.paste(base, mask=_mask(land.size, crest))
    for _ in range(land.width // 4):
        index = random.randrange(len(crest))
        tall = land.height * random.uniform(0.02, 0.055)
        _fir(random, draw, (index * step, crest[index] + tall * 0.2), tall)


def _fir(random: Random, draw: ImageDraw.ImageDraw, foot: tuple[float, float], tall: float) -> None:
    x, y = foot
    dark = random.randrange(10)
    for tier in range(6):
        top, wide = y - tall * (1 - tier * 0.13), tall * (0.07 + tier * 0.035)
        skirt = [(x, top), (x - wide, top + tall * 0.3), (x + wide, top + tall * 0.3)]
        draw.polygon(skirt, fill=(12 + dark, 24 + dark * 2, 24 + dark))


def _lake(random: Random, land: Image.Image, size: tuple[int, int]) -> Image.Image:
    mirror = ImageOps.flip(land).resize((size[0], round(land.height * 0.9))).crop((0, 0, *size))
    broken = mirror.filter(ImageFilter.GaussianBlur(2))
    drift = max(2, size[0] // 160)
    ripples = _clouded(random, size, (7, 110), 4)
    broken = Image.composite(ImageChops.offset(broken, drift, drift * 2), broken, ripples)
    depth = Image.linear_gradient("L").resize(size)
    water = ImageChops.multiply(broken, ImageOps.colorize(depth, (236, 226, 224), (128, 134, 152)))
    glints = ripples.point(lambda value: max(0, value - 176) * 2)
    return Image.composite(
        Image.new("RGB", size, (255, 222, 184)), water, ImageChops.multiply(glints, ImageOps.invert(depth))
    )


def _shore(random: Random, scene: Image.Image) -> None:
    size = scene.size
    crest = _crest(random, size[0], 0.93 * size[1], 0.035 * size[1])
    stones = _clouded(random, size, (40, 50), 5).filter(ImageFilter.EMBOSS)
    ground = ImageOps.colorize(ImageOps.autocontrast(stones, cutoff=1), (16, 20, 18), (128, 112, 84))
    scene.paste(ground, mask=_mask(size, crest))
    draw = ImageDraw.Draw(scene)
    step = size[0] / (len(crest) - 1)
    for _ in range(size[0]):
        index = random.randrange(len(crest))
        x, y = index * step, crest[index] + random.uniform(0, 0.09) * size[1]
        tall, bend = random.uniform(0.006, 0.03) * size[1], random.uniform(-0.01, 0.01) * size[1]
        tone = random.randrange(60)
        draw.line(
            [(x, y), (x + bend * 0.3, y - tall * 0.6), (x + bend, y - tall)], fill=(50 + tone, 60 + tone, 30), width=2
        )


def _grain(random: Random, picture: Image.Image) -> Image.Image:
    noise = _noise(random, picture.size).point(lambda value: 128 + (value - 128) // 5)
    return ImageChops.overlay(picture, Image.merge("RGB", (noise, noise, noise)))


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "medialink"
    exif[ExifTags.Base.Model] = "Specimen"
    exif[ExifTags.Base.Orientation] = _TURNED_BY_CAMERA
    exif[ExifTags.Base.DateTime] = "2026:09:12 19:04:00"
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps[ExifTags.GPS.GPSLatitudeRef] = "N"
    gps[ExifTags.GPS.GPSLatitude] = (46.0, 32.0, 12.0)
    gps[ExifTags.GPS.GPSLongitudeRef] = "E"
    gps[ExifTags.GPS.GPSLongitude] = (8.0, 7.0, 48.0)
    return exif
