"""Files that cost much more than they weigh, each small and made in a moment."""

import re
import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from tests.media.pictures import bmp, long, png, saved, scene, short, tiff

HEIF = saved(scene(size=(320, 240)), "HEIF", quality=50)
AVIF = saved(scene(size=(320, 240)), "AVIF", quality=50)


def scans(count: int, size: tuple[int, int] = (4000, 3000), between: bytes = b"") -> bytes:
    """Repeat the last scan of a progressive JPEG until there are so many."""
    data = saved(Image.new("RGB", size, (90, 120, 200)), "JPEG", progressive=True)
    starts = [found.start() for found in re.finditer(rb"\xff\xda", data)]
    last = data[starts[-1] : -2]
    return data[:-2] + (between + last) * (count - len(starts)) + data[-2:]


def frames_of_gif(count: int) -> bytes:
    first = saved(Image.new("P", (64, 64)), "GIF")
    at = first.index(b",\0\0\0\0")
    return first[:-1] + first[at:-1] * (count - 1) + b";"


def frames_of_webp(count: int) -> bytes:
    data = saved(Image.new("RGB", (64, 64)), "WEBP", save_all=True, append_images=[Image.new("RGB", (64, 64), "red")])
    at = data.index(b"ANMF")
    length = 8 + int.from_bytes(data[at + 4 : at + 8], "little")
    body = data[8:at] + data[at : at + length] * count
    return b"RIFF" + struct.pack("<I", len(body)) + body


def frames_of_png(count: int) -> bytes:
    row = b"\0" + bytes(64 * 3)

    def control(number: int) -> tuple[bytes, bytes]:
        return b"fcTL", struct.pack(">IIIIIHHBB", number, 64, 64, 0, 0, 1, 30, 0, 0)

    def more() -> Iterator[tuple[bytes, bytes]]:
        for number in range(1, 2 * count - 1, 2):
            yield control(number)
            yield b"fdAT", struct.pack(">I", number + 1) + zlib.compress(row * 64)

    start = png((64, 64), 8, 2, row * 64, (b"acTL", struct.pack(">II", count, 0)), control(0))
    chunks = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in more()
    )
    return start[:-12] + chunks + start[-12:]


def tagged(tag: int, entry: tuple[int, int, bytes], length: int = 0, **more: tuple[int, int, bytes]) -> bytes:
    """Write a TIFF of 8x8 pixels with one tag more, whose values lie at 1000."""
    entries = {256: short(8), 257: short(8), 258: short(8), 262: short(1), 273: long(900), 279: long(64), tag: entry}
    entries |= {int(name[1:]): value for name, value in more.items()}
    return tiff(entries, (1000, bytes(length)))


def profiled_jpeg(length: int) -> bytes:
    """Spread a profile of that many bytes over segments, of which there can be 255."""
    header = struct.pack(">L", length) + bytes(8) + b"mntrRGB XYZ " + bytes(12) + b"acsp"
    return saved(Image.new("RGB", (3000, 100)), "JPEG", icc_profile=header.ljust(length, b"\x01"))


def tile_bomb() -> bytes:
    """Say that a HEIC is a grid, and that one of its tiles is used for all 60,000 places."""
    data = saved(scene(size=(256, 128)), "HEIF", tile_size=128, quality=50)
    at = data.index(b"dimg") - 4
    item = data[at + 8 : at + 10]
    tile = data[at + 12 : at + 14]
    references = b"dimg" + item + struct.pack(">H", 60_000) + tile * 60_000
    box = struct.pack(">L", 4 + len(references)) + references
    old = int.from_bytes(data[at : at + 4], "big")
    grown = len(box) - old
    out = bytearray(data[:at] + box + data[at + old :])
    for name in (b"meta", b"iref"):
        place = data.index(name) - 4
        out[place : place + 4] = (int.from_bytes(out[place : place + 4], "big") + grown).to_bytes(4, "big")
    return bytes(out)


def resized(data: bytes, width: int, height: int) -> bytes:
    """Lie about the size in every ispe."""
    return re.sub(rb"(ispe....).{8}", lambda found: found[1] + struct.pack(">LL", width, height), data, flags=re.DOTALL)


def sequence(width: int = 64, height: int = 48, count: int = 3) -> bytes:
    """Write an AVIF sequence, and say in its track header that it is this large."""
    pictures = [Image.new("RGB", (64, 48), (shade % 256, 0, 0)) for shade in range(200, 200 + count)]
    data = saved(pictures[0], "AVIF", save_all=True, append_images=pictures[1:], speed=10)
    at = data.index(b"tkhd") - 4
    end = at + int.from_bytes(data[at : at + 4], "big")
    return data[: end - 8] + struct.pack(">LL", width << 16, height << 16) + data[end:]


def run_lengths(width: int, height: int) -> bytes:
    return bmp((width, height), 8, b"\x01\x01\0\0" * height + b"\0\1", compression=1)


def text_chunk(name: bytes, length: int) -> tuple[bytes, bytes]:
    return name, b"name\0\0" + zlib.compress(bytes(length), 9)


def coded_larger_than_said() -> bytes:
    return resized(saved(Image.new("RGB", (2000, 2000)), "HEIF", quality=1), 8, 8)
