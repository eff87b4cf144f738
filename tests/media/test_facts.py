"""The table of Meta's "Media" page of 2025-12-02, row by row: a file that WhatsApp takes, and one that it would refuse.

What lies in `real` was written by ffmpeg 7.1 (`-f lavfi -i sine` and `testsrc`, 0.02 to 0.3 s, `-fflags +bitexact`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from proxy.errors import TooHeavy, TypeRefused, Undecodable
from proxy.media.checker import check
from proxy.media.kinds import LIMITS, MADE, AsIs, Kind, Made, Rules, extension_of
from proxy.media.sniff import WINDOW_BYTES
from tests.media.pictures import delivered, noise, png, saved, scene
from tests.media.written import ole, zipped

OOXML = "application/vnd.openxmlformats-officedocument."
AMR = b"#!AMR\n" + (b"\x3c" + bytes(31)) * 10  # frames of 12.2 kbit/s (RFC 4867, section 5.3)
AMR_WB = b"#!AMR-WB\n" + (b"\x44" + bytes(60)) * 10
PDF = b"%PDF-1.4\n1 0 obj\n<</Type/Catalog>>\nendobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
Judge = Callable[..., AsIs | Made]


def real(name: str) -> bytes:
    return Path(__file__).with_name("real").joinpath(name).read_bytes()


def office(folder: str, part: str, *more: str) -> bytes:
    return zipped("[Content_Types].xml", "_rels/.rels", "docProps/app.xml", f"{folder}/{part}", *more)


def film(size: tuple[int, int] = (512, 512)) -> list[Image.Image]:
    return [scene("RGBA", size), scene("RGBA", size).transpose(Image.Transpose.ROTATE_180)]


def sticker(*, animated: bool) -> bytes:
    first, *others = film()
    return saved(first, "WEBP", save_all=animated, append_images=others if animated else [])


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the table, a file of its type, and a near relation that is refused and what that is told to be."""

    kind: Kind
    extension: str
    media_type: str
    limit_bytes: int
    good: bytes
    bad: bytes
    told: str


