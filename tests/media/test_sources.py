"""Every type that an image can be made from, in every form of it: the same colours, the right way up, nothing else."""

import json
import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import NoReturn

import pytest
from PIL import ExifTags, Image, ImageOps

from proxy.errors import Undecodable
from proxy.media.kinds import AsIs, ImageRules, Made
from proxy.media.profiles import profile_of
from proxy.media.sniff import sniff
from tests.media.conftest import Fit
from tests.media.pictures import (
    ORIENTATION,
    bmp,
    close,
    delivered,
    distance,
    half_transparent,
    long,
    middle,
    noise,
    png,
    saved,
    scene,
    short,
    tiff,
    with_code_points,
)

SMALL_EDGE = replace(ImageRules(), heavy_edge_px=64)
RED = (200, 40, 80)


@pytest.mark.parametrize(
    ("form", "mode", "options"),
    [
        ("TIFF", "RGB", {}),
        ("TIFF", "RGB", {"compression": "tiff_lzw"}),
        ("TIFF", "RGB", {"compression": "tiff_adobe_deflate"}),
        ("TIFF", "RGB", {"compression": "jpeg", "quality": 95}),
        ("TIFF", "RGB", {"compression": "packbits"}),
        ("TIFF", "RGB", {"big_endian": True}),
        ("TIFF", "L", {}),
        ("TIFF", "1", {"compression": "group4"}),
        ("TIFF", "P", {}),
        ("TIFF", "CMYK", {}),
        ("TIFF", "YCbCr", {}),
        ("TIFF", "RGBX", {}),
        ("BMP", "RGB", {}),
        ("BMP", "P", {}),
        ("BMP", "L", {}),
        ("BMP", "1", {}),
        ("HEIF", "RGB", {"quality": 90}),
        ("HEIF", "L", {"quality": 90}),
        ("AVIF", "RGB", {"quality": 90}),
        ("AVIF", "L", {"quality": 90}),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else value,
)
@pytest.mark.parametrize("rules", [ImageRules(), SMALL_EDGE], ids=["whole", "scaled"])
def test_a_source_of_any_type_becomes_an_image_of_the_same_colours(  # noqa: PLR0913 - a table
    fit: Fit, target: Path, *, form: str, mode: str, options: dict[str, object], rules: ImageRules
) -> None:
    image = scene(mode, (192, 144))
    verdict = fit(saved(image, form, **options), rules)
    assert isinstance(verdict, Made)
    made = delivered(target)
    assert made.mode == "RGB"
    wanted = image.convert("RGB").resize(made.size, Image.Resampling.LANCZOS)
    assert distance(made, wanted) < (30 if mode == "1" else 4)


@pytest.mark.parametrize(("form", "mode"), [("TIFF", "RGBA"), ("TIFF", "LA"), ("HEIF", "RGBA"), ("AVIF", "RGBA")])
@pytest.mark.parametrize("rules", [ImageRules(), SMALL_EDGE], ids=["whole", "scaled"])
def test_transparency_of_any_type_is_kept(fit: Fit, target: Path, form: str, mode: str, rules: ImageRules) -> None:
    image = half_transparent(mode)
    fit(saved(image, form, **({"quality": 95} if form != "TIFF" else {})), rules)
    made = delivered(target)
    assert made.mode == "RGBA"
    wanted = image.resize(made.size, Image.Resampling.LANCZOS)
    assert distance(made.getchannel("A"), wanted.getchannel("A")) < 3
    below = (0, made.height // 2, made.width, made.height)
    assert distance(made.crop(below), wanted.convert("RGBA").crop(below)) < 6


# --- depths and colour spaces ---------------------------------------------------------------------------------------


def strips(size: tuple[int, int], photometric: int, bits: tuple[int, ...], pixel: bytes, **more: int) -> bytes:
    """Write an uncompressed TIFF of one colour that Pillow cannot write."""
    bits_at, data_at = 600, 640
    entries = {
        256: short(size[0]),
        257: short(size[1]),
        258: short(bits[0]) if len(bits) == 1 else (3, len(bits), struct.pack("<L", bits_at)),
        259: short(1),
        262: short(photometric),
        273: long(data_at),
        277: short(len(bits)),
        278: short(size[1]),
        279: long(size[0] * size[1] * len(pixel)),
        **{int(tag[1:]): short(value) for tag, value in more.items()},
    }
    if len(bits) == 2:
        entries[258] = (3, 2, struct.pack("<2H", *bits))
    depths = struct.pack(f"<{len(bits)}H", *bits)
    return tiff(entries, (bits_at, depths), (data_at, pixel * (size[0] * size[1])))


FLOATS = {"t339": 3}
DEEP = [
    pytest.param(strips((8, 8), 1, (16,), struct.pack("<H", 0x8040)), (128, 128, 128), id="tiff-grey-16"),
    pytest.param(strips((8, 8), 0, (16,), struct.pack("<H", 0x2000)), (223, 223, 223), id="tiff-white-is-zero-16"),
    pytest.param(strips((8, 8), 0, (8,), b"\x20"), (223, 223, 223), id="tiff-white-is-zero-8"),
    pytest.param(strips((8, 8), 2, (16, 16, 16), struct.pack("<3H", 0xC800, 0x2800, 0x5000)), RED, id="tiff-rgb-16"),
    pytest.param(
        strips((8, 8), 5, (16, 16, 16, 16), struct.pack("<4H", 0, 0xFFFF, 0xFFFF, 0)), (255, 0, 0), id="tiff-cmyk-16"
    ),
    pytest.param(strips((8, 8), 1, (32,), struct.pack("<f", 0.5), **FLOATS), (128, 128, 128), id="tiff-float-to-1"),
    pytest.param(strips((8, 8), 1, (32,), struct.pack("<f", 90), **FLOATS), (90, 90, 90), id="tiff-float-to-255"),
    pytest.param(strips((8, 8), 1, (32,), struct.pack("<f", 32768), **FLOATS), (128,) * 3, id="tiff-float-to-65535"),
    pytest.param(strips((8, 8), 1, (32,), struct.pack("<f", 1e30), **FLOATS), (255,) * 3, id="tiff-float-huge"),
    pytest.param(strips((8, 8), 1, (32,), struct.pack("<f", float("nan")), **FLOATS), (0, 0, 0), id="tiff-float-nan"),
    pytest.param(strips((8, 8), 1, (32,), struct.pack("<L", 32768)), (128, 128, 128), id="tiff-integers-32"),
    pytest.param(strips((8, 8), 8, (8, 8, 8), bytes((140, 0, 0))), (132, 132, 132), id="tiff-lab-grey"),
    pytest.param(strips((8, 8), 8, (8, 8, 8), bytes((138, 81, 70))), (255, 0, 0), id="tiff-lab-red"),
    pytest.param(png((8, 8), 16, 0, (b"\0" + b"\x80\x40" * 8) * 8), (128, 128, 128), id="png-grey-16"),
    pytest.param(png((8, 8), 4, 0, (b"\0" + b"\x88" * 4) * 8), (136, 136, 136), id="png-grey-4"),
    pytest.param(bmp((8, 8), 16, struct.pack("<H", 0x7C00) * 64), (255, 0, 0), id="bmp-555"),
    pytest.param(bmp((8, -8), 24, bytes((80, 40, 200)) * 64), RED, id="bmp-top-down"),
    pytest.param(bmp((8, 8), 32, bytes((80, 40, 200, 0)) * 64), RED, id="bmp-32-unused"),
    pytest.param(
        bmp(
            (8, 8),
            32,
            bytes((80, 40, 200, 0)) * 64,
            compression=3,
            masks=struct.pack("<4L", 0xFF0000, 0xFF00, 0xFF, 0xFF000000),
        ),
        RED,
        id="bmp-32-forgotten-alpha",
    ),
    pytest.param(bmp((8, 8), 8, b"\x08\x07\0\0" * 8 + b"\0\1", compression=1), (30, 29, 28), id="bmp-run-length"),
]


@pytest.mark.parametrize(("data", "colour"), DEEP)
def test_every_depth_and_colour_space_shows_its_colour(
    fit: Fit, target: Path, data: bytes, colour: tuple[int, int, int]
) -> None:
    assert isinstance(fit(data), Made)
    assert close(middle(target), colour, by=5), middle(target)


def test_a_transparent_level_of_sixteen_bits_is_kept(fit: Fit, target: Path) -> None:
    row = b"\0" + b"\x40\x00" * 4 + b"\x80\x00" * 4
    fit(png((8, 8), 16, 0, row * 8, (b"tRNS", b"\x40\x00")))
    made = delivered(target)
    assert [made.getpixel((1, 1)), made.getpixel((6, 1))] == [(64, 64, 64, 0), (128, 128, 128, 255)]


@pytest.mark.parametrize(
    ("bits", "pixel", "colour"),
    [
        ((8, 8, 8, 8), bytes((100, 20, 40, 128)), (200, 40, 80, 128)),
        ((8, 8), bytes((50, 128)), (100, 100, 100, 128)),
    ],
    ids=["RGBa", "La"],
)
def test_premultiplied_alpha_is_undone(
    fit: Fit, target: Path, *, bits: tuple[int, ...], pixel: bytes, colour: tuple[int, ...]
) -> None:
    fit(strips((8, 8), 2 if len(bits) == 4 else 1, bits, pixel, t338=1))
    assert close(middle(target), colour)


def with_transform(data: bytes, transform: int) -> bytes:
    """Say in Adobe's segment what the four channels are: 0 is CMYK, 2 is YCCK."""
    at = data.index(b"\xff\xee\0\x0eAdobe") + 15
    return data[:at] + bytes((transform,)) + data[at + 1 :]


def test_a_cmyk_jpeg_is_read_as_photoshop_writes_it(fit: Fit, target: Path) -> None:
    fit(with_transform(saved(Image.new("CMYK", (64, 64), (0, 255, 255, 0)), "JPEG", quality=95), 0))
    assert close(middle(target), (255, 0, 0))


def test_a_ycck_jpeg_is_read_as_photoshop_writes_it(fit: Fit, target: Path) -> None:
    """The inks of red, (0, 255, 255), as Y Cb Cr; Pillow writes four channels as they are, inverted."""
    inks = Image.new("CMYK", (64, 64), (255 - 179, 255 - 171, 255 - 1, 0))
    fit(with_transform(saved(inks, "JPEG", quality=95), 2))
    assert close(middle(target), (255, 0, 0))


def test_a_cmyk_profile_is_applied_to_cmyk_only(fit: Fit, target: Path) -> None:
    profile = cmyk_profile()
    inks = Image.new("CMYK", (64, 64), (0, 255, 255, 0))
    verdict = fit(saved(inks, "JPEG", quality=95, icc_profile=profile))
    assert isinstance(verdict, Made)
    assert "colours brought to sRGB" in verdict.steps
    assert not close(middle(target), (255, 0, 0), by=20), "a profile's red ink is no screen's red"
    fit(saved(Image.new("RGB", (128, 128), RED), "PNG", icc_profile=profile), SMALL_EDGE)
    assert close(middle(target), RED)


def cmyk_profile() -> bytes:
    """Write a printer's profile (ICC.1:2001-04, lut8Type): two points an ink, each mixing to a duller colour in Lab."""
    grid = bytearray()
    for inks in range(16):
        c, m, y, k = (inks >> bit & 1 for bit in (3, 2, 1, 0))
        light = 0 if k else 242 - 60 * c - 70 * m - 15 * y
        grid += bytes((max(0, light), 128 - 30 * c + 60 * m, 128 - 40 * c + 70 * y))
    ramp = bytes(range(256))
    matrix = struct.pack(">9l", *(65536 if at % 4 == 0 else 0 for at in range(9)))
    lut = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + matrix + ramp * 4 + bytes(grid) + ramp * 3
    desc = b"desc" + bytes(4) + struct.pack(">L", 8) + b"Printer\0" + bytes(78)
    white = b"XYZ " + bytes(4) + struct.pack(">3l", 63190, 65536, 54061)
    tags, bodies, at = b"", b"", 128 + 4 + 36
    for name, body in ((b"desc", desc), (b"wtpt", white), (b"A2B0", lut)):
        tags += name + struct.pack(">LL", at, len(body))
        bodies += body.ljust(-(-len(body) // 4) * 4, b"\0")
        at = 128 + 4 + 36 + len(bodies)
    header = struct.pack(">L4xL4s4s4s12x4s", at, 0x02100000, b"prtr", b"CMYK", b"Lab ", b"acsp").ljust(68, b"\0")
    header += struct.pack(">3l", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + struct.pack(">L", 3) + tags + bodies


P3 = profile_of(12, 13)
P3_ORANGE = (230, 120, 60)
IN_SRGB = (247, 112, 38)  # computed by hand from the matrices of SMPTE EG 432-1 and IEC 61966-2-1


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("PNG", {}),
        ("TIFF", {}),
        ("WEBP", {"lossless": True}),
        ("HEIF", {"quality": 95}),
        ("AVIF", {"quality": 95}),
    ],
)
def test_display_p3_becomes_srgb(fit: Fit, target: Path, form: str, options: dict[str, object]) -> None:
    data = saved(Image.new("RGB", (128, 128), P3_ORANGE), form, icc_profile=P3, **options)
    verdict = fit(data, SMALL_EDGE)
    assert isinstance(verdict, Made)
    assert "colours brought to sRGB" in verdict.steps
    assert close(middle(target), IN_SRGB, by=4), middle(target)


@pytest.mark.parametrize("form", ["HEIF", "AVIF"])
@pytest.mark.parametrize(
    ("primaries", "transfer", "colour", "wanted"),
    [
        (12, 13, P3_ORANGE, IN_SRGB),
        (12, 1, P3_ORANGE, IN_SRGB),
        (1, 13, P3_ORANGE, P3_ORANGE),
        (2, 2, P3_ORANGE, P3_ORANGE),
        (9, 16, (148, 148, 148), (225, 225, 225)),
        (9, 18, (191, 191, 191), (225, 225, 225)),
        (1, 8, (55, 55, 55), (128, 128, 128)),
    ],
    ids=["p3", "p3-bt709", "srgb", "unknown", "pq-white", "hlg-white", "linear"],
)
def test_colours_that_are_named_by_code_points_become_srgb(  # noqa: PLR0913 - a table
    fit: Fit,
    target: Path,
    *,
    form: str,
    primaries: int,
    transfer: int,
    colour: tuple[int, int, int],
    wanted: tuple[int, int, int],
) -> None:
    data = with_code_points(saved(Image.new("RGB", (64, 64), colour), form, quality=95), primaries, transfer)
    fit(data)
    assert close(middle(target), wanted, by=4), middle(target)


def test_ten_bits_become_eight(fit: Fit, target: Path) -> None:
    import pillow_heif  # noqa: PLC0415 - its own writer, for depths that Pillow's images do not have

    pixel = struct.pack("<3H", 200 << 8, 40 << 8, 80 << 8)
    out = BytesIO()
    pillow_heif.from_bytes("RGB;16", (64, 64), pixel * 64 * 64).save(out, quality=95)
    verdict = fit(out.getvalue())
    assert isinstance(verdict, Made)
    assert "brought to 8-bit RGB" in verdict.steps
    assert close(middle(target), RED, by=4), middle(target)


def test_a_gain_map_is_left_aside(fit: Fit, target: Path) -> None:
    """The layout of Ultra HDR: the picture itself, then the map, joined by an MPF index, named in XMP."""
    base = scene(size=(192, 144))
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><rdf:Description hdrgm:Version="1.0"/></x:xmpmeta>'
    data = saved(base, "MPO", save_all=True, append_images=[Image.new("L", (48, 36), 200)])
    marked = data[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(xmp)) + xmp + data[2:]
    for one in (data, marked):
        assert isinstance(fit(one), AsIs)
        verdict = fit(one, SMALL_EDGE)
        assert isinstance(verdict, Made)
        assert "first frame taken" not in verdict.steps
        assert distance(delivered(target), base.resize((64, 48))) < 5


# --- the way up -----------------------------------------------------------------------------------------------------


def rotated(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif.tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["TIFF", "HEIF", "AVIF"])
def test_every_orientation_is_turned_upright_once(fit: Fit, target: Path, form: str, orientation: int) -> None:
    """pillow-heif and Pillow's AVIF write the EXIF orientation as irot and imir too."""
    image = scene(size=(192, 144))
    options = {"tiffinfo": {274: orientation}} if form == "TIFF" else {"exif": rotated(orientation), "quality": 90}
    fit(saved(image, form, **options), SMALL_EDGE)
    tagged = Image.open(BytesIO(saved(image, "PNG", exif=rotated(orientation))))
    made = delivered(target)
    assert made.size == ((64, 48) if orientation < 5 else (48, 64))
    assert distance(made, ImageOps.exif_transpose(tagged).resize(made.size, Image.Resampling.LANCZOS)) < 4


@pytest.mark.parametrize("form", ["HEIF", "AVIF"])
@pytest.mark.parametrize("turned", [1, 6])
def test_an_exif_orientation_does_not_turn_what_has_properties(fit: Fit, target: Path, form: str, turned: int) -> None:
    """ISO/IEC 23008-12: irot and imir turn; readers are told to ignore Exif's, with those or without."""
    image = scene(size=(192, 144))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = turned
    exif[275] = 3  # a neighbour of the tag, because the writers take the tag itself out
    data = saved(image, form, exif=exif.tobytes(), quality=90)
    entry = struct.pack(">HHLH", 275, 3, 1, 3)
    assert data.count(entry) == 1
    fit(data.replace(entry, struct.pack(">HHLH", ORIENTATION, 3, 1, 3)), SMALL_EDGE)
    upright = image if turned == 1 else image.transpose(Image.Transpose.ROTATE_270)
    made = delivered(target)
    assert distance(made, upright.resize(made.size, Image.Resampling.LANCZOS)) < 4


@pytest.mark.parametrize("form", ["HEIF", "AVIF", "TIFF", "JPEG", "PNG", "WEBP"])
def test_an_orientation_in_xmp_does_not_turn(fit: Fit, target: Path, form: str) -> None:
    image = scene(size=(192, 144))
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    options: dict[str, object] = {"tiffinfo": {700: xmp}} if form == "TIFF" else {"xmp": xmp, "quality": 95}
    data = saved(image, form, **options)
    if form == "HEIF":  # its writer makes irot of it
        at = data.index(b"irot") + 4
        data = data[:at] + b"\0" + data[at + 1 :]
    fit(data, SMALL_EDGE)
    assert distance(delivered(target), image.resize((64, 48), Image.Resampling.LANCZOS)) < 4


# --- frames and metadata --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["TIFF", "AVIF", "HEIF", "PNG"])
def test_the_first_of_many_is_taken(fit: Fit, target: Path, form: str) -> None:
    first, *others = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue", "green")]
    verdict = fit(saved(first, form, save_all=True, append_images=others), replace(SMALL_EDGE, heavy_edge_px=32))
    assert isinstance(verdict, Made)
    assert "first frame taken" in verdict.steps
    assert close(middle(target), (255, 0, 0), by=4)


def test_the_primary_picture_of_a_heic_is_taken(fit: Fit, target: Path) -> None:
    red, blue = (Image.new("RGB", (64, 48), colour) for colour in ("red", "blue"))
    fit(saved(red, "HEIF", save_all=True, append_images=[blue], primary_index=1))
    assert close(middle(target), (0, 0, 255), by=4)


def test_a_preview_in_a_raw_file_is_not_taken_for_the_picture(fit: Fit) -> None:
    with pytest.raises(Undecodable, match="preview"):
        fit(strips((8, 8), 2, (8, 8, 8), b"abc", t254=1))


@pytest.mark.parametrize("brand", [b"mif1", b"heix", b"heim", b"heis"])
def test_a_heic_of_any_still_brand_is_opened(fit: Fit, brand: bytes) -> None:
    data = saved(scene(), "HEIF")
    assert isinstance(fit(data.replace(b"ftypheic", b"ftyp" + brand)), Made)


def test_a_grid_of_tiles_is_one_picture(fit: Fit, target: Path) -> None:
    image = scene(size=(300, 200))
    data = saved(image, "HEIF", tile_size=128, quality=90)
    assert b"grid" in data
    verdict = fit(data)
    assert (verdict.width, verdict.height) == (300, 200)
    assert distance(delivered(target), image) < 4


@pytest.fixture(scope="session")
def exiftool(need: Callable[[str], NoReturn]) -> str:
    path = shutil.which("exiftool")
    if path is None:
        need("exiftool is not installed (Debian: libimage-exiftool-perl)")
    return path


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_exiftool_finds_nothing_but_the_picture(
    fit: Fit, tmp_path: Path, exiftool: str, *, form: str, mode: str
) -> None:
    if (form, mode) == ("JPEG", "RGBA"):
        form, mode = "GIF", "P"
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Anna's telephone"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (52.0, 31.0, 0.1)
    options: dict[str, object] = {"exif": exif, "xmp": b"<x:xmpmeta>Anna</x:xmpmeta>", "icc_profile": P3}
    if form == "GIF":
        options = {"comment": b"Anna", "xmp": b"<x:xmpmeta>Anna</x:xmpmeta>"}
    if form == "TIFF":
        options |= {"tiffinfo": {270: "Anna", 700: b"<x:xmpmeta>Anna</x:xmpmeta>", 33432: "Anna"}}
    image = half_transparent("RGBA").resize((192, 144)) if mode == "RGBA" else scene(mode, (192, 144))
    data = saved(image, form, **options)
    assert b"Anna" in data
    verdict = fit(data, SMALL_EDGE)
    assert isinstance(verdict, Made)
    assert "metadata removed" in verdict.steps
    told = subprocess.run(  # noqa: S603 - a program that was looked up
        [exiftool, "-j", "-a", "-u", "-G1", str(tmp_path / "target")], capture_output=True, check=True, timeout=30
    )
    groups = {name.partition(":")[0] for name in json.loads(told.stdout)[0]} - {"SourceFile"}
    assert groups <= {"ExifTool", "System", "File", "JFIF", "PNG", "Composite"}
    assert b"Anna" not in told.stdout
    assert b"GPS" not in told.stdout


def test_the_type_is_told_by_the_bytes_alone() -> None:
    for form in ("JPEG2000", "PCX", "ICO", "TGA", "PPM", "DDS"):
        data = saved(noise((16, 16)), form)
        assert not sniff(BytesIO(data), len(data)).startswith("image/")
