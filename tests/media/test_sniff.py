"""Types are told from bytes, and no bytes can do more than be told wrongly."""

import struct
import time
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from proxy.media.headers import read_opus_channels, read_pixels
from proxy.media.kinds import EXTENSIONS, OPUS, UNKNOWN
from proxy.media.sniff import WINDOW_BYTES, sniff
from tests.media.written import END, FREE, adts, box, id3, iso, mp3, ogg, ole, opus, zipped

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"


def tell(data: bytes) -> str:
    return sniff(BytesIO(data), len(data))


def picture(form: str, mode: str = "RGB", **options: object) -> bytes:
    out = BytesIO()
    Image.new(mode, (8, 6)).save(out, form, **options)
    return out.getvalue()


TYPES: dict[str, tuple[bytes, str]] = {
    "jpeg": (picture("JPEG"), "image/jpeg"),
    "png": (picture("PNG"), "image/png"),
    "gif": (picture("GIF"), "image/gif"),
    "webp": (picture("WEBP"), "image/webp"),
    "bmp": (picture("BMP"), "image/bmp"),
    "tiff": (picture("TIFF"), "image/tiff"),
    "avif": (picture("AVIF"), "image/avif"),
    "heic": (iso(b"heic", compatible=b"mif1heic"), "image/heic"),
    "heic under mif1": (iso(b"mif1", compatible=b"mif1heic"), "image/heic"),
    "heic film": (iso(b"msf1", compatible=b"hevc"), "image/heic"),
    "heic film by its own brand": (iso(b"hevc", compatible=b"hevx"), "image/heic"),
    "avif film": (iso(b"msf1", compatible=b"avis"), "image/avif"),
    "avif under mif1": (iso(b"mif1", compatible=b"mif1avif"), "image/avif"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "application/pdf"),
    "pdf after a blank line": (b"\n %PDF-1.4\n", "application/pdf"),
    "pdf after binary junk": (b"\0\1\2 junk %PDF-1.4\n", "application/pdf"),
    "doc": (ole("1Table", "WordDocument"), "application/msword"),
    "doc with an embedded sheet": (ole("1Table", "WordDocument", inside="Workbook"), "application/msword"),
    "doc in 4096-byte sectors": (ole("WordDocument", version=4), "application/msword"),
    "doc with a long directory": (ole(*map(str, range(40)), "WordDocument"), "application/msword"),
    "xls": (ole("Workbook"), "application/vnd.ms-excel"),
    "xls of 1995": (ole("Book"), "application/vnd.ms-excel"),
    "ppt": (ole("Current User", "PowerPoint Document"), "application/vnd.ms-powerpoint"),
    "ole with only an embedded sheet": (ole("Other", inside="Workbook"), "application/x-ole-storage"),
    "msi": (ole("x", clsid=bytes.fromhex("84100c0000000000c000000000000046")), "application/x-msi"),
    "empty ole": (ole(), "application/x-ole-storage"),
    "docx": (zipped("[Content_Types].xml", "word/document.xml"), DOCX),
    "docx by SharePoint": (zipped("[Content_Types].xml", "word/document2.xml"), DOCX),
    "docx with backslashes": (zipped("[Content_Types].xml", "word\\document.xml"), DOCX),
    "docx behind a comment": (zipped("[Content_Types].xml", "word/document.xml")[:-2] + b"\4\0abcd", DOCX),
    "docm": (
        zipped("[Content_Types].xml", "word/document.xml", "word/vbaProject.bin"),
        "application/vnd.ms-word.document.macroEnabled.12",
    ),
    "xlsx": (zipped("[Content_Types].xml", "xl/workbook.xml"), XLSX),
    "xlsb": (
        zipped("[Content_Types].xml", "xl/workbook.bin"),
        "application/vnd.ms-excel.sheet.binary.macroEnabled.12",
    ),
    "pptx": (zipped("[Content_Types].xml", "ppt/presentation.xml"), PPTX),
    "odt": (
        zipped("content.xml", mimetype="application/vnd.oasis.opendocument.text"),
        "application/vnd.oasis.opendocument.text",
    ),
    "zip that names itself a page": (zipped("a", mimetype="text/html"), "application/zip"),
    "apk": (zipped("AndroidManifest.xml", "classes.dex"), "application/vnd.android.package-archive"),
    "apk dressed as docx": (
        zipped("[Content_Types].xml", "word/document.xml", "AndroidManifest.xml"),
        "application/vnd.android.package-archive",
    ),
    "jar": (zipped("META-INF/MANIFEST.MF", "a/B.class"), "application/java-archive"),
    "zip": (zipped("a.txt"), "application/zip"),
    "empty zip": (zipped(), "application/zip"),
    "zip without its end": (zipped("[Content_Types].xml", "word/document.xml")[:60], "application/zip"),
    "opus": (opus(1), OPUS),
    "vorbis": (ogg(b"\x01vorbis" + bytes(20)), "audio/ogg"),
    "theora": (ogg(b"\x80theora" + bytes(20)), "video/ogg"),
    "ogg of something": (ogg(b"whatever"), "application/ogg"),
    "ogg cut short": (b"OggS\0", "application/ogg"),
    "mp3": (mp3(), "audio/mpeg"),
    "mp3 of one frame": (mp3(1), "audio/mpeg"),
    "mp3 with id3": (id3(mp3()), "audio/mpeg"),
    "mp3 with two id3 tags": (id3(id3(mp3())), "audio/mpeg"),
    "mp3 with padding that the tag does not count": (id3(bytes(2000) + mp3()), "audio/mpeg"),
    "id3 and no audio": (id3(bytes(2000)), UNKNOWN),
    "mp3 sync in noise": (b"\xff\xfb\x90\x00" + b"\x80" * 1000, UNKNOWN),
    "aac": (adts(), "audio/aac"),
    "aac with id3": (id3(adts()), "audio/aac"),
    "amr": (b"#!AMR\n" + bytes(64), "audio/amr"),
    "amr wideband": (b"#!AMR-WB\n" + bytes(64), "audio/amr-wb"),
    "wav": (b"RIFF\x24\0\0\0WAVEfmt " + bytes(20), "audio/wav"),
    "flac": (b"fLaC" + bytes(40), "audio/flac"),
    "m4a": (iso(b"M4A ", b"soun"), "audio/mp4"),
    "m4a under a video's brand": (iso(b"isom", b"soun", compatible=b"isomiso2mp41"), "audio/mp4"),
    "m4a with moov last": (iso(b"mp42", b"soun", moov_last=True), "audio/mp4"),
    "mp4": (iso(b"isom", b"vide", b"soun", compatible=b"isomiso2avc1mp41"), "video/mp4"),
    "mp4 with moov last": (iso(b"mp42", b"vide", moov_last=True), "video/mp4"),
    "mp4 without moov": (box(b"ftyp", b"isom" + bytes(4)) + box(b"mdat", bytes(99)), "video/mp4"),
    "mp4 of an unknown brand": (iso(b"XAVC", b"vide", compatible=b"XAVCmp42iso2"), "video/mp4"),
    "3gp": (iso(b"3gp5", b"vide"), "video/3gpp"),
    "mov": (iso(b"qt  ", b"vide"), "video/quicktime"),
    "webm": (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", "video/webm"),
    "matroska": (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x88matroska", "video/x-matroska"),
    "html": (b"<!DOCTYPE html><title>x</title>", "text/html"),
    "html after blanks and comments": (b"\xef\xbb\xbf \n<!-- a --><!-- b -->\n<HTML>", "text/html"),
    "html that starts with a script": (b"<script>alert(1)</script>", "text/html"),
    "html with only an image": (b"<img src=x onerror=alert(1)>", "text/html"),
    "xhtml": (b'<?xml version="1.0"?><!DOCTYPE html PUBLIC "x"><html/>', "text/html"),
    "html in utf-16": ("\ufeff<html>".encode("utf-16-le"), "text/html"),
    "html in a comment that never ends": (b"<!-- " + b"a" * 100, "text/html"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "image/svg+xml"),
    "svg behind a prologue": (
        b'<?xml version="1.0"?>\n<!-- x -->\n<!DOCTYPE svg PUBLIC "a" "b" [<!ENTITY c "d">]>\n<svg/>',
        "image/svg+xml",
    ),
    "svg with a prefix": (b'<?xml version="1.0"?><s:svg xmlns:s="http://www.w3.org/2000/svg"/>', "image/svg+xml"),
    "xml": (b'<?xml version="1.0" encoding="UTF-8"?><nfeProc/>', "application/xml"),
    "elf": (b"\x7fELF\2\1\1" + bytes(60), "application/x-executable"),
    "pe": (b"MZ\x90\0" + bytes(60) + b"PE\0\0", "application/vnd.microsoft.portable-executable"),
    "mach-o": (b"\xcf\xfa\xed\xfe" + bytes(28), "application/x-mach-binary"),
    "universal mach-o": (b"\xca\xfe\xba\xbe\0\0\0\2", "application/x-mach-binary"),
    "shell script": (b"#!/bin/sh\nrm -rf /\n", "text/x-script"),
    "script by env": (b"#! /usr/bin/env python3\n", "text/x-script"),
    "shortcut": (b"L\0\0\0\x01\x14\x02\0" + bytes(70), "application/x-ms-shortcut"),
    "text": ("Grüße aus Zürich\r\n\tdzień dobry 日本語".encode(), "text/plain"),
    "text in utf-16": ("\ufeffこんにちは".encode("utf-16-be"), "text/plain"),
    "text that starts like a program": (b"MZ is not always a program", "text/plain"),
    "text that speaks of tags": (b"Write <html> first. %PDF- is for PDF.", "text/plain"),
    "csv": (b"name;price\nbolt;0,10\n", "text/plain"),
    "rtf": (b"{\\rtf1\\ansi hello}", "application/rtf"),
    "text in latin-1": ("Grüße".encode("latin-1"), "text/plain"),
    "text in windows-1251": ("Счёт № 7, 14 июня 2026\r\n".encode("windows-1251"), "text/plain"),
    "text in shift-jis": ("請求書 No. 7\r\n".encode("shift-jis"), "text/plain"),
    "a page in latin-1": ("<!doctype html><title>Grüße</title>".encode("latin-1"), "text/html"),
    "a drawing in latin-1": ("<svg><text>Grüße</text></svg>".encode("latin-1"), "image/svg+xml"),
    "high bytes alone": (bytes(range(0x80, 0x100)), UNKNOWN),
    "text with a control character": (b"hello\x07world", UNKNOWN),
    "text cut inside a character": ("ä".encode() * 40_000, "text/plain"),
    "gzip": (b"\x1f\x8b\x08" + bytes(20), "application/gzip"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(20), "application/x-7z-compressed"),
    "rar": (b"Rar!\x1a\x07\1\0", "application/vnd.rar"),
    "postscript": (b"%!PS-Adobe-3.0\n", "application/postscript"),
    "nothing": (b"", UNKNOWN),
    "zeros": (bytes(100), UNKNOWN),
}


@pytest.mark.parametrize(("data", "media_type"), TYPES.values(), ids=TYPES.keys())
def test_type_is_told_from_the_bytes(data: bytes, media_type: str) -> None:
    assert tell(data) == media_type
    assert media_type in EXTENSIONS


def test_text_longer_than_the_window_may_be_cut_inside_a_character() -> None:
    data = b"x" + "ä".encode() * WINDOW_BYTES
    assert tell(data) == "text/plain"
    assert tell(data[:-1]) == "text/plain", "the cut is behind the window"
    assert tell(data[: WINDOW_BYTES - 2]) == UNKNOWN, "the whole text is seen, and it ends inside a character"


def test_ole_directory_is_found_behind_a_difat_sector() -> None:
    """A file of more than 109 FAT sectors names the others in a chain of its own (MS-CFB 2.5)."""
    small = ole("WordDocument")
    directory_at, difat_at, fat_at = 109 * 128 + 5, 1, 2
    sectors: dict[int, bytes] = {
        difat_at: struct.pack("<128I", fat_at, *[FREE] * 126, END),
        fat_at: struct.pack("<128I", *[END] * 128),
        directory_at: small[1024:],
    }
    header = bytearray(small[:512])
    header[48:52] = struct.pack("<I", directory_at)
    header[68:76] = struct.pack("<II", difat_at, 1)
    data = bytes(header) + b"".join(sectors.get(number, bytes(512)) for number in range(directory_at + 1))
    assert tell(data) == "application/msword"


@pytest.mark.parametrize("at", [68, 76], ids=["difat", "fat"])
def test_ole_that_points_behind_what_a_file_system_holds_is_told(tmp_path: Path, at: int) -> None:
    """A sector of 4096 bytes by the last number there is begins at 2^44, where seeking in ext4 fails."""
    data = bytearray(ole("WordDocument", version=4))
    data[at : at + 4] = struct.pack("<I", FREE)
    path = tmp_path / "source"
    path.write_bytes(data)
    with path.open("rb") as file:
        assert sniff(file, len(data)) == "application/msword"


def test_ole_directory_that_leads_in_a_circle_ends() -> None:
    data = bytearray(ole("a", "b"))
    data[512 + 4 : 512 + 8] = struct.pack("<I", 1)
    assert tell(bytes(data)) == "application/x-ole-storage"


def test_ole_tree_that_leads_in_a_circle_ends() -> None:
    data = bytearray(ole("a", "b"))
    data[1024 + 256 + 72 : 1024 + 256 + 76] = struct.pack("<I", 1)
    assert tell(bytes(data)) == "application/x-ole-storage"


def test_zip_directory_too_large_for_a_document_is_not_read() -> None:
    out = BytesIO(zipped("[Content_Types].xml", "word/document.xml"))
    with zipfile.ZipFile(out, "a") as archive:
        for number in range(40):
            entry = zipfile.ZipInfo(str(number))
            entry.comment = bytes(60_000)
            archive.writestr(entry, "")
    assert tell(out.getvalue()) == "application/zip"


def test_iso_box_of_absurd_length_ends_the_walk() -> None:
    data = box(b"ftyp", b"isom" + bytes(4)) + b"\0\0\0\1skip" + b"\xff" * 8
    assert tell(data) == "video/mp4"


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_opus_channels_are_read(channels: int) -> None:
    assert read_opus_channels(BytesIO(opus(channels))) == channels


def test_opus_channels_of_something_else_are_none() -> None:
    assert read_opus_channels(BytesIO(mp3())) == 0
    assert read_opus_channels(BytesIO(opus(1)[:35])) == 0


@pytest.mark.parametrize(
    ("form", "mode", "options", "plain"),
    [
        ("JPEG", "RGB", {}, True),
        ("JPEG", "RGB", {"progressive": True}, True),
        ("JPEG", "RGB", {"comment": b"x" * 60_000}, True),
        ("JPEG", "L", {}, False),
        ("JPEG", "CMYK", {}, False),
        ("PNG", "RGB", {}, True),
        ("PNG", "RGBA", {}, True),
        ("PNG", "LA", {}, False),
        ("PNG", "P", {}, False),
        ("PNG", "1", {}, False),
        ("PNG", "I;16", {}, False),
        ("GIF", "P", {}, False),
        ("WEBP", "RGB", {}, False),
        ("WEBP", "RGBA", {}, False),
        ("WEBP", "RGB", {"lossless": True}, False),
    ],
)
def test_pixels_are_read_from_the_header(form: str, mode: str, options: dict[str, object], *, plain: bool) -> None:
    data = picture(form, mode, **options)
    pixels = read_pixels(BytesIO(data), tell(data))
    assert pixels is not None
    assert (pixels.width, pixels.height, pixels.plain, pixels.animated) == (8, 6, plain, False)


def test_animated_webp_is_told_from_its_header() -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    out = BytesIO()
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:])
    pixels = read_pixels(out, "image/webp")
    assert pixels is not None
    assert pixels.animated


