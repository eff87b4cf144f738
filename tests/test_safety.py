"""A start that would be unsafe is refused in a sentence, and what may surprise is told before traffic comes."""

import json
import socket
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proxy.errors import SettingsInvalid
from proxy.safety import doubtful
from proxy.settings import Settings
from tests.conftest import Command

if TYPE_CHECKING:
    from tests.conftest import House

SECRET = "a" * 43
SAFE = {
    "MODE": "production",
    "LINK_KEYS": f"1:{SECRET}",
    "LEDGER_KEY": SECRET,
    "PUBLIC_URL": "https://media.example.com",
    "WEBHOOK_SECRET": "sixteen-or-more-characters",
    "FORWARD_WEBHOOKS_TO": "none",
    "D360_API_KEY": "key",
}
DELIVERY = {"MODE": "production", "SERVE_ONLY": "delivery", "LINK_KEYS": f"1:{SECRET}"}


def read(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str], data_dir: Path | None = None) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings.read(**({"data_dir": data_dir} if data_dir else {}))


def refused(
    monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str], data_dir: Path | None = None
) -> tuple[str, ...]:
    with pytest.raises(SettingsInvalid) as caught:
        read(monkeypatch, environment, data_dir)
    return caught.value.mistakes


@pytest.mark.parametrize(
    "environment",
    [SAFE, DELIVERY, {**SAFE, "WEBHOOK_SECRET": "sixteen-letters-"}],
    ids=["both", "delivery", "shortest secret"],
)
def test_a_safe_set_up_starts_in_production(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
    assert read(monkeypatch, environment).mode == "production"


@pytest.mark.parametrize(
    ("changed", "begins"),
    [
        pytest.param({"LINK_KEYS": ""}, "LINK_KEYS: must be set in production", id="no link key"),
        pytest.param({"LINK_KEYS": "1:c2hvcnQ"}, "LINK_KEYS: must hold at least 32 bytes", id="short link key"),
        pytest.param({"LEDGER_KEY": ""}, "LEDGER_KEY: must be set in production", id="no ledger key"),
        pytest.param({"PUBLIC_URL": "http://media.example.com"}, "PUBLIC_URL: must be https", id="http"),
        pytest.param(
            {"PUBLIC_URL": "https://10.1.2.3", "D360_API_KEY": ""}, "PUBLIC_URL: must be https and public", id="private"
        ),
        pytest.param({"PROVIDER_URL": "http://waba.example.com"}, "PROVIDER_URL: must be https", id="open provider"),
        pytest.param({"WEBHOOK_SECRET": "fifteen-letters"}, "WEBHOOK_SECRET: must have at least 16", id="short secret"),
        pytest.param({"META_APP_SECRET": "fifteen-letters"}, "META_APP_SECRET: must have at least 16", id="short key"),
        pytest.param({"FORWARD_WEBHOOKS_TO": ""}, "FORWARD_WEBHOOKS_TO: must be said", id="webhooks for nobody"),
        pytest.param(
            {"FORWARD_WEBHOOKS_TO": "", "WEBHOOK_SECRET": "", "META_APP_SECRET": "a" * 32},
            "FORWARD_WEBHOOKS_TO: must be said",
            id="signed webhooks for nobody",
        ),
    ],
)
def test_production_refuses(monkeypatch: pytest.MonkeyPatch, changed: Mapping[str, str], begins: str) -> None:
    (mistake,) = refused(monkeypatch, {**SAFE, **changed})
    assert mistake.startswith(begins)


def test_production_names_all_that_is_unsafe_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = refused(monkeypatch, {"MODE": "production", "WEBHOOK_SECRET": "short"})
    assert [mistake.split(":")[0] for mistake in found] == [
        "LINK_KEYS",
        "PUBLIC_URL",
        "LEDGER_KEY",
        "WEBHOOK_SECRET",
        "FORWARD_WEBHOOKS_TO",
    ]


def test_what_delivers_only_needs_nothing_of_messaging_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    found = refused(monkeypatch, {**DELIVERY, "LINK_KEYS": ""})
    assert [mistake.split(":")[0] for mistake in found] == ["LINK_KEYS"]


@pytest.mark.parametrize("name", ["link.key", "ledger.key"])
def test_a_key_file_that_everybody_can_read_is_refused_in_any_mode(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    settings = Settings.read(data_dir=tmp_path)
    settings.link_secrets()
    settings.ledger_secrets()
    for allowed in (0o600, 0o660):
        (tmp_path / name).chmod(allowed)
        Settings.read(data_dir=tmp_path)
    (tmp_path / name).chmod(0o604)
    assert refused(monkeypatch, {}, tmp_path) == (
        f"DATA_DIR: {tmp_path / name} can be read by everybody on this machine; chmod 600 it",
    )
    monkeypatch.setenv("LINK_KEYS", f"1:{SECRET}")
    monkeypatch.setenv("LEDGER_KEY", SECRET)
    assert Settings.read(data_dir=tmp_path).mode == "trial"


def test_production_refuses_secrets_in_a_file_that_everybody_can_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "own.env"
    file.write_text(f"LINK_KEYS=1:{SECRET}\n")
    file.chmod(0o644)
    environment = {**DELIVERY, "LINK_KEYS": "", "ENV_FILE": str(file)}
    assert refused(monkeypatch, environment) == (
        f"ENV_FILE: {file} can be read by everybody on this machine; chmod 600 it",
    )
    monkeypatch.setenv("MODE", "trial")
    assert Settings.read().link_keys is not None
    monkeypatch.setenv("MODE", "production")
    file.chmod(0o640)
    assert Settings.read().link_keys is not None
    file.write_text("LOG_LEVEL=debug\n")
    file.chmod(0o644)
    monkeypatch.setenv("LINK_KEYS", f"1:{SECRET}")
    assert Settings.read().log_level == "debug"


@pytest.mark.parametrize(
    ("environment", "doubted"),
    [
        pytest.param({}, [], id="a trial"),
        pytest.param({**SAFE, "MISSES_PER_MINUTE": "600", "METRICS_PORT": "9090"}, [], id="production as it should be"),
        pytest.param({**SAFE, "METRICS_PORT": "9090"}, ["MISSES_PER_MINUTE"], id="production without a limit"),
        pytest.param({**SAFE, "MISSES_PER_MINUTE": "600"}, ["METRICS_PORT"], id="production with public metrics"),
        pytest.param({**SAFE, "SERVE_ONLY": "messaging"}, ["METRICS_PORT"], id="messaging with public metrics"),
        pytest.param({**DELIVERY, "METRICS_PORT": "0"}, ["MISSES_PER_MINUTE", "METRICS_PORT"], id="bare delivery"),
        pytest.param({**SAFE, "MODE": "trial", "LINK_KEYS": ""}, ["MODE", "LINK_KEYS"], id="a real provider on trial"),
        pytest.param(
            {**SAFE, "MODE": "trial", "FORWARD_WEBHOOKS_TO": ""}, ["MODE", "FORWARD_WEBHOOKS_TO"], id="lost on trial"
        ),
        pytest.param({"SERVE_ONLY": "messaging"}, ["LINK_KEYS"], id="half a service with a key of its own"),
    ],
)
def test_what_may_surprise_is_told(
    monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str], doubted: list[str]
) -> None:
    assert [warning.split(":")[0] for warning in doubtful(read(monkeypatch, environment))] == doubted


def test_an_unsafe_service_does_not_start(medialink: Command) -> None:
    shown = medialink("serve", "--only", "delivery", MODE="production")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "LINK_KEYS: must be set in production" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_the_check_opens_every_door(medialink: Command, house: "House") -> None:
    settings = {
        "DATA_DIR": str(house.settings.data_dir),
        "STORE": house.settings.store,
        "PUBLIC_URL": house.url,
        "PROVIDER_URL": house.settings.provider_url,
        "D360_API_KEY": "provider-key-of-the-test",
    }
    shown = medialink("settings", "--check", **settings)
    assert shown.stdout.splitlines() == ["store: ok", "cache: ok", "ledger: ok", "takedowns: ok", "provider: ok"]
    assert (shown.returncode, shown.stderr) == (0, "")
    half = medialink("settings", "--check", "--json", **settings, SERVE_ONLY="delivery", LINK_KEYS=f"1:{SECRET}")
    assert json.loads(half.stdout) == {
        "ready": True,
        "doors": {"store": "ok", "cache": "ok", "takedowns": "ok"},
        "warnings": [],
    }
    assert house.fetches() == []


def test_the_check_names_every_door_that_is_away(medialink: Command, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    (tmp_path / "ledger").mkdir()
    shown = medialink(
        "settings",
        "--check",
        STORE="s3://bucket",
        S3_ENDPOINT_URL=nobody,
        S3_ACCESS_KEY_ID="a",
        S3_SECRET_ACCESS_KEY="b",
        LEDGER_URL=f"sqlite:///{tmp_path / 'ledger'}",
        PROVIDER_URL=nobody,
        D360_API_KEY="key",
    )
    told = dict(line.split(": ", 1) for line in shown.stdout.splitlines())
    assert shown.returncode == 3
    assert told["cache"] == "ok"
    assert told["store"].startswith("The store of the media does not answer")
    assert told["ledger"].startswith("The ledger of the messages does not answer")
    assert told["provider"].startswith(f"{nobody} does not answer (ConnectError")
    assert "Traceback" not in shown.stderr


def test_the_check_tells_wrong_settings_in_a_line_each(medialink: Command) -> None:
    shown = medialink("settings", "--check", MODE="production", SERVE_ONLY="messaging")
    assert shown.returncode == 2
    lines = [line.strip() for line in shown.stderr.splitlines()]
    assert [line.split(":")[0] for line in lines[1:]] == ["LINK_KEYS", "PUBLIC_URL", "LEDGER_KEY"]


def test_a_public_address_that_does_not_answer_yet_is_a_warning(medialink: Command, house: "House") -> None:
    shown = medialink(
        "settings",
        "--check",
        "--json",
        DATA_DIR=str(house.settings.data_dir),
        PROVIDER_URL="https://waba.nowhere.example",
        D360_API_KEY="key",
        PUBLIC_URL="https://media.nowhere.example",
    )
    told = json.loads(shown.stdout)
    assert shown.returncode == 3, "the provider does not answer"
    assert [warning.split(":")[0] for warning in told["warnings"]] == ["MODE", "LINK_KEYS", "PUBLIC_URL"]
    assert "WhatsApp must reach it" in told["warnings"][-1]
