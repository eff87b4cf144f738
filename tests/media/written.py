"""Documents, sounds and films for the tests, written byte by byte."""

import struct
import zipfile
from io import BytesIO

FREE, END = 0xFFFFFFFF, 0xFFFFFFFE


def zipped(*names: str, mimetype: str | None = None) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        if mimetype:
            archive.writestr("mimetype", mimetype)
        for name in names:
            archive.writestr(name, "x")
    return out.getvalue()


def ole(*streams: str, inside: str | None = None, clsid: bytes = bytes(16), version: int = 3) -> bytes:
    """Build a compound file of a FAT and a directory, with `inside` as a stream of an embedded object."""
    sector = 4096 if version == 4 else 512

    def entry(name: str, kind: int, right: int, child: int) -> bytes:
        raw = name.encode("utf-16-le") + b"\0\0"
        head = raw.ljust(64, b"\0") + struct.pack("<HBBIII", len(raw), kind, 1, FREE, right, child)
        return (head + (clsid if kind == 5 else bytes(16))).ljust(128, b"\0")

    last = len(streams)
    entries = [entry("Root Entry", 5, FREE, 1 if streams or inside else FREE)]
    for number, name in enumerate(streams, 1):
        entries.append(entry(name, 2, number + 1 if number < last or inside else FREE, FREE))
    if inside:
        entries += [entry("ObjectPool", 1, FREE, last + 2), entry(inside, 2, FREE, FREE)]
    directory = b"".join(entries)
    directory += bytes(-len(directory) % sector)
    count = len(directory) // sector
    fat = [0xFFFFFFFD, *range(2, count + 1), END]
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    header += struct.pack("<HHHHH", 0x3E, version, 0xFFFE, 12 if version == 4 else 9, 6).ljust(16, b"\0")
    header += struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, END, 0, END, 0)[:36]
    header += struct.pack("<109I", 0, *[FREE] * 108)
    return header.ljust(sector, b"\0") + struct.pack(f"<{len(fat)}I", *fat).ljust(sector, b"\xff") + directory


def box(name: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", 8 + len(body)) + name + body


def iso(brand: bytes, *handlers: bytes, compatible: bytes = b"", moov_last: bool = False) -> bytes:
    tracks = b"".join(box(b"hdlr", bytes(8) + handler + bytes(13)) for handler in handlers)
    boxes = [box(b"moov", box(b"mvhd", bytes(100)) + tracks), box(b"mdat", bytes(5000))]
    return box(b"ftyp", brand + bytes(4) + compatible) + b"".join(boxes[::-1] if moov_last else boxes)


def ogg(packet: bytes) -> bytes:
    return b"OggS\0\2" + bytes(20) + b"\1" + bytes([len(packet)]) + packet


def opus(channels: int) -> bytes:
    return ogg(b"OpusHead\1" + bytes([channels]) + bytes(9))


def mp3(frames: int = 4) -> bytes:
    return (b"\xff\xfb\x90\x00" + bytes(413)) * frames  # MPEG-1 Layer III, 128 kbit/s, 44.1 kHz: 417 bytes


def adts(frames: int = 4) -> bytes:
    return (b"\xff\xf1\x50\x80\x06\x5f\xfc" + bytes(43)) * frames  # 50 bytes a frame


def id3(body: bytes, padding: int = 300) -> bytes:
    return b"ID3\4\0\0" + bytes([0, 0, padding >> 7, padding & 127]) + bytes(padding) + body
