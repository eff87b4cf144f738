"""Pictures: as they are where that is right, made to fit where it is not, refused where neither can be."""

import errno
import pickle
import struct
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageChops, ImageCms, ImageOps, UnidentifiedImageError

from proxy.errors import (
    DecodeLimit,
    DiskFull,
    RefusedMedium,
    TooComplex,
    TooHeavy,
    TooManyPixels,
    TypeRefused,
    Undecodable,
)
from proxy.media import encoding, images
from proxy.media.images import fit_image, image_recipe
from proxy.media.kinds import AsIs, ImageRules, Made, MediaWarning
from proxy.media.opening import FOREIGN
from tests.media.conftest import Fit
from tests.media.pictures import delivered, distance, half_transparent, noise, png, saved, scene

RULES = ImageRules()
SMALL_EDGE = replace(RULES, heavy_edge_px=64)
# --- as it is -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "mode", "options"),
    [
        ("JPEG", "RGB", {}),
        ("JPEG", "RGB", {"progressive": True}),
        ("JPEG", "RGB", {"subsampling": 0, "quality": 95}),
        ("PNG", "RGB", {}),
        ("PNG", "RGBA", {}),
    ],
)
def test_a_plain_light_picture_goes_as_it_is(
    fit: Fit, target: Path, form: str, mode: str, options: dict[str, object]
) -> None:
    data = saved(scene(mode), form, **options)
    assert fit(data) == AsIs(media_type=f"image/{form.lower()}", size_bytes=len(data), width=96, height=72)
    assert not target.exists()


def test_exif_orientation_is_left_on_what_goes_as_it_is(fit: Fit) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    assert isinstance(fit(saved(scene(), "JPEG", exif=exif)), AsIs)


def test_a_picture_between_both_readings_of_mb_goes_with_a_warning(fit: Fit) -> None:
    data = saved(scene(), "JPEG")
    rules = replace(RULES, aim_bytes=len(data) - 1, max_bytes=len(data))
    assert fit(data, rules).warnings == (MediaWarning.SIZE_UNCONFIRMED,)


def test_a_picture_that_would_only_grow_goes_as_it_is(fit: Fit, target: Path) -> None:
    data = saved(noise((66, 50)), "JPEG", quality=15, optimize=True)
    verdict = fit(data, SMALL_EDGE)
    assert isinstance(verdict, AsIs)
    assert verdict.size_bytes == len(data)
    assert not target.exists()


def test_a_long_picture_is_heavy_only_where_it_would_be_scaled(fit: Fit, target: Path) -> None:
    data = saved(scene(size=(60, 150)), "PNG")
    assert isinstance(fit(data, replace(RULES, heavy_edge_px=120)), AsIs)
    assert not target.exists()


def test_what_is_over_the_budget_is_made_even_where_the_usual_quality_would_only_grow(fit: Fit, target: Path) -> None:
    data = saved(noise((300, 200)), "JPEG", quality=30)
    verdict = fit(data, replace(RULES, heavy_bytes=len(data) - 1))
    assert isinstance(verdict, Made)
    assert target.stat().st_size < len(data)


def test_what_would_only_grow_is_made_nevertheless_when_the_source_is_unacceptable(fit: Fit) -> None:
    data = saved(noise((60, 40), "L").convert("1"), "PNG", optimize=True)
    verdict = fit(data)
    assert isinstance(verdict, Made)
    assert verdict.size_bytes > len(data)


# --- modes and colours ----------------------------------------------------------------------------------------------


def sixteen_bit_png(colour_type: int, *pixel: int) -> bytes:
    return png((8, 8), 16, colour_type, (b"\0" + struct.pack(f">{len(pixel)}H", *pixel) * 8) * 8)


