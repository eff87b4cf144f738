"""The size-checker over every kind: types, sizes, and what only a header tells."""

import json
import pickle
import struct
from collections.abc import Callable
from dataclasses import asdict
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from pydantic import TypeAdapter

from proxy.errors import TooHeavy, TypeRefused, Undecodable
from proxy.media.checker import check, recipe
from proxy.media.kinds import AsIs, ImageRules, Kind, Made, MediaWarning, Rules

RULES = Rules()
PDF = b"%PDF-1.7\n"
MP3 = (b"\xff\xfb\x90\x00" + bytes(413)) * 4
MP4 = b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + b"\0\0\0\x08free"
Check = Callable[[Kind, bytes], AsIs | Made]


@pytest.fixture
def judge(tmp_path: Path) -> Check:
    def run(kind: Kind, data: bytes) -> AsIs | Made:
        source = tmp_path / "source"
        source.write_bytes(data)
        return check(kind, source, tmp_path / "target", RULES)

    return run


def sized(start: bytes, size_bytes: int) -> bytes:
    return start + bytes(size_bytes - len(start))


def opus(channels: int) -> bytes:
    return b"OggS\0\2" + bytes(20) + b"\1\x13OpusHead\1" + bytes([channels]) + bytes(100)


def sticker(size: tuple[int, int] = (512, 512), *, animated: bool = False) -> bytes:
    out = BytesIO()
    frames = [Image.new("RGBA", size, colour) for colour in ("red", "blue")]
    frames[0].save(out, "WEBP", save_all=animated, append_images=frames[1:] if animated else [])
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "data", "media_type"),
    [
        (Kind.AUDIO, MP3, "audio/mpeg"),
        (Kind.AUDIO, opus(1), "audio/ogg; codecs=opus"),
        (Kind.VIDEO, MP4, "video/mp4"),
        (Kind.DOCUMENT, PDF, "application/pdf"),
        (Kind.DOCUMENT, "Grüße".encode(), "text/plain"),
    ],
)
def test_an_accepted_medium_goes_as_it_is(
    judge: Check, tmp_path: Path, kind: Kind, data: bytes, media_type: str
) -> None:
    assert judge(kind, data) == AsIs(media_type=media_type, size_bytes=len(data))
    assert not (tmp_path / "target").exists()


def test_another_document_goes_with_a_warning(judge: Check) -> None:
    assert judge(Kind.DOCUMENT, b"PK\5\6" + bytes(18)).warnings == (MediaWarning.TYPE_UNCONFIRMED,)


@pytest.mark.parametrize(
    ("kind", "data", "named"),
    [
        (Kind.DOCUMENT, b"<!doctype html><p>", "text/html"),
        (Kind.DOCUMENT, b"<svg/>", "image/svg+xml"),
        (Kind.DOCUMENT, b"\x7fELF" + bytes(60), "application/x-executable"),
        (Kind.DOCUMENT, b"#!/bin/sh\n", "text/x-script"),
        (Kind.VIDEO, PDF, "application/pdf"),
        (Kind.AUDIO, MP4, "video/mp4"),
        (Kind.AUDIO, opus(2), "2-channel audio/ogg; codecs=opus"),
        (Kind.AUDIO, opus(0), "0-channel audio/ogg; codecs=opus"),
        (Kind.IMAGE, PDF, "application/pdf"),
        (Kind.STICKER, PDF, "application/pdf"),
    ],
)
def test_a_type_that_the_kind_does_not_take_is_refused(judge: Check, kind: Kind, data: bytes, named: str) -> None:
    with pytest.raises(TypeRefused) as refused:
        judge(kind, data)
    assert (refused.value.kind, refused.value.media_type) == (kind.value, named)


