"""The command: what it does, what it says of it, and what it does not do by mistake."""

import asyncio
import json
from pathlib import Path

import pytest
import structlog
from boto3.session import Session
from typer.testing import CliRunner

from proxy.cli import app
from proxy.delivery.cdn import CloudFront
from proxy.delivery.takedowns import HEARD_WITHIN_S
from proxy.takedown import forget
from tests.conftest import Command
from tests.delivery.distributions import new_distribution


@pytest.fixture
def version(medialink: Command, tmp_path: Path, light_jpeg: bytes) -> str:
    """Put a photograph as a/b.jpg."""
    (tmp_path / "photo.jpg").write_bytes(light_jpeg)
    return str(json.loads(medialink("put", "photo.jpg", "a/b.jpg", "--json").stdout)["version"])


def kept(folder: Path) -> list[Path]:
    """List what says in the store that something is taken down."""
    return list((folder / "data" / "media" / ".medialink" / "takedowns").glob("*"))


def test_a_key_is_taken_down_listed_and_delivered_again(medialink: Command, version: str, tmp_path: Path) -> None:
    assert "0 taken down" in medialink("takedown", "--list").stdout
    link = medialink("link", "a/b.jpg", "--kind", "image").stdout
    tag = link.split("/m/")[1].split("/")[0]
    done = medialink("takedown", "a/b.jpg")
    assert done.returncode == 0, done.stderr
    assert "a/b.jpg is taken down: within 30 s every process answers 410." in done.stdout
    assert f"have your CDN forget /m/{tag}/*" in done.stdout
    assert "WhatsApp cannot be told" in done.stdout
    assert len(kept(tmp_path)) == 1
    refused = medialink("link", "a/b.jpg", "--kind", "image", "--json")
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["error"]["code"] == "taken_down"
    (listed,) = json.loads(medialink("takedown", "--list", "--json").stdout)["takedowns"]
    assert (listed["key"], listed["version"]) == ("a/b.jpg", None)
    shown = medialink("takedown", "--list").stdout
    assert "a/b.jpg" in shown
    assert "1 taken down" in shown
    undone = medialink("takedown", "a/b.jpg", "--undo")
    assert undone.stdout == "a/b.jpg is delivered again, within 30 s.\n"
    assert medialink("link", "a/b.jpg", "--kind", "image").stdout == link
    assert version in medialink("put", "photo.jpg", "a/b.jpg").stdout


def test_a_version_is_taken_down_alone(medialink: Command, version: str, tmp_path: Path) -> None:
    done = json.loads(medialink("takedown", "a/b.jpg", "--version", version, "--json").stdout)
    assert (done["version"], done["newest_version"], done["invalidation"]) == (version, version, None)
    assert medialink("link", "a/b.jpg", "--kind", "image").returncode == 1
    (tmp_path / "photo.jpg").write_bytes((tmp_path / "photo.jpg").read_bytes() + b"newer")
    medialink("put", "photo.jpg", "a/b.jpg")
    assert medialink("link", "a/b.jpg", "--kind", "image").returncode == 0


def test_what_may_be_a_slip_is_said(medialink: Command, version: str) -> None:
    never = medialink("takedown", "a/c.jpg")
    assert never.returncode == 0
    assert "The store has no such key now" in never.stdout
    other = medialink("takedown", "a/b.jpg", "--version", "h:0")
    assert f"Another version is the newest, and is delivered on: {version}" in other.stdout


