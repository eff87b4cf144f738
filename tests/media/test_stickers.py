"""Stickers from whatever there is: 512x512 on a transparent square, still or moving, within their bytes."""

from collections.abc import Callable
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms, ImageDraw, ImageSequence

from proxy.errors import TooComplex, TooManyPixels, TypeRefused, Undecodable
from proxy.media import stickers
from proxy.media.kinds import AsIs, ImageRules, Kind, Made
from proxy.media.sniff import sniff
from proxy.media.stickers import MAX_FRAMES, fit_sticker
from tests.media.pictures import close, noise, saved

EDGE = 512
CLEAR = (0, 0, 0, 0)
Stick = Callable[..., AsIs | Made]


@pytest.fixture
def stick(tmp_path: Path) -> Stick:
    def run(data: bytes, rules: ImageRules | None = None) -> AsIs | Made:
        source = tmp_path / "source"
        source.write_bytes(data)
        return fit_sticker(source, tmp_path / "target", sniff(BytesIO(data), len(data)), rules or ImageRules())

    return run


def made(tmp_path: Path) -> Image.Image:
    return Image.open(tmp_path / "target", formats=["WEBP"])


def durations_of(image: Image.Image) -> list[int]:
    return [frame.info["duration"] for frame in ImageSequence.Iterator(image) if frame.load()]


def ball(number: int, size: tuple[int, int] = (64, 48), mode: str = "RGBA") -> Image.Image:
    picture = Image.new("RGBA", size)
    ImageDraw.Draw(picture).ellipse((number % 30, 10, number % 30 + 20, 30), fill="red")
    return picture.convert(mode)


def moving(form: str, count: int, *, duration: Any = 80, mode: str = "RGBA") -> bytes:
    frames = [ball(number * 3, mode=mode) for number in range(count)]
    more: dict[str, Any] = {"disposal": 2} if form == "GIF" else {}
    return saved(frames[0], form, save_all=True, append_images=frames[1:], duration=duration, loop=0, **more)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "HEIF"])
def test_a_still_of_every_type_becomes_a_sticker(stick: Stick, tmp_path: Path, form: str) -> None:
    data = saved(Image.new("RGB", (300, 150), (200, 30, 40)), form)
    verdict = stick(data)
    assert isinstance(verdict, Made)
    assert (verdict.media_type, verdict.width, verdict.height) == ("image/webp", EDGE, EDGE)
    assert (verdict.source_width, verdict.source_height) == (300, 150)
    assert verdict.size_bytes == (tmp_path / "target").stat().st_size <= 100_000
    with made(tmp_path) as picture:
        seen = picture.convert("RGBA")
    assert not getattr(picture, "is_animated", False)
    assert [seen.getpixel(at)[3] for at in ((256, 100), (256, 412))] == [0, 0]  # type: ignore[index] # RGBA
    assert close(seen.getpixel((256, 256)), (200, 30, 40, 255), by=6)  # type: ignore[arg-type] # the same
    assert {"scaled to 512x512", "margins left transparent"} <= set(verdict.steps)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "AVIF"])
def test_a_film_stays_a_film(stick: Stick, tmp_path: Path, form: str) -> None:
    verdict = stick(moving(form, 6))
    assert isinstance(verdict, Made)
    assert verdict.size_bytes <= 500_000
    with made(tmp_path) as picture:
        assert picture.size == (EDGE, EDGE)
        assert picture.n_frames == 6  # type: ignore[attr-defined] # WebP's
        assert durations_of(picture) == [80] * 6
        seen = [frame.convert("RGBA").tobytes() for frame in ImageSequence.Iterator(picture)]
    assert all(one != other for one, other in pairwise(seen))


def test_a_long_film_is_thinned_and_takes_its_time(stick: Stick, tmp_path: Path) -> None:
    count = 2 * MAX_FRAMES + 30
    verdict = stick(moving("GIF", count, duration=40))
    assert isinstance(verdict, Made)
    with made(tmp_path) as picture:
        durations = durations_of(picture)
    assert MAX_FRAMES // 4 < len(durations) <= MAX_FRAMES
    assert sum(durations) == count * 40
    assert f"{count} frames thinned to {len(durations)}" in verdict.steps


def test_frames_that_name_no_time_are_shown_as_browsers_do(stick: Stick, tmp_path: Path) -> None:
    stick(moving("GIF", 3, duration=[0, 10, 50]))
    with made(tmp_path) as picture:
        assert durations_of(picture) == [100, 100, 50]


