"""CloudFront is told once, of every path that may hold a key, and what it refuses is told."""

import asyncio
import logging
from collections.abc import Callable
from socketserver import StreamRequestHandler, TCPServer, ThreadingTCPServer
from urllib.parse import quote

import pytest
from boto3.session import Session

from proxy.delivery.cdn import CloudFront, paths_of
from proxy.delivery.links import Link, Links
from proxy.errors import CdnAway
from proxy.media.kinds import Kind
from proxy.storage.store import Key
from tests.delivery.distributions import new_distribution

OLD, NEW = {1: b"o" * 32}, {2: b"n" * 32}
URL = "https://media.example.com"


@pytest.fixture
def to(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let AWS's own settings lead somewhere."""

    def lead(url: str) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFRONT", url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tester")

    return lead


@pytest.mark.parametrize("key", ["a.jpg", "photos/Über 100%/(1) a+b#?.jpg", "写真/夏.webp"])
def test_its_paths_take_in_every_link_and_alias_of_a_key(key: str) -> None:
    paths = paths_of(Key(key), NEW | OLD, f"{URL}/base", ("",))
    stems = tuple(path.removesuffix("*") for path in paths)
    assert all(path.endswith("*") and path.count("*") == 1 and path.isascii() for path in paths)
    for kind in Kind:
        for secrets in (NEW, OLD):
            link = Link(kind=kind, key=Key(key), version="h:1", recipe="r", media_type="image/png", expires_at=1)
            assert f"/base{Links(secrets).mint(link)}".startswith(stems)
        for alias in (key, f"{key}.jpg"):
            assert f"/base/{kind}/{quote(alias)}".startswith(stems)
    other = Links(NEW).mint(Link(kind=Kind.IMAGE, key=Key("b"), version="1", recipe=None, media_type="image/png"))
    assert not f"/base{other}".startswith(stems)


def test_a_key_without_an_alias_has_the_paths_of_its_links_alone() -> None:
    for prefixes in ((), ("open/",)):
        (path,) = paths_of(Key("a.jpg"), NEW, URL, prefixes)
        assert path.startswith("/m/")
    assert len(paths_of(Key("open/a.jpg"), NEW, URL, ("open/",))) == 1 + len(Kind)


def test_it_takes_an_invalidation(moto_url: str, to: Callable[[str], None]) -> None:
    to(moto_url)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    distribution = new_distribution()
    told = asyncio.run(CloudFront(distribution).invalidate(["/m/abc/*", "/image/a*"], "reference"))
    kept = (
        Session().client("cloudfront", region_name="us-east-1").get_invalidation(DistributionId=distribution, Id=told)
    )
    batch = kept["Invalidation"]["InvalidationBatch"]
    assert batch["Paths"]["Items"] == ["/m/abc/*", "/image/a*"]
    assert batch["CallerReference"] == "reference"


def test_a_distribution_that_is_not_there_is_told(moto_url: str, to: Callable[[str], None]) -> None:
    to(moto_url)
    with pytest.raises(CdnAway) as caught:
        asyncio.run(CloudFront("NONE").invalidate(["/m/abc/*"], "reference"))
    assert "NoSuchDistribution" in repr(caught.value.__cause__)


def test_a_cdn_that_does_not_answer_is_told(
    to: Callable[[str], None], running: Callable[[TCPServer], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class HangUp(StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()

    monkeypatch.setattr("proxy.delivery.cdn.ATTEMPTS", 1)
    to(running(ThreadingTCPServer(("127.0.0.1", 0), HangUp)))
    with pytest.raises(CdnAway):
        asyncio.run(CloudFront("E1").invalidate(["/m/abc/*"], "reference"))


def test_without_credentials_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(CdnAway) as caught:
        asyncio.run(CloudFront("E1").invalidate(["/m/abc/*"], "reference"))
    assert "credentials" in repr(caught.value.__cause__)
