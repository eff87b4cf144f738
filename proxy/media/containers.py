"""Tell apart what shares a container: OLE, zip, ISO media and Ogg.

Every walk is bounded by a number of steps and of bytes, and a step that leads nowhere ends it.
"""

import re
from collections.abc import Iterator
from io import SEEK_END
from typing import BinaryIO, Final

from proxy.media.kinds import OPUS

_OOXML: Final = "application/vnd.openxmlformats-officedocument."
_OOXML_FOLDERS: Final = {
    "word": (_OOXML + "wordprocessingml.document", "application/vnd.ms-word.document.macroEnabled.12"),
    "xl": (_OOXML + "spreadsheetml.sheet", "application/vnd.ms-excel.sheet.macroEnabled.12"),
    "ppt": (_OOXML + "presentationml.presentation", "application/vnd.ms-powerpoint.presentation.macroEnabled.12"),
}
_NAMED_IN_ZIP: Final = frozenset(
    {
        "application/epub+zip",
        "application/vnd.oasis.opendocument.presentation",
        "application/vnd.oasis.opendocument.spreadsheet",
        "application/vnd.oasis.opendocument.text",
    }
)
_MAX_ZIP_DIRECTORY_BYTES: Final = 2 * 1024 * 1024
_ZIP_END_BYTES: Final = 22 + 0xFFFF  # the end record and the longest comment

_OLE_STREAMS: Final = {
    "worddocument": "application/msword",
    "workbook": "application/vnd.ms-excel",
    "book": "application/vnd.ms-excel",
    "powerpoint document": "application/vnd.ms-powerpoint",
}
_OLE_MSI: Final = bytes.fromhex("84100c0000000000c000000000000046")
_OLE_VERSION_4: Final = 4
_MAX_OLE_SECTORS: Final = 2048
_MAX_OLE_DIFAT_SECTORS: Final = 16  # enough for 100 MiB at 512-byte sectors

_OGG_HEADER_BYTES: Final = 27  # RFC 3533, section 6

_BOX_HEADER_BYTES: Final = 8
_MAX_BOXES: Final = 64
_MAX_MOOV_BYTES: Final = 1024 * 1024
_HANDLER: Final = re.compile(rb"hdlr.{8}(vide|soun)", re.DOTALL)
_BRANDS: Final = (
    ((b"M4A ", b"M4B ", b"M4P "), "audio/mp4"),
    ((b"3gp", b"3gr", b"3gs", b"3ge", b"3gg"), "video/3gpp"),
    ((b"qt  ",), "video/quicktime"),
    ((b"hei", b"hev", b"mif1", b"msf1"), "image/heic"),
    ((b"iso", b"mp41", b"mp42", b"avc1", b"dash", b"M4V", b"MSNV", b"f4v", b"mmp4"), "video/mp4"),
)


def tell(file: BinaryIO, head: bytes, size_bytes: int) -> str | None:
    """Look inside, where the head shows a container."""
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _tell_ole(file, head, size_bytes)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _tell_zip(file, head, size_bytes)
    if head[4:8] == b"ftyp":
        return _tell_iso(file, head, size_bytes)
    if head.startswith(b"OggS"):
        return _tell_ogg(head)
    return None


def _read(file: BinaryIO, offset: int, count: int) -> bytes:
    """Read what lies there: nothing behind the end, where seeking fails beyond 2^44 in ext4 (lseek(2), measured)."""
    if offset > file.seek(0, SEEK_END):
        return b""
    file.seek(offset)
    return file.read(count)


def _int(data: bytes, offset: int, count: int) -> int:
    return int.from_bytes(data[offset : offset + count], "little")


def _tell_zip(file: BinaryIO, head: bytes, size_bytes: int) -> str:
    if head[30:38] == b"mimetype":
        start = 38 + _int(head, 28, 2)
        named = head[start : start + _int(head, 18, 4)].decode("ascii", "replace")
        if named in _NAMED_IN_ZIP:
            return named
    names = frozenset(_zip_names(file, size_bytes))
    folders = {name.partition("/")[0] for name in names}
    if "AndroidManifest.xml" in names:
        return "application/vnd.android.package-archive"
    if "META-INF/MANIFEST.MF" in names and any(name.endswith(".class") for name in names):
        return "application/java-archive"
    if "[Content_Types].xml" in names:
        if "xl/workbook.bin" in names:
            return "application/vnd.ms-excel.sheet.binary.macroEnabled.12"
        macros = any(name.endswith("/vbaProject.bin") for name in names)
        for folder, media_types in _OOXML_FOLDERS.items():
            if folder in folders:
                return media_types[macros]
    return "application/zip"


