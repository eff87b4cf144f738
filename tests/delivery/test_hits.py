"""Hits: the quick way says what the long way says, and hands over where it cannot."""

import os
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
import structlog

from proxy.delivery.answers import BodyResponse
from proxy.delivery.cache import DiskCache
from proxy.delivery.hits import KEEP_S, MAX_READ_BYTES, Hits
from proxy.delivery.links import Link
from proxy.media.kinds import Kind
from proxy.storage.store import Key
from proxy.telemetry import configure_logging
from tests.conftest import NO_TLS

if TYPE_CHECKING:
    from tests.conftest import House

LINK = Link(kind=Kind.IMAGE, key=Key("a.jpg"), version="1", recipe=None, media_type="image/jpeg")
CHANGING = {"date", "x-request-id", "server-timing"}
YEAR_2020 = 1_577_836_800


def put_of_old(house: "House", key: str, body: bytes) -> None:
    """Put what is older than a second: a younger Last-Modified moves with the clock, and is not kept."""
    house.put(key, body)
    os.utime(Path(house.settings.store.removeprefix("file://")) / key, (YEAR_2020, YEAR_2020))


def cached_files(house: "House") -> list[Path]:
    return [path for path in (house.settings.data_dir / "cache" / "files").glob("*/*") if path.is_file()]


@pytest.mark.parametrize("size", [20_000, MAX_READ_BYTES + 5_000], ids=["read", "mapped"])
def test_a_hit_is_what_the_long_way_answers(house: "House", size: int) -> None:
    pdf = (b"%PDF-1.7\n" + os.urandom(size))[:size]
    put_of_old(house, "a.pdf", pdf)
    link = house.link("a.pdf", "document")
    etag = house.web.head(link).headers["etag"]
    asked = [
        ("GET", {}),
        ("HEAD", {}),
        ("GET", {"If-None-Match": etag}),
        ("HEAD", {"If-None-Match": f'"x", W/{etag}'}),
        ("GET", {"If-None-Match": '"x"'}),
        ("GET", {"Range": "bytes=5-9"}),
        ("GET", {"If-Modified-Since": "Wed, 01 Jan 2020 00:00:00 GMT"}),
        ("GET", {"If-Match": '"x"'}),
        ("POST", {}),
    ]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Hits, "find", lambda *_: None)
        slow = [house.web.request(method, link, headers=headers) for method, headers in asked]
    assert house.web.get(link).content == pdf
    quick = [house.web.request(method, link, headers=headers) for method, headers in asked]
    assert [answer.status_code for answer in quick] == [200, 200, 304, 304, 200, 206, 304, 412, 405]
    for one, other in zip(slow[:-1], quick[:-1], strict=True):
        assert (one.status_code, one.content) == (other.status_code, other.content)
        assert {k: v for k, v in one.headers.items() if k not in CHANGING} == {
            k: v for k, v in other.headers.items() if k not in CHANGING
        }
    assert len({answer.headers["x-request-id"] for answer in quick}) == len(quick)


def test_a_hit_outlives_its_file_and_its_source(house: "House", light_jpeg: bytes) -> None:
    put_of_old(house, "a.jpg", light_jpeg)
    link = house.link("a.jpg")
    house.web.get(link)
    house.put("a.jpg", b"replaced")
    for file in cached_files(house):
        file.unlink()
    assert house.web.get(link).content == light_jpeg
    assert house.web.get(link, headers={"Range": "bytes=0-1"}).status_code == 410


def test_a_mapped_body_that_shrinks_breaks_its_connection_and_nothing_else(house: "House") -> None:
    pdf = b"%PDF-1.7\n" + bytes(16_000_000)
    put_of_old(house, "a.pdf", pdf)
    link = house.link("a.pdf", "document")
    assert house.web.get(link).content == pdf
    (body,) = (file for file in cached_files(house) if file.stat().st_size > len(pdf))
    with httpx2.stream("GET", link, trust_env=False, verify=NO_TLS) as answer:
        chunks = answer.iter_raw(100_000)
        next(chunks)
        os.truncate(body, 1000)
        with pytest.raises(httpx2.RemoteProtocolError):
            list(chunks)
    assert house.web.get("/healthz").status_code == 200
    assert house.web.get(link).content == pdf


def test_what_was_put_just_now_goes_out_from_memory_too(house: "House", light_jpeg: bytes) -> None:
    house.put("a.jpg", light_jpeg)
    link = house.link("a.jpg")
    first, second, third = (house.web.get(link) for _ in range(3))
    assert third.headers["server-timing"] == "open;dur=0.0"
    assert len({answer.headers["last-modified"] for answer in (first, second, third)}) == 1
    assert parsedate_to_datetime(third.headers["last-modified"]) < parsedate_to_datetime(third.headers["date"])


@pytest.mark.parametrize(("level", "told"), [("info", False), ("debug", True)])
def test_hits_are_logged_where_they_are_asked_for(  # noqa: PLR0913 - a log, a level, a house, and what lies in it
    house: "House",
    light_jpeg: bytes,
    capfd: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
    level: str,
    *,
    told: bool,
) -> None:
    configure_logging(level, "json")
    request.addfinalizer(structlog.reset_defaults)
    put_of_old(house, "a.jpg", light_jpeg)
    link = house.link("a.jpg")
    for _ in range(3):
        house.web.get(link)
    assert capfd.readouterr().err.count("media.served") == (3 if told else 0)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def respond(tmp_path: Path) -> Callable[..., BodyResponse]:
    cache = DiskCache(tmp_path / "cache", 100_000_000, clock=Clock())

    def make(size: int = 1000, *, lasting: bool = True) -> BodyResponse:
        with cache.draft() as draft:
            draft.write_bytes(bytes(size))
            cache.publish(draft, f"name-{size}", b"{}")
        body = cache.open(f"name-{size}")
        assert body is not None
        response = BodyResponse(body, 200, {"Cache-Control": "no-store"}, 0, size)
        response.lasting = lasting
        return response

    return make


@pytest.mark.parametrize(("until_s", "kept_s"), [(float("inf"), KEEP_S), (1000.4, 0.4)], ids=["lasting", "expiring"])
def test_a_hit_has_its_time(respond: Callable[..., BodyResponse], until_s: float, kept_s: float) -> None:
    clock = Clock()
    hits = Hits(clock)
    hits.keep(b"/m/a", LINK, respond(), until_s)
    clock.now += kept_s - 0.001
    assert hits.find(b"/m/a")
    clock.now += 0.002
    assert hits.find(b"/m/a") is None


def test_hits_are_bounded_and_the_oldest_go_first(
    respond: Callable[..., BodyResponse], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.delivery.hits.MAX_HITS", 3)
    monkeypatch.setattr("proxy.delivery.hits.MAX_HITS_BYTES", 400_000)
    hits = Hits(Clock())
    for path in (b"a", b"b", b"a", b"c", b"d"):
        hits.keep(path, LINK, respond(), float("inf"))
    assert [bool(hits.find(path)) for path in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    hits.keep(b"large", LINK, respond(399_000), float("inf"))
    assert [bool(hits.find(path)) for path in (b"a", b"c", b"d", b"large")] == [False, False, True, True]


def test_what_would_differ_tomorrow_is_not_kept(respond: Callable[..., BodyResponse]) -> None:
    hits = Hits(Clock())
    hits.keep(b"young", LINK, respond(lasting=False), float("inf"))
    hits.keep(b"empty", LINK, respond(0), float("inf"))
    assert hits.find(b"young") is None
    assert hits.find(b"empty") is None