HOSTILE: dict[str, bytes] = {
    "frame syncs": b"ID3\4\0\0\0\0\0\0" + b"\xff\xfb" * WINDOW_BYTES,
    "frames that lead nowhere": b"ID3\4\0\0\0\0\0\0" + b"\xff\xfb\x90\0" * WINDOW_BYTES,
    "comments that begin": b"<!--" * WINDOW_BYTES,
    "comments that end": b"<!---->" * WINDOW_BYTES,
    "doctype of brackets": b"<!doctype x[" + b"]" * WINDOW_BYTES,
    "doctype of brackets and blanks": b"<!doctype x[" + b"]  " * WINDOW_BYTES,
    "instructions that begin": b"<?" * WINDOW_BYTES,
    "blanks": b" " * WINDOW_BYTES,
    "ole that is all directory": ole()[:512] + struct.pack("<128I", *range(1, 129)) * 3000,
    "boxes without end": box(b"ftyp", b"isom" + bytes(4)) + box(b"free") * WINDOW_BYTES,
    "zip entries without names": (b"PK\x03\x04" + b"PK\x01\x02" + bytes(42)) * 20_000 + zipped()[:-2] + b"\0\0",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bytes_are_told_as_something_soon(data: bytes) -> None:
    _told_soon(data)


@settings(deadline=None)
@given(data=st.binary(max_size=2000))
def test_random_bytes_are_told_as_something_soon(data: bytes) -> None:
    _told_soon(data)


@settings(deadline=None)
@given(
    data=st.sampled_from([data for data, _ in TYPES.values() if data]),
    changes=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=12),
    keep=st.integers(1, 4000),
)
def test_mutated_bytes_are_told_as_something_soon(data: bytes, changes: list[tuple[int, int]], keep: int) -> None:
    mutated = bytearray(data)
    for at, value in changes:
        mutated[at % len(mutated)] = value
    _told_soon(bytes(mutated[:keep]))


def _told_soon(data: bytes) -> None:
    began = time.thread_time()
    media_type = tell(data)
    assert media_type in EXTENSIONS
    read_pixels(BytesIO(data), media_type)
    assert time.thread_time() - began < 0.5