ROWS = [
    Row(
        kind=Kind.AUDIO,
        extension="aac",
        media_type="audio/aac",
        limit_bytes=16 << 20,
        good=real("tone.aac"),
        bad=real("tone.flac"),
        told="audio/flac",
    ),
    Row(
        kind=Kind.AUDIO,
        extension="amr",
        media_type="audio/amr",
        limit_bytes=16 << 20,
        good=AMR,
        bad=AMR_WB,
        told="audio/amr-wb",
    ),
    Row(
        kind=Kind.AUDIO,
        extension="mp3",
        media_type="audio/mpeg",
        limit_bytes=16 << 20,
        good=real("tone.mp3"),
        bad=b"ID3\4\0\0\0\0\0\0" + bytes(2000),
        told="application/octet-stream",
    ),
    Row(
        kind=Kind.AUDIO,
        extension="m4a",
        media_type="audio/mp4",
        limit_bytes=16 << 20,
        good=real("tone.m4a"),
        bad=real("film.mp4"),
        told="video/mp4",
    ),
    Row(
        kind=Kind.AUDIO,
        extension="ogg",
        media_type="audio/ogg; codecs=opus",
        limit_bytes=16 << 20,
        good=real("tone.ogg"),
        bad=real("stereo.ogg"),
        told="2-channel audio/ogg; codecs=opus",
    ),
    Row(
        kind=Kind.DOCUMENT,
        extension="txt",
        media_type="text/plain",
        limit_bytes=100 << 20,
        good="Rechnung Nr. 7\r\nGrüße\r\n".encode(),
        bad=b"<html><script>alert(1)</script>",
        told="text/html",
    ),
    Row(
        kind=Kind.DOCUMENT,
        extension="xls",
        media_type="application/vnd.ms-excel",
        limit_bytes=100 << 20,
        good=ole("Workbook", "\5SummaryInformation"),
        bad=ole("x", clsid=bytes.fromhex("84100c0000000000c000000000000046")),
        told="application/x-msi",
    ),
    Row(
        kind=Kind.DOCUMENT,
        extension="xlsx",
        media_type=OOXML + "spreadsheetml.sheet",
        limit_bytes=100 << 20,
        good=office("xl", "workbook.xml"),
        bad=office("xl", "workbook.xml", "AndroidManifest.xml"),
        told="application/vnd.android.package-archive",
    ),
    Row(
        kind=Kind.DOCUMENT,
        extension="doc",
        media_type="application/msword",
        limit_bytes=100 << 20,
        good=ole("1Table", "WordDocument"),
        bad=b"MZ\x90\0" + bytes(60) + b"PE\0\0",
        told="application/vnd.microsoft.portable-executable",
    ),
    Row(
        kind=Kind.DOCUMENT,
        extension="docx",
        media_type=OOXML + "wordprocessingml.document",
        limit_bytes=100 << 20,
        good=office("word", "document.xml"),
        bad=zipped("META-INF/MANIFEST.MF", "word/Document.class"),
        told="application/java-archive",
    ),
    Row(
        kind=Kind.DOCUMENT,
        extension="ppt",
        media_type="application/vnd.ms-powerpoint",
        limit_bytes=100 << 20,
        good=ole("Current User", "PowerPoint Document"),
        bad=b"L\0\0\0\x01\x14\x02\0" + bytes(68),
        told="application/x-ms-shortcut",
    ),
    Row(
        kind=Kind.DOCUMENT,
        extension="pptx",
        media_type=OOXML + "presentationml.presentation",
        limit_bytes=100 << 20,
        good=office("ppt", "presentation.xml"),
        bad=b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        told="image/svg+xml",
    ),
    Row(
        kind=Kind.DOCUMENT,
        extension="pdf",
        media_type="application/pdf",
        limit_bytes=100 << 20,
        good=PDF,
        bad=b"#!/bin/sh\n" + PDF,
        told="text/x-script",
    ),
    Row(
        kind=Kind.IMAGE,
        extension="jpg",
        media_type="image/jpeg",
        limit_bytes=5 << 20,
        good=saved(scene(), "JPEG"),
        bad=PDF,
        told="application/pdf",
    ),
    Row(
        kind=Kind.IMAGE,
        extension="png",
        media_type="image/png",
        limit_bytes=5 << 20,
        good=saved(scene("RGBA"), "PNG"),
        bad=b"<svg/>",
        told="image/svg+xml",
    ),
    Row(
        kind=Kind.STICKER,
        extension="webp",
        media_type="image/webp",
        limit_bytes=100 << 10,
        good=sticker(animated=False),
        bad=real("tone.ogg"),
        told="audio/ogg; codecs=opus",
    ),
    Row(
        kind=Kind.STICKER,
        extension="webp",
        media_type="image/webp",
        limit_bytes=500 << 10,
        good=sticker(animated=True),
        bad=real("film.webm"),
        told="video/webm",
    ),
    Row(
        kind=Kind.VIDEO,
        extension="3gp",
        media_type="video/3gpp",
        limit_bytes=16 << 20,
        good=real("film.3gp"),
        bad=real("film.mov"),
        told="video/quicktime",
    ),
    Row(
        kind=Kind.VIDEO,
        extension="mp4",
        media_type="video/mp4",
        limit_bytes=16 << 20,
        good=real("film.mp4"),
        bad=real("film.mkv"),
        told="video/x-matroska",
    ),
]
every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.kind} {row.extension} {row.limit_bytes}")
every_picture = pytest.mark.parametrize(
    "row", [row for row in ROWS if row.kind in MADE], ids=lambda row: f"{row.extension} {row.limit_bytes}"
)


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    def run(kind: Kind, data: bytes, *, size_bytes: int = 0, strict: bool = False) -> AsIs | Made:
        source = tmp_path / "source"
        with source.open("wb") as file:
            if size_bytes and data.startswith(b"PK"):  # a zip is read from its end
                file.write(data[:4])
                file.seek(size_bytes - len(data))
            file.write(data)
            file.truncate(max(len(data), size_bytes))
        return check(kind, source, tmp_path / "target", Rules(strict=strict))

    return run


def test_every_type_that_we_accept_has_its_row() -> None:
    assert {(kind, media_type) for kind in Kind for media_type in LIMITS[kind].media_types} == {
        (row.kind, row.media_type) for row in ROWS
    }


@every_row
def test_a_good_file_goes_as_it_is_under_its_exact_type(judge: Judge, row: Row) -> None:
    verdict = judge(row.kind, row.good, strict=True)
    assert isinstance(verdict, AsIs)
    assert (verdict.media_type, verdict.size_bytes, verdict.warnings) == (row.media_type, len(row.good), ())
    assert extension_of(verdict.media_type) == row.extension