@pytest.mark.parametrize(
    ("form", "mode"),
    [
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("PNG", "L"),
        ("PNG", "LA"),
        ("PNG", "P"),
        ("PNG", "1"),
        ("GIF", "P"),
        ("GIF", "L"),
        ("WEBP", "RGB"),
        ("WEBP", "RGBA"),
    ],
)
def test_every_other_mode_becomes_eight_bit_rgb_of_the_same_colours(
    fit: Fit, target: Path, form: str, mode: str
) -> None:
    image = scene(mode)
    verdict = fit(saved(image, form))
    assert isinstance(verdict, Made)
    made = delivered(target)
    assert made.mode == "RGB", "nothing shows through"
    assert distance(made, image) < (14 if mode == "1" else 4)


@pytest.mark.parametrize(
    ("data", "colour"),
    [
        (sixteen_bit_png(0, 0x8040), (128, 128, 128)),
        (sixteen_bit_png(0, 0xFFFF), (255, 255, 255)),
        (sixteen_bit_png(2, 0xC800, 0x2800, 0x5000), (200, 40, 80)),
        (sixteen_bit_png(6, 0xC800, 0x2800, 0x5000, 0xFFFF), (200, 40, 80)),
        (sixteen_bit_png(4, 0x4000, 0xFFFF), (64, 64, 64)),
    ],
    ids=["grey", "white", "rgb", "rgba", "grey-alpha"],
)
def test_sixteen_bits_become_eight(fit: Fit, target: Path, data: bytes, colour: tuple[int, int, int]) -> None:
    verdict = fit(data)
    assert isinstance(verdict, Made)
    assert verdict.steps == ("brought to 8-bit RGB", "saved as PNG")
    assert distance(delivered(target), Image.new("RGB", (8, 8), colour)) <= 2


@pytest.mark.parametrize(("form", "mode"), [("WEBP", "RGBA"), ("PNG", "LA")])
def test_real_transparency_is_kept_in_a_png(fit: Fit, target: Path, form: str, mode: str) -> None:
    image = half_transparent(mode)
    verdict = fit(saved(image, form, **({"lossless": True, "exact": True} if form == "WEBP" else {})))
    assert isinstance(verdict, Made)
    assert (verdict.media_type, verdict.quality) == ("image/png", None)
    made = delivered(target)
    assert made.mode == "RGBA"
    assert distance(made.getchannel("A"), image.getchannel("A")) < 1


@pytest.mark.parametrize("form", ["GIF", "PNG"])
def test_a_transparent_palette_entry_is_kept(fit: Fit, target: Path, form: str) -> None:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(0, (0, 0, 8, 16))
    fit(saved(image, form, transparency=0))
    made = delivered(target)
    assert made.mode == "RGBA"
    assert made.getpixel((2, 2))[3] == 0  # type: ignore[index]  # an RGBA pixel is a tuple
    assert made.getpixel((12, 2)) == (0, 0, 255, 255)


def test_a_transparent_grey_level_is_kept(fit: Fit, target: Path) -> None:
    image = Image.new("L", (16, 16), 90)
    image.paste(200, (0, 0, 8, 16))
    fit(saved(image, "PNG", transparency=90))
    made = delivered(target)
    assert [made.getpixel((2, 2)), made.getpixel((12, 2))] == [(200, 200, 200, 255), (90, 90, 90, 0)]


