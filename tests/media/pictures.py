"""Pictures for the tests, drawn or written byte by byte."""

import struct
import zlib
from io import BytesIO
from pathlib import Path
from random import Random

import pillow_heif
from PIL import Image, ImageChops, ImageDraw, ImageFile

pillow_heif.register_heif_opener()

ORIENTATION = 274


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    out = BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def scene(mode: str = "RGB", size: tuple[int, int] = (96, 72)) -> Image.Image:
    """Draw four quarters of different colours, so that turns and colours show."""
    image = Image.new("RGB", size, (200, 40, 40))
    draw = ImageDraw.Draw(image)
    draw.rectangle((size[0] // 2, 0, size[0], size[1] // 2), fill=(40, 160, 60))
    draw.rectangle((0, size[1] // 2, size[0] // 2, size[1]), fill=(50, 60, 180))
    draw.rectangle((size[0] // 2, size[1] // 2, size[0], size[1]), fill=(230, 220, 200))
    return image if mode == "RGB" else image.convert(mode, palette=Image.Palette.ADAPTIVE)


def noise(size: tuple[int, int], mode: str = "RGB", seed: int = 1) -> Image.Image:
    bands = len(Image.new(mode, (1, 1)).getbands())
    return Image.frombytes(mode, size, Random(seed).randbytes(size[0] * size[1] * bands))  # noqa: S311 - pixels


def half_transparent(mode: str) -> Image.Image:
    image = scene("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image.convert(mode)


def distance(one: Image.Image, other: Image.Image) -> float:
    """Measure the mean difference per channel, 0 to 255."""
    assert one.size == other.size
    counts = ImageChops.difference(one.convert("RGB"), other.convert("RGB")).convert("L").histogram()
    return sum(value * count for value, count in enumerate(counts)) / sum(counts)


def delivered(path: Path) -> ImageFile.ImageFile:
    with Image.open(path) as image:
        image.load()
        return image


def middle(path: Path) -> tuple[int, ...]:
    image = delivered(path)
    pixel = image.getpixel((image.width // 2, image.height // 2))
    assert isinstance(pixel, tuple)
    return pixel


def close(one: tuple[int, ...], other: tuple[int, ...], *, by: int = 3) -> bool:
    return len(one) == len(other) and all(abs(a - b) <= by for a, b in zip(one, other, strict=True))


def png(size: tuple[int, int], depth: int, colour_type: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """Write a PNG of a depth and colour type that Pillow would not write."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", *size, depth, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + b"".join(chunk(*one) for one in chunks)
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(entries: dict[int, tuple[int, int, bytes]], *blocks: tuple[int, bytes]) -> bytes:
    """Write a little-endian TIFF: entries are tag -> (type, count, four bytes), blocks lie where they are told to."""
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHL", tag, kind, count) + inline.ljust(4, b"\0")
        for tag, (kind, count, inline) in sorted(entries.items())
    )
    data = bytearray(b"II*\0" + struct.pack("<L", 8) + directory + bytes(4))
    for at, block in blocks:
        data.extend(bytes(max(0, at + len(block) - len(data))))
        data[at : at + len(block)] = block
    return bytes(data)


def short(value: int) -> tuple[int, int, bytes]:
    return 3, 1, struct.pack("<H", value)


def long(value: int, count: int = 1) -> tuple[int, int, bytes]:
    return 4, count, struct.pack("<L", value)


def bmp(size: tuple[int, int], bits: int, body: bytes, *, compression: int = 0, masks: bytes = b"") -> bytes:
    header = struct.pack("<LllHHLLllLL", 40 if not masks else 108, *size, 1, bits, compression, 0, 0, 0, 0, 0)
    if masks:
        header += masks.ljust(68, b"\0")
    palette = bytes(range(256)) * 4 if bits == 8 else b""
    at = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<LHHL", at + len(body), 0, 0, at) + header + palette + body


def with_code_points(data: bytes, primaries: int, transfer: int) -> bytes:
    """Rename the colours of a HEIC or AVIF; the pixels stay."""
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]