@pytest.mark.parametrize(("kind", "start"), [(Kind.AUDIO, MP3), (Kind.VIDEO, MP4)])
def test_sizes_are_judged_under_both_readings_of_mb(judge: Check, kind: Kind, start: bytes) -> None:
    assert judge(kind, sized(start, 16_000_000)).warnings == ()
    assert judge(kind, sized(start, 16_000_001)).warnings == (MediaWarning.SIZE_UNCONFIRMED,)
    assert judge(kind, sized(start, 16 * 2**20)).warnings == (MediaWarning.SIZE_UNCONFIRMED,)
    with pytest.raises(TooHeavy):
        judge(kind, sized(start, 16 * 2**20 + 1))


def test_a_document_over_its_limit_is_refused_without_being_read_whole(tmp_path: Path) -> None:
    source = tmp_path / "sparse"
    with source.open("wb") as file:
        file.write(PDF)
        file.truncate(100 * 2**20 + 1)
    with pytest.raises(TooHeavy) as refused:
        check(Kind.DOCUMENT, source, tmp_path / "target", RULES)
    assert refused.value.limit_bytes == 100 * 2**20


@pytest.mark.parametrize("kind", Kind)
def test_an_empty_file_is_refused(judge: Check, kind: Kind) -> None:
    with pytest.raises(Undecodable, match="it is empty"):
        judge(kind, b"")


@pytest.mark.parametrize("animated", [False, True])
def test_a_sticker_of_the_right_size_goes_as_it_is(judge: Check, *, animated: bool) -> None:
    data = sticker(animated=animated)
    assert judge(Kind.STICKER, data) == AsIs(media_type="image/webp", size_bytes=len(data), width=512, height=512)


def test_a_sticker_with_a_broken_header_is_refused(judge: Check) -> None:
    with pytest.raises(Undecodable):
        judge(Kind.STICKER, b"RIFF" + struct.pack("<I", 4) + b"WEBPXXXX")


def test_an_image_is_made_to_fit(judge: Check, tmp_path: Path) -> None:
    out = BytesIO()
    Image.new("RGB", (30, 20), "red").save(out, "GIF")
    verdict = judge(Kind.IMAGE, out.getvalue())
    assert isinstance(verdict, Made)
    assert verdict.size_bytes == (tmp_path / "target").stat().st_size
    assert (verdict.source_media_type, verdict.media_type) == ("image/gif", "image/png")


def test_verdicts_survive_pickle_and_json(judge: Check) -> None:
    out = BytesIO()
    Image.new("L", (30, 20)).save(out, "PNG")
    for verdict in (judge(Kind.IMAGE, out.getvalue()), judge(Kind.DOCUMENT, b"PK\5\6" + bytes(18))):
        assert pickle.loads(pickle.dumps(verdict)) == verdict  # noqa: S301 - our own bytes
        assert TypeAdapter(type(verdict)).validate_python(json.loads(json.dumps(asdict(verdict)))) == verdict


@pytest.mark.parametrize(
    ("other", "kinds"),
    [
        (Rules(image=ImageRules(heavy_edge_px=1000)), {Kind.IMAGE}),
        (Rules(image=ImageRules(max_pixels=1_000_000)), {Kind.IMAGE, Kind.STICKER}),
        (Rules(strict=True), {Kind.DOCUMENT}),
    ],
    ids=["edge", "pixels", "strict"],
)
def test_a_recipe_depends_on_the_rules_of_its_own_kind(other: Rules, kinds: set[Kind]) -> None:
    assert {kind for kind in Kind if recipe(kind, RULES) != recipe(kind, other)} == kinds
    assert len({recipe(kind, RULES) for kind in Kind}) == 3, "images, stickers, and all that is only judged"


def test_who_is_strict_takes_documents_of_the_table_only(tmp_path: Path) -> None:
    strict, source = Rules(strict=True), tmp_path / "source"
    source.write_bytes(PDF)
    assert check(Kind.DOCUMENT, source, tmp_path / "target", strict).media_type == "application/pdf"
    source.write_bytes(b"PK\5\6" + bytes(18))
    with pytest.raises(TypeRefused) as refused:
        check(Kind.DOCUMENT, source, tmp_path / "target", strict)
    assert refused.value.media_type == "application/zip"
