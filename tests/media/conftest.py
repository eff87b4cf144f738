"""What the tests of media share: one call that does to bytes what a worker does to a source."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from proxy.media.images import fit_image
from proxy.media.kinds import AsIs, ImageRules, Made
from proxy.media.sniff import sniff

Fit = Callable[..., AsIs | Made]


@pytest.fixture
def fit(tmp_path: Path) -> Fit:
    """Give bytes their verdict; what is made of them lies in `target`."""

    def run(data: bytes, rules: ImageRules | None = None) -> AsIs | Made:
        source = tmp_path / "source"
        source.write_bytes(data)
        return fit_image(source, tmp_path / "target", sniff(BytesIO(data), len(data)), rules or ImageRules())

    return run


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"
