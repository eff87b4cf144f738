"""The commands as a person and a script use them: in a process of their own."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Command

if TYPE_CHECKING:
    from tests.conftest import House


@pytest.fixture
def photo(tmp_path: Path, light_jpeg: bytes) -> str:
    (tmp_path / "photo.jpg").write_bytes(light_jpeg)
    return "photo.jpg"


def test_help_lists_the_commands(medialink: Command) -> None:
    shown = medialink("--help")
    assert shown.returncode == 0
    for name in ("serve", "put", "link", "check", "send", "sandbox", "demo", "settings", "health", "prepare", "warm"):
        assert name in shown.stdout
    for name in ("messages", "message", "report"):
        assert f" {name} " in shown.stdout


def test_a_file_is_put_linked_and_checked(medialink: Command, photo: str, light_jpeg: bytes) -> None:
    put = medialink("put", photo, "a/b.jpg", "--json")
    assert json.loads(put.stdout)["bytes"] == len(light_jpeg)
    first, second = medialink("link", "a/b.jpg", "--kind", "image"), medialink("link", "a/b.jpg", "-k", "image")
    assert first.stdout == second.stdout
    assert first.stdout.startswith("http://127.0.0.1:8080/m/")
    assert first.stdout.endswith("/b.jpg\n")
    assert first.stderr == ""
    by_key = medialink("check", "a/b.jpg", "--kind", "image", "--json")
    by_file = medialink("check", photo, "--kind", "image", "--json")
    assert json.loads(by_key.stdout) == json.loads(by_file.stdout)
    assert json.loads(by_key.stdout)["outcome"] == "as_is"


def test_keys_are_made_once_and_only_their_owner_reads_them(medialink: Command, photo: str, tmp_path: Path) -> None:
    medialink("put", photo)
    medialink("link", photo, "--kind", "image")
    key = tmp_path / "data" / "link.key"
    assert key.stat().st_mode & 0o777 == 0o600
    before = key.read_text()
    medialink("link", photo, "--kind", "image")
    assert key.read_text() == before


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [(b"<html>", "document", "text/html"), (b"%PDF-1.7 x", "image", "application/pdf")],
)
def test_a_refused_medium_exits_1_and_says_why(
    medialink: Command, tmp_path: Path, body: bytes, kind: str, says: str
) -> None:
    (tmp_path / "a.bin").write_bytes(body)
    shown = medialink("check", "a.bin", "--kind", kind)
    assert shown.returncode == 1
    assert "refused" in shown.stdout
    assert says in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(("put", "nothing.jpg"), "does not exist", id="missing-file"),
        pytest.param(("put", "photo.jpg", "../a"), "key: ", id="climbing-key"),
        pytest.param(
            ("link", "nothing.jpg", "--kind", "image"), "neither a file nor a key nothing.jpg", id="missing-key"
        ),
        pytest.param(
            ("check", "~/no.jpg", "--kind", "image"), "neither a file nor a key ~/no.jpg", id="missing-file-or-key"
        ),
        pytest.param(("check", "/no.jpg", "--kind", "image"), "there is no file /no.jpg", id="missing-absolute-file"),
        pytest.param(("sandbox", "--webhook-url", "ftp://x"), "--webhook-url", id="wrong-webhook-url"),
        pytest.param(("sandbox", "--port", "99999"), "port", id="wrong-port"),
        pytest.param(("link", "photo.jpg", "--kind", "film"), "film", id="wrong-kind"),
        pytest.param(("send", "12", "photo.jpg", "--kind", "image", "--dry-run"), "to: ", id="wrong-number"),
        pytest.param(("send", "+49 170 1234567", "photo.jpg", "--kind", "image"), "D360_API_KEY", id="no-provider"),
        pytest.param(("serve", "--only", "both"), "SERVE_ONLY", id="wrong-half"),
        pytest.param(("no-such-command",), "no-such-command", id="wrong-command"),
    ],
)
@pytest.mark.usefixtures("photo")
def test_wrong_input_is_a_sentence_and_exit_2(medialink: Command, arguments: tuple[str, ...], says: str) -> None:
    shown = medialink(*arguments)
    assert shown.returncode == 2, shown.stderr
    assert says in shown.stderr
    assert "Traceback" not in shown.stderr


def test_every_wrong_setting_is_named_at_once(medialink: Command) -> None:
    shown = medialink("settings", STORE="ftp://x", HEAVY_IMAGE_BYTES="many", LINK_KEYS="1:short")
    assert shown.returncode == 2
    for name in ("STORE", "HEAVY_IMAGE_BYTES", "LINK_KEYS"):
        assert name in shown.stderr


def test_a_script_gets_errors_in_json(medialink: Command) -> None:
    shown = medialink("link", "nothing.jpg", "--kind", "image", "--json")
    assert shown.returncode == 2
    assert json.loads(shown.stdout)["error"]["code"] == "malformed"


@pytest.mark.parametrize(
    "name", ["my photo[final].jpg", "q[/b].jpg", "[/x]y.jpg", ":cat:.jpg", "'quoted' \"twice\".jpg"]
)
def test_a_name_is_shown_as_it_is(medialink: Command, tmp_path: Path, light_jpeg: bytes, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(light_jpeg)
    shown = medialink("check", name, "--kind", "image")
    assert shown.returncode == 0
    assert shown.stdout.startswith(f"{name} as image: deliverable as it is")


def test_a_wrong_number_leaves_nothing_behind(medialink: Command, photo: str, tmp_path: Path) -> None:
    assert medialink("send", "123", photo, "--kind", "image", "--dry-run").returncode == 2
    assert not (tmp_path / "data" / "media" / "uploads").exists()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serve_says_in_a_sentence_what_it_cannot_use(medialink: Command, tmp_path: Path, workers: str) -> None:
    (tmp_path / "data" / "cache").mkdir(parents=True)
    (tmp_path / "data" / "cache" / "files").touch()
    shown = medialink("serve", "--workers", workers)
    assert shown.returncode == 3
    assert "CACHE_DIR" in shown.stderr
    assert "because: FileExistsError" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_a_store_that_is_away_exits_3(medialink: Command) -> None:
    keys = {"S3_ACCESS_KEY_ID": "a", "S3_SECRET_ACCESS_KEY": "b"}
    shown = medialink(
        "link", "a.jpg", "--kind", "image", STORE="s3://bucket", S3_ENDPOINT_URL="http://127.0.0.1:9", **keys
    )
    assert shown.returncode == 3
    assert "does not answer" in shown.stderr


def test_a_dry_run_shows_the_message_and_posts_nothing(medialink: Command, photo: str, tmp_path: Path) -> None:
    shown = medialink("send", "+49 170 1234567", photo, "--kind", "image", "--caption", "Hi", "--dry-run")
    message = json.loads(shown.stdout)
    assert (message["to"], message["type"], message["image"]["caption"]) == ("491701234567", "image", "Hi")
    assert not (tmp_path / "data" / "ledger.sqlite3").exists()


def test_a_file_is_sent_through_a_running_service(
    medialink: Command, photo: str, house: "House", tmp_path: Path
) -> None:
    settings = {
        "DATA_DIR": str(house.settings.data_dir),
        "STORE": house.settings.store,
        "PUBLIC_URL": house.url,
        "PROVIDER_URL": house.settings.provider_url,
        "D360_API_KEY": "provider-key-of-the-test",
        "LINK_KEYS": "1:" + "a" * 43,
    }
    shown = medialink("send", "+49 170 1234567", photo, "--kind", "image", "--json", **settings)
    sent = json.loads(shown.stdout)
    assert shown.returncode == 0
    story = house.story(sent["provider_message_id"])
    assert story["statuses"][-1]["status"] == "delivered"
    assert house.web.get(sent["link"]).content == (tmp_path / photo).read_bytes()


def test_settings_hide_secrets_and_tell_where_values_come_from(medialink: Command, tmp_path: Path) -> None:
    (tmp_path / "own.env").write_text("HEAVY_IMAGE_BYTES=700000\nLINK_KEYS=1:" + "a" * 43)
    shown = medialink("settings", "--json", ENV_FILE="own.env", LOG_LEVEL="debug")
    rows = json.loads(shown.stdout)
    assert "a" * 43 not in shown.stdout
    assert rows["LINK_KEYS"] == {"value": "(hidden)", "from": "own.env"}
    assert rows["HEAVY_IMAGE_BYTES"] == {"value": "700000", "from": "own.env"}
    assert rows["LOG_LEVEL"] == {"value": "debug", "from": "environment"}
    assert rows["LISTEN_PORT"] == {"value": "8080", "from": "default"}


def test_health_asks_the_running_service(medialink: Command, house: "House") -> None:
    well = medialink("health", "--url", house.url, "--json")
    assert (well.returncode, json.loads(well.stdout)["ready"]) == (0, True)
    away = medialink("health", "--url", "http://127.0.0.1:9")
    assert away.returncode == 3
    assert "does not answer" in away.stdout


def test_settings_in_a_pipe_are_not_cut(medialink: Command) -> None:
    long = f"file:///{'very-long/' * 30}end"
    assert long in medialink("settings", STORE=long).stdout
