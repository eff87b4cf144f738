"""A whole house over an S3 that breaks on demand."""

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.faults.faulty_s3 import FaultyS3

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from tests.conftest import House

Build = Callable[..., "House"]


@pytest.fixture
def open_faulty_s3(
    moto_url: str, new_bucket: Callable[..., str], client_of: Callable[[str], "S3Client"]
) -> Iterator[Callable[..., FaultyS3]]:
    with ExitStack() as opened:
        yield lambda **bucket: opened.enter_context(
            FaultyS3(moto_url, new_bucket(moto_url, **bucket), client_of(moto_url))
        )


@pytest.fixture
def s3(open_faulty_s3: Callable[..., FaultyS3]) -> FaultyS3:
    return open_faulty_s3()


@pytest.fixture
def build_over(build: Build) -> Build:
    return lambda s3, **values: build(**s3.settings | values)


@pytest.fixture
def house(build_over: Build, s3: FaultyS3) -> "House":
    return build_over(s3)


@pytest.fixture(scope="session")
def pdf() -> bytes:
    return b"%PDF-1.7\n" + bytes(range(256)) * 2_000 + b"\n%%EOF"


@pytest.fixture(scope="session")
def webp() -> bytes:
    """Draw what WhatsApp takes as an image only after it was made a JPEG."""
    out = io.BytesIO()
    Image.effect_noise((400, 300), 60).convert("RGB").save(out, "WEBP")
    return out.getvalue()