@pytest.mark.parametrize(
    ("arguments", "settings", "says"),
    [
        pytest.param((), {}, "KEY: give either a key, or --list", id="nothing"),
        pytest.param(("a.jpg", "--list"), {}, "KEY: give either a key, or --list", id="key-and-list"),
        pytest.param(("--list", "--undo"), {}, "KEY: give either a key, or --list", id="list-and-undo"),
        pytest.param(("../a",), {}, "key: ", id="climbing-key"),
        pytest.param((".medialink/takedowns/x",), {}, "key: ", id="reserved-key"),
        pytest.param(("a.jpg", "--version", "3HL4kqtJlcpXroDTDmjVBH40Nrjfkd"), {}, "--version: begins with", id="raw"),
        pytest.param(("a.jpg", "--undo"), {}, "KEY: a.jpg is not taken down as a whole", id="undo-of-nothing"),
        pytest.param(("a.jpg",), {"CLOUDFRONT_DISTRIBUTION_ID": "E1"}, "LINK_KEYS: must be set", id="no-link-keys"),
        pytest.param(("a.jpg",), {"CLOUDFRONT_DISTRIBUTION_ID": "e1/x"}, "CLOUDFRONT_DISTRIBUTION_ID", id="wrong-id"),
    ],
)
def test_wrong_input_is_a_sentence_and_exit_2(
    medialink: Command, tmp_path: Path, arguments: tuple[str, ...], settings: dict[str, str], says: str
) -> None:
    shown = medialink("takedown", *arguments, **settings)
    assert shown.returncode == 2, shown.stderr
    assert says in shown.stderr
    assert "Traceback" not in shown.stderr
    assert kept(tmp_path) == []


def test_a_store_that_is_away_exits_3(medialink: Command) -> None:
    away = {"STORE": "s3://bucket", "S3_ENDPOINT_URL": "http://127.0.0.1:9", "S3_REGION": "us-east-1"}
    keys = {"S3_ACCESS_KEY_ID": "a", "S3_SECRET_ACCESS_KEY": "b"}
    shown = medialink("takedown", "a.jpg", **away, **keys)
    assert shown.returncode == 3
    assert "store" in shown.stderr
    assert "is taken down" not in shown.stdout


def test_the_cdn_is_told_by_the_command(
    moto_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(structlog.reset_defaults)
    monkeypatch.setattr("proxy.delivery.takedowns.HEARD_WITHIN_S", 0.0)
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "AWS_ENDPOINT_URL_CLOUDFRONT": moto_url,
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "tester",
        "LINK_KEYS": f"2:{'b' * 43},1:{'a' * 43}",
        "ALIAS_PREFIXES": "open/",
    }.items():
        monkeypatch.setenv(name, value)
    distribution = new_distribution()
    monkeypatch.setenv("CLOUDFRONT_DISTRIBUTION_ID", distribution)
    done = CliRunner().invoke(app, ["takedown", "open/a.jpg", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    client = Session().client("cloudfront", region_name="us-east-1")
    kept = client.get_invalidation(DistributionId=distribution, Id=told["invalidation"])["Invalidation"]
    assert kept["InvalidationBatch"]["Paths"]["Items"] == told["cdn_paths"]
    assert [path[:3] for path in told["cdn_paths"]].count("/m/") == 2
    assert "/image/open/a.jpg*" in told["cdn_paths"]
    said = CliRunner().invoke(app, ["takedown", "open/a.jpg"])
    assert "CloudFront forgets /m/" in said.stdout
    monkeypatch.setenv("CLOUDFRONT_DISTRIBUTION_ID", "NONE")
    refused = CliRunner().invoke(app, ["takedown", "open/b.jpg"])
    assert refused.exit_code == 3
    assert "open/b.jpg is taken down" in refused.stdout
    assert "CloudFront did not take the invalidation" in refused.stderr
    assert "2 taken down" in CliRunner().invoke(app, ["takedown", "--list"]).stdout


def test_the_cdn_is_told_after_everybody_has_heard() -> None:
    happened: list[object] = []

    class Cdn(CloudFront):
        def __init__(self) -> None:
            pass

        async def invalidate(self, paths: object, reference: str) -> str:
            happened.append((paths, len(reference)))
            return "I1"

    async def pause(seconds: float) -> None:
        happened.append(seconds)

    assert asyncio.run(forget(Cdn(), ["/m/a/*"], pause)) == "I1"
    assert happened == [HEARD_WITHIN_S, (["/m/a/*"], 32)]