@every_row
def test_a_bad_file_is_refused_with_what_it_is_and_what_would_do(judge: Judge, row: Row) -> None:
    with pytest.raises(TypeRefused) as refused:
        judge(row.kind, row.bad)
    assert (refused.value.code, refused.value.media_type) == ("type_refused", row.told)
    assert f"which WhatsApp does not take as {row.kind}" in refused.value.message
    accepted = refused.value.accepted.split(", ")
    assert any(one.removeprefix("mono ") == row.media_type for one in accepted)


@pytest.mark.parametrize("row", [row for row in ROWS if row.kind not in MADE], ids=lambda row: row.extension)
def test_a_file_over_the_limit_is_refused_with_the_limit(judge: Judge, row: Row) -> None:
    data = row.good if row.extension != "txt" else row.good * WINDOW_BYTES
    with pytest.raises(TooHeavy) as refused:
        judge(row.kind, data, size_bytes=row.limit_bytes + 1)
    assert (refused.value.code, refused.value.limit_bytes) == ("too_heavy", row.limit_bytes)
    assert f"at most {row.limit_bytes} as {row.kind}" in refused.value.message


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (office("word", "document.xml", "word/vbaProject.bin"), "application/vnd.ms-word.document.macroEnabled.12"),
        (office("xl", "workbook.bin"), "application/vnd.ms-excel.sheet.binary.macroEnabled.12"),
        (office("ppt", "x.xml", "ppt/vbaProject.bin"), "application/vnd.ms-powerpoint.presentation.macroEnabled.12"),
        (ole("Other"), "application/x-ole-storage"),
        (b"{\\rtf1}", "application/rtf"),
        (b"\0\1\2", "application/octet-stream"),
    ],
    ids=["docm", "xlsb", "pptm", "ole", "rtf", "unknown"],
)
def test_a_document_outside_the_table_is_refused_by_who_is_strict(judge: Judge, data: bytes, told: str) -> None:
    assert [warning.value for warning in judge(Kind.DOCUMENT, data).warnings] == ["type_unconfirmed"]
    with pytest.raises(TypeRefused, match=f"The bytes are {told},"):
        judge(Kind.DOCUMENT, data, strict=True)


@pytest.mark.parametrize("name", ["vorbis.ogg", "tone.flac", "film.webm"])
def test_other_real_sounds_and_films_are_no_audio(judge: Judge, name: str) -> None:
    with pytest.raises(TypeRefused, match="Use one of: audio/aac, audio/amr, audio/mpeg, audio/mp4, "):
        judge(Kind.AUDIO, real(name))


@every_picture
def test_a_picture_that_is_cut_short_is_refused(judge: Judge, row: Row) -> None:
    with pytest.raises(Undecodable, match="Export it again") as refused:
        judge(row.kind, row.good[: len(row.good) * 3 // 5])
    assert (refused.value.code, refused.value.media_type) == ("undecodable", row.media_type)


@pytest.mark.parametrize(
    "data",
    [
        saved(scene("CMYK"), "JPEG"),
        png((8, 8), 16, 2, (b"\0" + bytes(48)) * 8),
        saved(scene("P"), "PNG"),
        saved(scene("L"), "JPEG"),
    ],
    ids=["CMYK", "16 bits", "palette", "grey"],
)
def test_an_image_that_is_not_8_bit_rgb_is_made_so(judge: Judge, tmp_path: Path, data: bytes) -> None:
    assert isinstance(judge(Kind.IMAGE, data), Made)
    assert delivered(tmp_path / "target").mode in {"RGB", "RGBA"}


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_an_image_over_the_limit_is_made_to_fit(judge: Judge, form: str) -> None:
    data = saved(noise((2000, 1500)), form, **({"quality": 100} if form == "JPEG" else {}))
    assert len(data) > LIMITS[Kind.IMAGE].max_bytes
    verdict = judge(Kind.IMAGE, data)
    assert isinstance(verdict, Made)
    assert verdict.size_bytes <= LIMITS[Kind.IMAGE].aim_bytes


@pytest.mark.parametrize("animated", [False, True])
def test_a_sticker_over_its_limit_or_of_another_size_is_made_to_fit(judge: Judge, *, animated: bool) -> None:
    heavy = [noise((512, 512), seed=seed) for seed in range(2 if animated else 1)]
    small = film((96, 72))[: len(heavy)]
    for frames in (heavy, small):
        data = saved(frames[0], "WEBP", lossless=True, save_all=animated, append_images=frames[1:])
        verdict = judge(Kind.STICKER, data)
        assert isinstance(verdict, Made)
        assert (verdict.width, verdict.height) == (512, 512)
        assert verdict.size_bytes <= (500_000 if animated else 100_000)
