"""Broken media: a small seed of every format that is opened, and mutations that know how each is put together."""

import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from functools import cache
from io import BytesIO
from random import Random

from PIL import Image, ImageCms

from tests.media.pictures import half_transparent, noise, saved, scene

MAX_STEPS = 4
_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_PIECE_BYTES = 24


@cache
def seeds() -> Mapping[str, bytes]:
    """Draw one of each; all are whole."""
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    film = [noise((40, 30), seed=seed) for seed in range(4)]
    more = {"save_all": True, "append_images": film[1:], "duration": 50}
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as document:
        for name in ("[Content_Types].xml", "word/document.xml", "docProps/app.xml"):
            document.writestr(name, "<x/>" * 20)
    return {
        "jpeg": saved(scene(), "JPEG", exif=exif, icc_profile=profile),
        "jpeg progressive": saved(noise((64, 48)), "JPEG", progressive=True, quality=40),
        "jpeg cmyk": saved(scene("CMYK"), "JPEG"),
        "jpeg with previews": saved(scene(), "MPO", save_all=True, append_images=[scene()]),
        "png": saved(half_transparent("RGBA"), "PNG", icc_profile=profile),
        "png palette": saved(scene("P"), "PNG", transparency=0),
        "png deep": saved(Image.new("I;16", (40, 30), 40_000), "PNG"),
        "png film": saved(film[0], "PNG", **more),
        "gif film": saved(film[0], "GIF", **more),
        "webp": saved(half_transparent("RGBA"), "WEBP", exif=exif),
        "webp lossless": saved(scene(), "WEBP", lossless=True),
        "webp film": saved(film[0], "WEBP", **more),
        "tiff": saved(scene(), "TIFF", compression="tiff_lzw"),
        "tiff tiled deep": saved(Image.new("I;16", (40, 30), 9), "TIFF"),
        "tiff jpeg": saved(scene(), "TIFF", compression="jpeg"),
        "bmp": saved(scene("P"), "BMP"),
        "heic": saved(scene(), "HEIF", exif=exif),
        "avif": saved(half_transparent("RGBA"), "AVIF"),
        "avif film": saved(film[0], "AVIF", **more),
        "docx": archive.getvalue(),
        "ole": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
        + bytes(16)
        + b">\0\3\0\xfe\xff\x09\0"
        + bytes(36)
        + b"\1\0\0\0" * 300,
        "opus": b"OggS\0\2" + bytes(20) + b"\1\x13OpusHead\1\1" + bytes(60),
        "mp4": b"\0\0\0\x18ftypisom\0\0\0\0isommp42\0\0\0\x20moov\0\0\0\x18hdlr" + bytes(8) + b"soun" + bytes(4),
        "pdf": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF",
        "text": "Grüße;日本\r\n".encode() * 9,
        "page": b"<?xml version='1.0'?><!-- x --><!DOCTYPE html><html><p>",
    }


def mutate(data: bytes, other: bytes, random: Random) -> bytes:
    """Break a medium in one to four places, and mend its checksums half of the time."""
    for _ in range(random.randint(1, MAX_STEPS)):
        data = random.choice(_STEPS)(data, other, random)
    return _mended(data) if random.getrandbits(1) else data


def _flip(data: bytes, _other: bytes, random: Random) -> bytes:
    broken = bytearray(data)
    for _ in range(random.randint(1, 8) if broken else 0):
        broken[random.randrange(len(broken))] ^= 1 << random.randrange(8)
    return bytes(broken)


def _renumber(data: bytes, _other: bytes, random: Random) -> bytes:
    """Write a number that lies on some border over two or four bytes, near the beginning of a part."""
    part = random.choice(_parts(data) or [(0, len(data))])
    at = min(max(0, len(data) - 1), part[0] + random.randrange(_PIECE_BYTES))
    form = random.choice((">H", "<H", ">L", "<L"))
    size = struct.calcsize(form)
    number = struct.pack(form, random.choice(_NUMBERS) & (1 << 8 * size) - 1)
    return data[:at] + number + data[at + size :]


def _cut(data: bytes, _other: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _drop(data: bytes, _other: bytes, random: Random) -> bytes:
    if not (parts := _parts(data)):
        return data
    begin, end = random.choice(parts)
    return data[:begin] + data[end:]


def _repeat(data: bytes, _other: bytes, random: Random) -> bytes:
    if not (parts := _parts(data)):
        return data
    begin, end = random.choice(parts)
    return data[:end] + data[begin:end] * random.choice((1, 2, 50)) + data[end:]


def _swap(data: bytes, _other: bytes, random: Random) -> bytes:
    parts = _parts(data)
    if len(parts) < 2:
        return data
    (a, b), (c, d) = sorted(random.sample(parts, 2))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _graft(data: bytes, other: bytes, random: Random) -> bytes:
    """Put a part of another medium in."""
    theirs, ours = _parts(other), _parts(data)
    if not theirs or not ours:
        return data
    begin, end = random.choice(theirs)
    _, at = random.choice(ours)
    return data[:at] + other[begin:end] + data[at:]


_STEPS = (_flip, _flip, _renumber, _renumber, _renumber, _cut, _drop, _repeat, _swap, _graft)


def _parts(data: bytes) -> list[tuple[int, int]]:
    """Find where segments, chunks or boxes begin and end; of what has none, pieces of a fixed size."""
    if data.startswith(b"\xff\xd8"):
        found = list(_walk(data, 2, 2, ">H", 2))
    elif data.startswith(b"\x89PNG"):
        found = list(_walk(data, 8, 0, ">L", 12))
    elif data.startswith(b"RIFF"):
        found = list(_walk(data, 12, 4, "<L", 8))
    elif data[4:8] == b"ftyp":
        found = list(_walk(data, 0, 0, ">L", 0))
    else:
        found = [(at, min(len(data), at + _PIECE_BYTES)) for at in range(0, len(data), _PIECE_BYTES)]
    return found


def _walk(data: bytes, at: int, length_at: int, form: str, beside: int) -> Iterator[tuple[int, int]]:
    size = struct.calcsize(form)
    while at + length_at + size <= len(data):
        (length,) = struct.unpack_from(form, data, at + length_at)
        end = min(len(data), at + max(size + length_at, length + beside))
        yield at, end
        at = end


def _mended(data: bytes) -> bytes:
    """Let a decoder come further than to the first checksum or length."""
    if data.startswith(b"\x89PNG"):
        chunks = (data[begin:end] for begin, end in _walk(data, 8, 0, ">L", 12))
        return data[:8] + b"".join(one[:-4] + struct.pack(">L", zlib.crc32(one[4:-4])) for one in chunks)
    if data.startswith(b"RIFF"):
        return data[:4] + struct.pack("<L", max(0, len(data) - 8)) + data[8:]
    return data