def test_pages_and_previews_are_no_film(stick: Stick, tmp_path: Path) -> None:
    pages = saved(ball(0), "TIFF", save_all=True, append_images=[ball(9)])
    previews = saved(ball(0, mode="RGB"), "MPO", save_all=True, append_images=[ball(9, mode="RGB")])
    for data in (pages, previews):
        assert stick(data).size_bytes <= 100_000
        with made(tmp_path) as picture:
            assert getattr(picture, "n_frames", 1) == 1


def test_what_an_apng_shows_in_place_of_its_film_is_left_out(stick: Stick, tmp_path: Path) -> None:
    film = [ball(9), ball(18)]
    stick(saved(ball(0), "PNG", save_all=True, append_images=film, default_image=True, duration=70))
    with made(tmp_path) as picture:
        assert durations_of(picture) == [70, 70]


def test_a_picture_stands_upright_and_in_its_own_colours(stick: Stick, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = Image.new("RGB", (400, 200), "blue")
    picture.paste((255, 0, 0), (0, 0, 200, 200))
    verdict = stick(saved(picture, "JPEG", exif=exif, icc_profile=lab, quality=95))
    with made(tmp_path) as opened:
        seen = opened.convert("RGBA")
        assert not {"exif", "icc_profile", "xmp"} & opened.info.keys()
    assert close(seen.getpixel((256, 100)), (254, 0, 0, 255), by=8)  # type: ignore[arg-type] # RGBA
    assert close(seen.getpixel((256, 400)), (0, 0, 254, 255), by=8)  # type: ignore[arg-type] # the same
    assert seen.getpixel((60, 256)) == CLEAR
    assert isinstance(verdict, Made)
    assert "metadata removed" in verdict.steps


def test_the_lightest_line_is_still_seen(stick: Stick, tmp_path: Path) -> None:
    stick(saved(Image.new("RGB", (5000, 2), "red"), "PNG"))
    with made(tmp_path) as picture:
        assert picture.convert("RGBA").getchannel("A").getbbox() == (0, 255, EDGE, 256)


@pytest.mark.parametrize("animated", [False, True])
def test_a_sticker_goes_as_it_is(stick: Stick, tmp_path: Path, *, animated: bool) -> None:
    frames = [Image.new("RGBA", (EDGE, EDGE), colour) for colour in ("red", "blue")]
    data = saved(frames[0], "WEBP", save_all=animated, append_images=frames[1:] if animated else [])
    assert stick(data) == AsIs(media_type="image/webp", size_bytes=len(data), width=EDGE, height=EDGE)
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(
    ("animated", "limit_bytes"), [(False, 100_000), (True, 500_000)], ids=["a still's", "a film's"]
)
def test_one_byte_over_the_smaller_reading_is_made_lighter(stick: Stick, *, animated: bool, limit_bytes: int) -> None:
    frames = [Image.new("RGBA", (EDGE, EDGE), colour) for colour in ("red", "blue")]
    data = saved(frames[0], "WEBP", save_all=animated, append_images=frames[1:] if animated else [])
    padding = limit_bytes - len(data) - 8
    chunk = b"JUNK" + padding.to_bytes(4, "little") + bytes(padding)
    heavy = data[:4] + (limit_bytes - 8).to_bytes(4, "little") + data[8:] + chunk
    assert isinstance(stick(heavy), AsIs)
    assert isinstance(stick(heavy + b"\0"), Made)


@pytest.mark.parametrize("cut", [0.4, 0.9])
@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_a_film_that_is_cut_short_is_refused(stick: Stick, form: str, cut: float) -> None:
    data = moving(form, 8)
    with pytest.raises(Undecodable):
        stick(data[: int(len(data) * cut)])


def test_a_sticker_that_breaks_off_does_not_go_as_it_is(stick: Stick) -> None:
    frames = [noise((EDGE, EDGE), seed=seed) for seed in range(2)]
    data = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], quality=10)
    with pytest.raises(Undecodable):
        stick(data[: len(data) * 3 // 4])


def test_a_film_without_end_is_refused(stick: Stick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stickers, "MAX_SOURCE_FRAMES", 5)
    stick(moving("GIF", 5))
    with pytest.raises(TooComplex, match="5 frames"):
        stick(moving("GIF", 6))


def test_a_bomb_is_not_decoded(stick: Stick) -> None:
    with pytest.raises(TooManyPixels):
        stick(saved(Image.new("L", (2000, 2000)), "PNG"), ImageRules(max_pixels=1_000_000))


@pytest.mark.parametrize("data", [b"%PDF-1.7\n", b"<svg/>", b"\0\0\0\x18ftypisom\0\0\0\0isommp42"])
def test_what_is_no_picture_is_refused(stick: Stick, data: bytes) -> None:
    with pytest.raises(TypeRefused) as refused:
        stick(data)
    assert refused.value.kind == Kind.STICKER
