"""What goes out as it is goes out while it comes in, and breaks with its source."""

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.conftest import NO_TLS
from tests.faults.faulty_s3 import Fault, FaultyS3

if TYPE_CHECKING:
    from tests.conftest import House

Build = Callable[..., "House"]

READERS = 5


@pytest.fixture
def house(build_over: Build, s3: FaultyS3) -> "House":
    """A store that is slow is waited for here: what breaks is the body, not the patience."""
    return build_over(s3, store_read_timeout_s=30)


@pytest.fixture
def cold(house: "House", s3: FaultyS3) -> tuple[str, bytes]:
    body = b"%PDF-1.7\n" + os.urandom(1_500_000)
    s3.put("a.pdf", body)
    link = house.link("a.pdf", "document")
    for file in (house.settings.data_dir / "cache" / "files").glob("*/*"):
        file.unlink()
    return link, body


def unlinted(house: "House") -> httpx2.Client:
    return httpx2.Client(base_url=house.url, timeout=60, trust_env=False, verify=NO_TLS)


def gets(s3: FaultyS3) -> int:
    return s3.calls.count(f"GET /{s3.bucket}/a.pdf")


def test_readers_have_the_first_bytes_while_the_last_are_not_there_yet(
    house: "House", s3: FaultyS3, cold: tuple[str, bytes]
) -> None:
    link, body = cold
    with ExitStack() as open_, unlinted(house) as web:
        with s3.breaking(Fault.PAUSED):
            answers = [open_.enter_context(web.stream("GET", link)) for _ in range(READERS)]
            bodies = [answer.iter_raw() for answer in answers]
            begun = []
            for pieces in bodies:
                got = b""
                while len(got) < len(body) // 3:
                    got += next(pieces)
                begun.append(got)
            assert web.head(link).headers["content-length"] == str(len(body))
            assert web.get(link, headers={"Range": "bytes=9-99"}).content == body[9:100]
        assert [got + b"".join(rest) for got, rest in zip(begun, bodies, strict=True)] == [body] * READERS
        assert {answer.headers["etag"] for answer in answers} == {web.head(link).headers["etag"]}
        assert gets(s3) == 1
        assert web.get(link).headers["cache-status"] == "medialink; hit"


def test_a_body_that_breaks_breaks_its_readers_and_nobody_keeps_it(
    house: "House", s3: FaultyS3, cold: tuple[str, bytes]
) -> None:
    link, body = cold

    def read(_: int) -> int:
        with unlinted(house) as web, web.stream("GET", link) as answer:
            assert answer.headers["content-length"] == str(len(body))
            with pytest.raises(httpx2.RemoteProtocolError):
                deque(answer.iter_raw(), maxlen=0)
            return answer.num_bytes_downloaded

    with s3.breaking(Fault.TRUNCATED), ThreadPoolExecutor() as threads:
        assert all(got < len(body) for got in threads.map(read, range(READERS)))
    assert house.web.get(link).content == body


def test_a_reader_that_leaves_costs_nobody_else_anything(house: "House", s3: FaultyS3, cold: tuple[str, bytes]) -> None:
    link, body = cold
    with unlinted(house) as web:
        with s3.breaking(Fault.PAUSED):
            with web.stream("GET", link) as leaving:
                next(leaving.iter_raw())
            s3.await_gets("a.pdf")
        assert web.get(link).content == body
        assert gets(s3) == 1
