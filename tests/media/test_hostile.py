"""Pictures made to harm: each is refused or made at once, for little memory."""

import json
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from proxy.errors import RefusedMedium, TooComplex, TooManyPixels, Undecodable
from proxy.media.headers import read_pixels
from proxy.media.jpegs import MAX_SCANS, has_too_many_scans
from proxy.media.kinds import AsIs, ImageRules, Made
from proxy.media.sniff import sniff
from tests.media import hostile
from tests.media.conftest import Fit
from tests.media.pictures import bmp, delivered, long, png, saved, scene, tiff

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
CPU_S = 1.0
PEAK_BYTES = 20_000_000
RATIONAL, BYTE = 5, 1


def values(count: int) -> bytes:
    return struct.pack("<L", count)


@LINUX
@pytest.mark.parametrize(
    ("make", "told"),
    [
        pytest.param(lambda: hostile.scans(5000), "TooComplex: .* 100 scans", id="jpeg-scans"),
        pytest.param(lambda: hostile.frames_of_gif(10_000), "Made", id="gif-frames"),
        pytest.param(lambda: hostile.frames_of_webp(10_000), "Made", id="webp-frames"),
        pytest.param(lambda: hostile.frames_of_png(10_000), "AsIs", id="png-frames"),
        pytest.param(lambda: hostile.sequence(count=300), "Made", id="avif-frames"),
        pytest.param(
            lambda: hostile.tagged(282, (RATIONAL, 2_500_000, values(1000)), 20_000_000),
            "TooComplex: .* 100000 values",
            id="tiff-values",
        ),
        pytest.param(
            lambda: hostile.tagged(273, long(1000, 5_000_000), 20_000_000),
            "TooComplex: .* 100000 values",
            id="tiff-strips",
        ),
        pytest.param(
            lambda: hostile.tagged(322, long(60_000), t323=long(60_000), t324=long(900), t325=long(64)),
            "TooComplex: .* 100000000 pixels",
            id="tiff-tile",
        ),
        pytest.param(lambda: hostile.tagged(700, (BYTE, 5_000_000, values(1000)), 5_000_000), "Made", id="tiff-xmp"),
        pytest.param(lambda: bmp((2**31 - 1, -(2**31)), 24, b""), "TooManyPixels", id="bmp-size"),
        pytest.param(lambda: bmp((-5, 5), 24, bytes(99)), "TooManyPixels", id="bmp-negative-width"),
        pytest.param(lambda: bmp((0, 0), 24, b""), "Undecodable", id="bmp-nothing"),
        pytest.param(lambda: hostile.run_lengths(50_000, 2000), "TooComplex: .* run-length", id="bmp-run-length"),
        pytest.param(lambda: hostile.profiled_jpeg(3_900_000), "Made", id="jpeg-profile"),
        pytest.param(
            lambda: png((8, 8), 8, 0, bytes(72), hostile.text_chunk(b"iCCP", 7_000_000)), "Made", id="png-profile"
        ),
        pytest.param(
            lambda: png((8, 8), 8, 0, bytes(72), hostile.text_chunk(b"iCCP", 50_000_000)),
            "TooComplex: .* bytes in a chunk",
            id="png-profile-bomb",
        ),
        pytest.param(
            lambda: png((8, 8), 8, 0, bytes(72), hostile.text_chunk(b"zTXt", 50_000_000)),
            "TooComplex: .* bytes in a chunk",
            id="png-text-bomb",
        ),
        pytest.param(hostile.tile_bomb, "TooComplex: .* 1000 tiles", id="heic-tiles"),
        pytest.param(lambda: hostile.resized(hostile.HEIF, 60_000, 60_000), "TooManyPixels", id="heic-size"),
        pytest.param(lambda: hostile.resized(hostile.AVIF, 60_000, 60_000), "TooManyPixels", id="avif-size"),
        pytest.param(
            lambda: hostile.sequence(60_000, 60_000), "TooComplex: .* 100000000 pixels", id="avif-sequence-size"
        ),
        pytest.param(hostile.coded_larger_than_said, "DecodeLimit: .* memory", id="heic-larger-than-said"),
    ],
)
def test_it_costs_next_to_nothing(tmp_path: Path, make: Callable[[], bytes], told: str) -> None:
    cost = measured(tmp_path, make())
    assert re.match(told, cost["told"]), cost
    assert cost["cpu_s"] < CPU_S, cost
    assert cost["bytes"] < PEAK_BYTES, cost


@LINUX
def test_as_many_texts_as_memory_holds_are_a_limit_too(tmp_path: Path) -> None:
    texts = [hostile.text_chunk(b"zTXt", 7_000_000)] * 200
    cost = measured(tmp_path, png((8, 8), 8, 0, bytes(72), *texts))
    assert cost["told"].startswith("DecodeLimit: ")
    assert cost["bytes"] < 80_000_000, cost


def measured(tmp_path: Path, data: bytes) -> dict[str, Any]:
    source = tmp_path / "source"
    source.write_bytes(data)
    run = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, str(Path(__file__).with_name("bounded.py")), str(source)],
        env={"PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        timeout=60,
        check=True,
    )
    cost: dict[str, Any] = json.loads(run.stdout)
    return cost


# --- scans ----------------------------------------------------------------------------------------------------------


def test_as_many_scans_as_the_limit_are_decoded(fit: Fit) -> None:
    assert isinstance(fit(hostile.scans(MAX_SCANS, (64, 64))), AsIs)
    with pytest.raises(TooComplex, match="100 scans"):
        fit(hostile.scans(MAX_SCANS + 1, (64, 64)))