def _zip_names(file: BinaryIO, size_bytes: int) -> Iterator[str]:
    """Names in the central directory (APPNOTE 4.3.12), none when it is missing or too large to be a document's."""
    tail_at = max(0, size_bytes - _ZIP_END_BYTES)
    tail = _read(file, tail_at, _ZIP_END_BYTES)
    end = tail.rfind(b"PK\x05\x06")
    length = _int(tail, end + 12, 4)
    start = tail_at + end - length
    if end < 0 or start < 0 or length > _MAX_ZIP_DIRECTORY_BYTES:
        return
    directory, at = _read(file, start, length), 0
    while directory.startswith(b"PK\x01\x02", at):
        name_end = at + 46 + _int(directory, at + 28, 2)
        yield directory[at + 46 : name_end].decode("utf-8", "replace").replace("\\", "/")
        at = name_end + _int(directory, at + 30, 2) + _int(directory, at + 32, 2)


def _tell_ole(file: BinaryIO, head: bytes, size_bytes: int) -> str:
    """Ask the streams beside the root for the program (MS-CFB 2.6); those of embedded objects lie deeper."""
    directory = b"".join(_ole_chain(file, head, size_bytes))
    entries = [directory[at : at + 128] for at in range(0, len(directory) - 127, 128)]
    if entries and entries[0][80:96] == _OLE_MSI:
        return "application/x-msi"
    waiting, seen = [_int(entries[0], 76, 4)] if entries else [], set[int]()
    while waiting:
        index = waiting.pop()
        if index >= len(entries) or index in seen:
            continue
        seen.add(index)
        entry = entries[index]
        name = entry[: max(0, min(64, _int(entry, 64, 2)) - 2)].decode("utf-16-le", "replace").lower()
        if name in _OLE_STREAMS:
            return _OLE_STREAMS[name]
        waiting += [_int(entry, 68, 4), _int(entry, 72, 4)]
    return "application/x-ole-storage"


def _ole_chain(file: BinaryIO, head: bytes, size_bytes: int) -> Iterator[bytes]:
    """Sectors of the directory, followed through the FAT."""
    sector_bytes = 4096 if _int(head, 26, 2) == _OLE_VERSION_4 else 512
    per_sector = sector_bytes // 4
    fat = [_int(head, 76 + 4 * slot, 4) for slot in range(109)]
    difat = _int(head, 68, 4)
    for _ in range(_MAX_OLE_DIFAT_SECTORS):
        data = _read(file, (difat + 1) * sector_bytes, sector_bytes)
        if len(data) < sector_bytes:
            break
        fat += [_int(data, 4 * slot, 4) for slot in range(per_sector - 1)]
        difat = _int(data, sector_bytes - 4, 4)
    sector = _int(head, 48, 4)
    for _ in range(_MAX_OLE_SECTORS):
        slot = sector // per_sector
        if (sector + 1) * sector_bytes >= size_bytes or slot >= len(fat):
            return
        yield _read(file, (sector + 1) * sector_bytes, sector_bytes)
        sector = _int(_read(file, (fat[slot] + 1) * sector_bytes + 4 * (sector % per_sector), 4), 0, 4)


def _tell_iso(file: BinaryIO, head: bytes, size_bytes: int) -> str | None:
    length = min(int.from_bytes(head[:4], "big"), 256)
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, length, 4))]
    if not {b"avif", b"avis"}.isdisjoint(brands):
        return "image/avif"
    for brand in brands:
        for prefixes, media_type in _BRANDS:
            if brand.startswith(prefixes):
                if media_type == "video/mp4" and _only_sound(file, size_bytes):
                    return "audio/mp4"
                return media_type
    return None


def _only_sound(file: BinaryIO, size_bytes: int) -> bool:
    """Look for track handlers in `moov`: many recorders write an M4A under the brand of a video."""
    at = 0
    for _ in range(_MAX_BOXES):
        header = _read(file, at, 16)
        length = int.from_bytes(header[8:16] if header[:4] == b"\0\0\0\1" else header[:4], "big")
        if header[4:8] == b"moov":
            handlers = set(_HANDLER.findall(_read(file, at, min(length, _MAX_MOOV_BYTES))))
            return handlers == {b"soun"} and length <= _MAX_MOOV_BYTES
        at += length
        if length < _BOX_HEADER_BYTES or at >= size_bytes:
            break
    return False


def _tell_ogg(head: bytes) -> str:
    packet = head[_OGG_HEADER_BYTES + _int(head, _OGG_HEADER_BYTES - 1, 1) :]
    if packet.startswith(b"OpusHead"):
        return OPUS
    if packet.startswith(b"\x80theora"):
        return "video/ogg"
    return "audio/ogg" if packet.startswith((b"\x01vorbis", b"Speex   ", b"\x7fFLAC")) else "application/ogg"
