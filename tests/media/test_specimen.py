"""The photograph that the demo starts from."""

from pathlib import Path

import pytest
from PIL import ExifTags, Image

from proxy.media.checker import check
from proxy.media.kinds import Kind, Made, Rules
from proxy.specimen import make_photograph


def test_it_is_heavy_turned_and_tells_where_it_was_made(tmp_path: Path) -> None:
    path = tmp_path / "photograph.jpg"
    make_photograph(path)
    assert 5_000_000 < path.stat().st_size < 9_000_000
    with Image.open(path) as photograph:
        exif = photograph.getexif()
        assert photograph.size == (4032, 3024)
        assert exif[ExifTags.Base.Orientation] == 6
        assert exif[ExifTags.Base.Make] == "medialink"
        assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
    verdict = check(Kind.IMAGE, path, tmp_path / "rendition", Rules())
    assert isinstance(verdict, Made)
    assert (verdict.width, verdict.height) == (1920, 2560)
    assert verdict.size_bytes <= 1_000_000
    assert verdict.steps == ("scaled", "turned upright", "metadata removed", "saved as JPEG")


@pytest.mark.parametrize("size", [(400, 300), (301, 403)])
def test_the_same_seed_gives_the_same_picture(tmp_path: Path, size: tuple[int, int]) -> None:
    made = []
    for number, seed in enumerate((1, 1, 2)):
        path = tmp_path / str(number)
        make_photograph(path, width=size[0], height=size[1], seed=seed)
        made.append(path.read_bytes())
    assert made[0] == made[1] != made[2]
    with Image.open(tmp_path / "0") as photograph:
        assert photograph.size == size