def test_transparency_that_does_not_fit_is_put_on_white(fit: Fit, target: Path) -> None:
    image = noise((200, 200), "RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 100, 200))
    verdict = fit(saved(image, "PNG"), replace(RULES, heavy_bytes=30_000))
    assert isinstance(verdict, Made)
    assert verdict.media_type == "image/jpeg"
    assert verdict.size_bytes <= 30_000
    assert "transparency put on white" in verdict.steps
    left = delivered(target).crop((0, 0, verdict.width * 2 // 5, verdict.height))
    assert distance(left, Image.new("RGB", left.size, "white")) < 3


def profile_of(primaries: str) -> bytes:
    """Build an RGB profile from sRGB's by swapping its colorants, so that red means another colour."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", profile[128:132])[0]
    tags = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    colorants = {name: bytes(profile[tags[name] + 4 : tags[name] + 12]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")}
    for place, name in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True):
        profile[tags[place] + 4 : tags[place] + 12] = colorants[name.encode() + b"XYZ"]
    return bytes(profile).replace("sRGB built-in".encode("utf-16-be"), "Swapped built".encode("utf-16-be"))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colours_are_brought_to_srgb_by_the_profile(fit: Fit, target: Path, mode: str) -> None:
    image = Image.new("RGB", (100, 100), (220, 30, 60))
    data = saved(image.convert(mode), "PNG", icc_profile=profile_of("bgr"))
    verdict = fit(data, SMALL_EDGE)
    assert isinstance(verdict, Made)
    assert "colours brought to sRGB" in verdict.steps
    assert distance(delivered(target), Image.new("RGB", (64, 64), (60, 30, 220))) < 4


@pytest.mark.parametrize(
    "profile",
    [
        b"not a profile",
        profile_of("bgr")[:200],
        ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
    ],
    ids=["garbage", "cut short", "of another space"],
)
def test_a_profile_that_does_not_apply_is_ignored(fit: Fit, target: Path, profile: bytes) -> None:
    image = scene(size=(192, 144))
    verdict = fit(saved(image, "JPEG", quality=100, icc_profile=profile), SMALL_EDGE)
    assert isinstance(verdict, Made)
    assert distance(delivered(target), image.resize((64, 48), Image.Resampling.LANCZOS)) < 4
    assert "icc_profile" not in delivered(target).info


def test_alpha_survives_a_profile(fit: Fit, target: Path) -> None:
    image = half_transparent("RGBA").resize((128, 96))
    fit(saved(image, "PNG", icc_profile=profile_of("bgr")), SMALL_EDGE)
    made = delivered(target)
    assert made.mode == "RGBA"
    assert distance(made.getchannel("A"), image.resize((64, 48), Image.Resampling.LANCZOS).getchannel("A")) < 2


# --- turns, frames, metadata ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_every_orientation_is_turned_upright_pixel_for_pixel(
    fit: Fit, target: Path, form: str, orientation: int
) -> None:
    image = scene(size=(192, 144))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = saved(image, form, exif=exif, quality=95)
    verdict = fit(data, SMALL_EDGE)
    assert isinstance(verdict, Made)
    assert ("turned upright" in verdict.steps) == (orientation > 1)
    with Image.open(BytesIO(data)) as source:
        upright = ImageOps.exif_transpose(source)
    made = delivered(target)
    assert made.size == (verdict.width, verdict.height) == ((64, 48) if orientation < 5 else (48, 64))
    assert distance(made, upright.resize(made.size, Image.Resampling.LANCZOS)) < 4
    assert made.getexif().get(ExifTags.Base.Orientation) is None


@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + b"\xff" * 40, b"Exif\0\0"])
def test_a_broken_exif_does_not_matter(fit: Fit, exif: bytes) -> None:
    assert isinstance(fit(saved(scene(size=(192, 144)), "JPEG", exif=exif, quality=100), SMALL_EDGE), Made)


def test_the_first_frame_of_an_animation_is_taken(fit: Fit, target: Path) -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")]
    for form in ("GIF", "WEBP"):
        verdict = fit(saved(frames[0], form, save_all=True, append_images=frames[1:]))
        assert isinstance(verdict, Made)
        assert "first frame taken" in verdict.steps
        assert distance(delivered(target), frames[0]) < 4


def test_the_main_picture_of_a_multi_picture_jpeg_is_taken(fit: Fit, target: Path) -> None:
    data = saved(scene(size=(192, 144)), "MPO", save_all=True, append_images=[Image.new("RGB", (192, 144), "blue")])
    assert isinstance(fit(data), AsIs)
    verdict = fit(data, SMALL_EDGE)
    assert isinstance(verdict, Made)
    assert distance(delivered(target), scene(size=(64, 48))) < 5


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_nothing_of_the_metadata_is_left(fit: Fit, target: Path, form: str) -> None:
    secret = "52.5163 N at Anna's house"
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = secret
    exif[ExifTags.Base.Make] = secret
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSAreaInformation] = secret.encode()
    options: dict[str, object] = {"exif": exif, "xmp": secret.encode(), "icc_profile": profile_of("rgb")}
    if form == "JPEG":
        options["comment"] = secret
    image = half_transparent("RGBA") if form == "PNG" else scene()
    data = saved(image.resize((192, 144)), form, **options)
    assert secret.encode() in data
    verdict = fit(data, SMALL_EDGE)
    assert isinstance(verdict, Made)
    assert "metadata removed" in verdict.steps
    made = target.read_bytes()
    assert secret.encode() not in made
    assert not any(
        marker in made for marker in (b"Exif", b"ICC_PROFILE", b"iCCP", b"eXIf", b"tEXt", b"iTXt", b"\xff\xfe")
    )


# --- bytes and dimensions -------------------------------------------------------------------------------------------


def test_a_heavy_picture_is_scaled_with_its_shape_kept(fit: Fit) -> None:
    verdict = fit(saved(scene(size=(3000, 1200)), "JPEG", quality=100, subsampling=0))
    assert isinstance(verdict, Made)
    assert (verdict.width, verdict.height) == (2560, 1024)
    assert (verdict.source_width, verdict.source_height) == (3000, 1200)


@pytest.mark.parametrize("share", [0.95, 0.8, 0.65])
def test_quality_is_lowered_before_pixels_are(fit: Fit, target: Path, share: float) -> None:
    smooth = noise((80, 60)).resize((800, 600), Image.Resampling.BICUBIC)
    grain = noise((800, 600), "L", seed=2).point(lambda value: value // 9)
    data = saved(ImageChops.add(smooth, Image.merge("RGB", (grain, grain, grain))), "JPEG", quality=95)
    usual = fit(data, replace(RULES, heavy_bytes=len(data) - 1))
    assert isinstance(usual, Made)
    assert (usual.quality, usual.encodes) == (82, 1)
    budget = int(usual.size_bytes * share)
    verdict = fit(data, replace(RULES, heavy_bytes=budget))
    assert isinstance(verdict, Made)
    assert (verdict.width, verdict.height) == (800, 600)
    assert verdict.quality is not None
    assert 50 <= verdict.quality < 82
    assert 0.8 * budget < target.stat().st_size <= budget, "the budget is used"
    assert verdict.encodes <= 3


def test_pixels_are_given_up_when_quality_does_not_suffice(fit: Fit, target: Path) -> None:
    verdict = fit(saved(noise((900, 700)), "PNG"), replace(RULES, heavy_bytes=40_000))
    assert isinstance(verdict, Made)
    assert verdict.width < 900
    assert verdict.encodes <= 4
    assert 20_000 < target.stat().st_size <= 40_000
    assert "scaled again to fit the bytes" in verdict.steps


def test_a_budget_that_nothing_fits_is_refused(fit: Fit, target: Path) -> None:
    with pytest.raises(TooHeavy) as refused:
        fit(saved(noise((100, 100)), "PNG"), replace(RULES, heavy_bytes=100))
    assert refused.value.limit_bytes == 100
    assert not target.exists()


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.tuples(st.integers(1, 260), st.integers(1, 260)),
    mode=st.sampled_from(["RGB", "L", "LA", "RGBA", "P", "CMYK", "1"]),
    texture=st.sampled_from(["noise", "flat", "smooth"]),
    budget=st.integers(300, 60_000),
    edge=st.integers(1, 300),
)
def test_what_is_delivered_fits_or_is_refused(  # noqa: PLR0913 - the dimensions of the property
    fit: Fit, target: Path, *, size: tuple[int, int], mode: str, texture: str, budget: int, edge: int
) -> None:
    image = {
        "noise": lambda: noise(size),
        "flat": lambda: scene(size=size),
        "smooth": lambda: noise((3, 2)).resize(size, Image.Resampling.BICUBIC),
    }[texture]()
    image = image.convert(mode)
    data = saved(image, "JPEG" if mode == "CMYK" else "PNG")
    target.unlink(missing_ok=True)
    try:
        verdict = fit(data, replace(RULES, heavy_bytes=budget, heavy_edge_px=edge))
    except TooHeavy as refused:
        assert refused.size_bytes > budget  # noqa: PT017 - either outcome is right, and each has a claim
        assert not target.exists()
        return
    if isinstance(verdict, AsIs):
        assert mode in {"RGB", "RGBA"}
        assert verdict.size_bytes == len(data) <= budget
        return
    made = delivered(target)
    assert target.stat().st_size == verdict.size_bytes <= budget
    assert made.size == (verdict.width, verdict.height)
    assert (made.width, made.height) <= encoding.fit(size, edge)
    assert made.mode in {"RGB", "RGBA"}
    assert made.get_format_mimetype() == verdict.media_type


# --- what is refused ------------------------------------------------------------------------------------------------


def png_header(width: int, height: int) -> bytes:
    return png((width, height), 8, 2, b"")[:33]


def webp_canvas(width: int, height: int) -> bytes:
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + canvas


def jpeg_header(width: int, height: int) -> bytes:
    return b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)


@pytest.mark.parametrize(
    ("data", "width", "height"),
    [
        (png_header(50_000, 50_000), 50_000, 50_000),
        (b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + bytes(20), 65_535, 65_535),
        (webp_canvas(16_383, 16_383), 16_383, 16_383),
        (jpeg_header(65_500, 65_500), 65_500, 65_500),
    ],
    ids=["png", "gif", "webp", "jpeg"],
)
def test_a_bomb_is_refused_by_its_header(fit: Fit, data: bytes, width: int, height: int) -> None:
    with pytest.raises(TooManyPixels) as refused:
        fit(data)
    assert (refused.value.width, refused.value.height) == (width, height)
    assert str(RULES.max_pixels) in refused.value.message


def test_a_picture_of_many_pixels_in_few_bytes_is_refused(fit: Fit) -> None:
    data = png((20_000, 20_000), 1, 0, bytes(2501 * 20_000))
    assert len(data) < 100_000
    with pytest.raises(TooManyPixels):
        fit(data)


def test_a_gif_whose_frame_is_larger_than_its_canvas_is_refused(fit: Fit) -> None:
    frame = b"," + struct.pack("<HHHHB", 0, 0, 60_000, 60_000, 0) + b"\x02\x02\x4c\x01\0;"
    with pytest.raises(TooComplex, match="100000000 pixels"):
        fit(b"GIF89a" + struct.pack("<HH", 10, 10) + b"\x80\0\0" + bytes(6) + frame)


def test_the_pixel_limit_may_be_above_pillows_own(fit: Fit) -> None:
    image = Image.new("L", (200, 100))
    assert isinstance(fit(saved(image, "PNG"), replace(RULES, max_pixels=20_000)), Made)
    with pytest.raises(TooManyPixels):
        fit(saved(image, "PNG"), replace(RULES, max_pixels=19_999))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP"])
@pytest.mark.parametrize("rules", [RULES, SMALL_EDGE], ids=["as it is", "to be made"])
def test_a_truncated_picture_is_refused(fit: Fit, target: Path, form: str, rules: ImageRules) -> None:
    data = saved(noise((120, 90)), form)
    for keep in (len(data) // 2, len(data) * 9 // 10):
        with pytest.raises(Undecodable) as refused:
            fit(data[:keep], rules)
        assert refused.value.media_type == f"image/{form.lower()}"
        assert not target.exists()


def test_a_truncated_progressive_picture_is_refused(fit: Fit) -> None:
    data = saved(noise((120, 90)), "JPEG", progressive=True)
    with pytest.raises(Undecodable, match="cut short"):
        fit(data[: len(data) * 9 // 10])


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP"])
def test_only_a_header_is_refused(fit: Fit, form: str) -> None:
    for keep in (16, 20, 30):
        with pytest.raises(Undecodable):
            fit(saved(scene(), form)[:keep])


@pytest.mark.parametrize("media_type", ["image/jp2", "image/svg+xml", "application/octet-stream", "text/plain"])
def test_other_types_are_not_opened(tmp_path: Path, media_type: str) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"<svg/>")
    with pytest.raises(TypeRefused, match="image/gif, image/tiff, image/bmp, image/heic, image/avif"):
        fit_image(source, tmp_path / "target", media_type, RULES)


def test_the_reason_holds_no_path(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(png_header(10, 10).replace(b"\x89PNG", b"\x89XNG"))
    with pytest.raises(Undecodable) as refused:
        fit_image(source, tmp_path / "target", "image/png", RULES)
    assert isinstance(refused.value.__cause__, UnidentifiedImageError)
    assert str(tmp_path) in str(refused.value.__cause__)
    assert str(tmp_path) not in refused.value.message


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    form=st.sampled_from(["JPEG", "PNG", "GIF", "WEBP"]),
    mode=st.sampled_from(["RGB", "L", "RGBA"]),
    changes=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=8),
    keep=st.floats(0.3, 1),
)
def test_broken_bytes_raise_nothing_but_refusals(
    fit: Fit, form: str, mode: str, changes: list[tuple[int, int]], keep: float
) -> None:
    image = noise((40, 30)).convert("RGB" if form == "JPEG" and mode == "RGBA" else mode)
    data = bytearray(saved(image, form))
    for at, value in changes:
        data[at % len(data)] = value
    try:
        verdict = fit(bytes(data[: max(1, int(len(data) * keep))]), replace(SMALL_EDGE, max_pixels=4_000_000))
    except RefusedMedium as refused:
        assert pickle.loads(pickle.dumps(refused)).evidence == refused.evidence  # noqa: PT017, S301 - our own bytes
        return
    assert verdict.size_bytes > 0


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda foreign: foreign.__name__)
def test_every_foreign_exception_becomes_a_refusal(
    fit: Fit, monkeypatch: pytest.MonkeyPatch, foreign: type[Exception]
) -> None:
    def fail(_: object) -> None:
        raise foreign

    monkeypatch.setattr(images, "_prove", fail)
    with pytest.raises((Undecodable, DecodeLimit, TooComplex)):
        fit(saved(scene(), "JPEG"))


def test_a_full_disk_is_said_and_leaves_nothing(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, _: bytes) -> int:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    data = saved(scene("L"), "PNG")
    (target.parent / "source").write_bytes(data)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskFull):
        fit_image(target.parent / "source", target, "image/png", RULES)
    assert not target.exists()


# --- the recipe -----------------------------------------------------------------------------------------------------


def test_the_recipe_is_short_and_stable() -> None:
    recipe = image_recipe(RULES)
    assert recipe == image_recipe(ImageRules())
    assert len(recipe) == 16
    assert int(recipe, 16) >= 0


@pytest.mark.parametrize(
    "rules",
    [replace(RULES, heavy_bytes=1), replace(RULES, heavy_edge_px=1), replace(RULES, max_pixels=1)],
)
def test_the_recipe_changes_with_the_rules(rules: ImageRules) -> None:
    assert image_recipe(rules) != image_recipe(RULES)


def test_the_recipe_changes_with_the_codecs(monkeypatch: pytest.MonkeyPatch) -> None:
    before = image_recipe.__wrapped__(RULES)
    monkeypatch.setattr("PIL.features.version", lambda feature: f"another {feature}")
    assert image_recipe.__wrapped__(RULES) != before


@pytest.mark.parametrize("library", ["pillow_heif.libheif_version", "PIL.AvifImagePlugin.get_codec_version"])
def test_the_recipe_changes_with_the_libraries_of_heic_and_avif(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    before = image_recipe.__wrapped__(RULES)
    monkeypatch.setattr(library, lambda *_: "another")
    assert image_recipe.__wrapped__(RULES) != before


def test_the_same_source_gives_the_same_bytes(fit: Fit, target: Path) -> None:
    data = saved(noise((300, 200)), "PNG")
    made = []
    for _ in range(2):
        fit(data, SMALL_EDGE)
        made.append(target.read_bytes())
    assert made[0] == made[1]