@pytest.mark.parametrize(
    "between",
    [b"\0\0", b"\xff\xff\xff", b"\xff\x01", b"\xff\xd0\x00", b"\xff\xfe\0\x06\xff\xd9\xff\xd9"],
    ids=["rubbish", "fill", "temporary", "restart", "comment"],
)
def test_scans_are_counted_whatever_lies_between_them(fit: Fit, between: bytes) -> None:
    with pytest.raises(TooComplex, match="100 scans"):
        fit(hostile.scans(MAX_SCANS + 1, (64, 64), between))


def test_scans_behind_very_many_segments_are_a_limit_too(fit: Fit) -> None:
    with pytest.raises(TooComplex, match="4096 segments"):
        fit(hostile.scans(20, (64, 64), b"\xff\xfe\0\x02" * 1000))


def test_what_looks_like_scans_in_a_comment_does_not_count() -> None:
    comment = b"\xff\xda" * 1000
    between = b"\xff\xfe" + struct.pack(">H", 2 + len(comment)) + comment
    assert not has_too_many_scans(BytesIO(hostile.scans(20, (64, 64), between)))


def test_a_thumbnail_has_scans_of_its_own(fit: Fit) -> None:
    inner = hostile.scans(200, (16, 16))
    data = saved(scene(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0" + inner)
    assert isinstance(fit(data), AsIs)


# --- sizes that lie -------------------------------------------------------------------------------------------------


def test_what_is_coded_larger_than_it_says_is_no_danger(fit: Fit) -> None:
    for data in (hostile.resized(hostile.HEIF, 8, 8), hostile.resized(hostile.AVIF, 8, 8)):
        try:
            verdict = fit(data)
        except RefusedMedium:
            continue
        assert (verdict.width, verdict.height) == (8, 8)


def test_a_sequence_without_a_still_is_read_by_its_track() -> None:
    data = hostile.sequence(64, 48).replace(b"meta", b"free")
    pixels = read_pixels(BytesIO(data), "image/avif")
    assert pixels is not None
    assert (pixels.width, pixels.height) == (64, 48)


def test_a_profile_that_is_too_large_is_ignored(fit: Fit, target: Path) -> None:
    assert isinstance(fit(hostile.profiled_jpeg(14_000_000)), Made)
    assert "icc_profile" not in delivered(target).info


def test_the_pixels_of_all_tiles_count(fit: Fit) -> None:
    data = saved(scene(size=(300, 200)), "HEIF", tile_size=128)  # six tiles of 128x128
    assert isinstance(fit(data, replace(ImageRules(), max_pixels=6 * 128 * 128)), Made)
    with pytest.raises(TooComplex, match="98303 pixels"):
        fit(data, replace(ImageRules(), max_pixels=6 * 128 * 128 - 1))
    with pytest.raises(TooManyPixels):
        fit(data, replace(ImageRules(), max_pixels=300 * 200 - 1))


@pytest.mark.parametrize(
    "data",
    [
        b"II*\0" + bytes(4),
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff",
        tiff({256: long(8)}),
        b"BM" + bytes(12) + b"\x28\0\0\0" + bytes(4),
        hostile.HEIF[:40],
        hostile.HEIF[:200],
        hostile.HEIF.replace(b"pitm", b"free"),
        hostile.HEIF.replace(b"ispe", b"free"),
        hostile.AVIF.replace(b"ipma", b"free"),
        hostile.AVIF.replace(b"iprp", b"free"),
        hostile.HEIF[:28] + struct.pack(">L4sQ", 1, b"free", 2**63),
        hostile.HEIF[:28] + struct.pack(">L4sQ", 1, b"free", 2**44),
        hostile.HEIF[:28] + struct.pack(">L4sQ", 1, b"meta", 2**50),
    ],
)
def test_a_header_that_says_nothing_is_refused(fit: Fit, data: bytes) -> None:
    with pytest.raises(Undecodable, match="header is broken"):
        fit(data)


FORMS = {
    "TIFF": saved(scene(), "TIFF", compression="tiff_lzw"),
    "raw TIFF": saved(scene("LA"), "TIFF"),
    "BMP": saved(scene("P"), "BMP"),
    "HEIC": saved(scene(), "HEIF"),
    "tiled HEIC": saved(scene(size=(200, 150)), "HEIF", tile_size=128),
    "AVIF": saved(scene("RGBA"), "AVIF"),
    "AVIF sequence": hostile.sequence(),
    "progressive JPEG": saved(scene(), "JPEG", progressive=True),
    "MPO": saved(scene(), "MPO", save_all=True, append_images=[Image.new("L", (16, 16))]),
}


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    form=st.sampled_from(sorted(FORMS)),
    changes=st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 255)), min_size=1, max_size=8),
    keep=st.floats(0.3, 1),
)
def test_broken_bytes_of_any_form_raise_nothing_but_refusals(
    fit: Fit, form: str, changes: list[tuple[int, int]], keep: float
) -> None:
    data = bytearray(FORMS[form])
    for at, value in changes:
        data[at % len(data)] = value
    try:
        verdict = fit(bytes(data[: max(1, int(len(data) * keep))]), replace(ImageRules(), max_pixels=4_000_000))
    except RefusedMedium:
        return
    assert verdict.size_bytes > 0


@pytest.mark.parametrize("media_type", ["image/tiff", "image/bmp", "image/heic", "image/avif", "image/jpeg"])
@settings(deadline=None, max_examples=300)
@given(data=st.binary(max_size=300), form=st.sampled_from(sorted(FORMS)), at=st.integers(0, 400))
def test_a_header_of_any_bytes_can_be_read(media_type: str, data: bytes, form: str, at: int) -> None:
    spliced = FORMS[form][:at] + data
    try:
        pixels = read_pixels(BytesIO(spliced), media_type)
    except TooComplex:
        return
    assert pixels is None or (pixels.width > 0 and pixels.height > 0)
    sniff(BytesIO(spliced), len(spliced))
