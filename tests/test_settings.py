"""The environment: read once, every mistake at once, nothing unsafe."""

import hashlib
import sys
from multiprocessing import get_context
from pathlib import Path

import pytest

from proxy.errors import SettingsInvalid
from proxy.settings import Settings, origin_of, parse_gateway_keys, parse_link_keys

SECRET = "a" * 43
HASH = hashlib.sha256(b"token").hexdigest()


def mistakes(monkeypatch: pytest.MonkeyPatch, **environment: str) -> tuple[str, ...]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid) as caught:
        Settings.read()
    return caught.value.mistakes


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STORE", "ftp://bucket"),
        ("STORE", "s3://UPPER"),
        ("STORE", "file://relative"),
        ("S3_ENDPOINT_URL", "localhost:9000"),
        ("PUBLIC_URL", "media.example.com"),
        ("PUBLIC_URL", "https://media.example.com/?a=b"),
        ("LINK_KEYS", SECRET),
        ("LINK_KEYS", "1:tooshort"),
        ("LINK_KEYS", f"256:{SECRET}"),
        ("LINK_KEYS", f"1:{SECRET},1:{SECRET}"),
        ("LINK_KEYS", "1:not base64 at all, I fear, no no no no no no"),
        ("LEDGER_KEY", "short"),
        ("LEDGER_URL", "mysql://x"),
        ("LEDGER_URL", "sqlite:///:memory:"),
        ("LEDGER_URL", "postgresql+psycopg2://me:secret@db.example/ledger"),
        ("LEDGER_URL", "postgresql://me:secret@db.example/ledger?sslmoda=require"),
        ("GATEWAY_KEYS", "the-token-itself"),
        ("GATEWAY_KEYS", f"{HASH}="),
        ("GATEWAY_KEYS", f"{HASH}=a/;"),
        ("GATEWAY_KEYS", f"{HASH}=a/;;b/"),
        ("WEBHOOK_SECRET", "two words"),
        ("D360_API_KEY", "schlüssel"),
        ("HEAVY_IMAGE_BYTES", "5000001"),
        ("HEAVY_IMAGE_BYTES", "1 MB"),
        ("CACHE_MAX_BYTES", "1000"),
        ("DECODE_SLOTS", "0"),
        ("DECODE_TIMEOUT_S", "inf"),
        ("PREFIX_RULES", "invoices/"),
        ("PREFIX_RULES", "invoices/=secret"),
        ("SERVE_ONLY", "both"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_value_names_its_setting_and_not_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    (mistake,) = mistakes(monkeypatch, **{name: value})
    assert mistake.startswith(f"{name}: ")
    assert name not in {"LINK_KEYS", "LEDGER_KEY", "LEDGER_URL", "D360_API_KEY"} or value not in mistake


def test_a_ledger_of_several_machines_needs_a_key_that_they_share(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://me:s3cr3t@db.example/ledger?sslmode=require"
    (mistake,) = mistakes(monkeypatch, LEDGER_URL=url)
    assert mistake.startswith("LEDGER_KEY: must be set, and the same on every machine")
    monkeypatch.setenv("LEDGER_KEY", SECRET)
    settings = Settings.read()
    assert str(settings.ledger_url) == "postgresql+psycopg://me:***@db.example/ledger?sslmode=require"
    assert "s3cr3t" not in repr(settings)


def test_a_ledger_in_postgresql_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    (mistake,) = mistakes(monkeypatch, LEDGER_URL="postgresql://db.example/ledger", LEDGER_KEY=SECRET)
    assert mistake == "LEDGER_URL: PostgreSQL needs psycopg: pip install --require-hashes -r requirements/image.txt"


def test_every_mistake_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = mistakes(
        monkeypatch,
        STORE="x",
        LINK_KEYS="y",
        D360_API_KEY="k",
        PUBLIC_URL="http://media.example.com",
        DECODE_QUEUE="-1",
    )
    assert {mistake.split(":")[0] for mistake in found} == {"STORE", "LINK_KEYS", "PUBLIC_URL", "DECODE_QUEUE"}


@pytest.mark.parametrize(
    "public_url",
    [
        "http://media.example.com",
        "https://localhost",
        "https://127.0.0.1",
        "https://10.0.0.7",
        "https://192.168.1.1:8443",
        "https://169.254.169.254",
        "https://[::1]",
        "https://media.local",
        "https://mediahost",
    ],
)
def test_a_real_provider_needs_a_public_https_address(monkeypatch: pytest.MonkeyPatch, public_url: str) -> None:
    (mistake,) = mistakes(monkeypatch, D360_API_KEY="key", PUBLIC_URL=public_url)
    assert mistake.startswith("PUBLIC_URL: must be https and public")
    monkeypatch.setenv("PROVIDER_URL", "http://127.0.0.1:8081")
    assert Settings.read().public_url == public_url


def test_the_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text("LOG_LEVEL=error\nLISTEN_PORT=9\n")
    monkeypatch.setenv("ENV_FILE", str(tmp_path / "a.env"))
    monkeypatch.setenv("LOG_LEVEL", "debug")
    settings = Settings.read(data_dir=tmp_path)
    assert (settings.log_level, settings.listen_port) == ("debug", 9)
    origins = {name: origin_of(name, settings) for name in ("log_level", "listen_port", "store", "link_keys")}
    assert origins == {
        "log_level": "environment",
        "listen_port": str(tmp_path / "a.env"),
        "store": "default",
        "link_keys": str(tmp_path / "link.key"),
    }


def test_a_file_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert mistakes(monkeypatch, ENV_FILE=str(tmp_path / "no.env")) == (
        f"ENV_FILE: there is no file {tmp_path / 'no.env'}",
    )


@pytest.mark.parametrize("content", ["", "short", "!" * 50])
def test_a_damaged_key_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "link.key").write_text(content)
    (tmp_path / "link.key").chmod(0o600)
    with pytest.raises(SettingsInvalid, match=r"DATA_DIR: .*link\.key: must"):
        Settings.read(data_dir=tmp_path).link_secrets()


def test_a_key_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsInvalid, match=r"DATA_DIR: .*File exists"):
        Settings.read(data_dir=tmp_path / "file").link_secrets()


def test_an_empty_value_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE", "")
    monkeypatch.setenv("LISTEN_PORT", "")
    assert Settings.read().listen_port == 8080


def test_the_first_link_key_mints() -> None:
    assert list(parse_link_keys(f"7:{SECRET}, 1:{SECRET}")) == [7, 1]


def test_callers_may_be_limited() -> None:
    other = hashlib.sha256(b"other").hexdigest()
    assert parse_gateway_keys(f"{HASH}, {other}= bills/; photos/") == {
        bytes.fromhex(HASH): ("",),
        bytes.fromhex(other): ("bills/", "photos/"),
    }


def test_keys_show_in_no_representation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINK_KEYS", f"1:{SECRET}")
    monkeypatch.setenv("WEBHOOK_SECRET", "sesame")
    shown = repr(Settings.read())
    assert SECRET not in shown
    assert "sesame" not in shown


def read_secret(data_dir: Path) -> bytes:
    return Settings.read(data_dir=data_dir).link_secrets()[1]


def test_processes_that_start_at_once_make_one_key(tmp_path: Path) -> None:
    with get_context("fork").Pool(4) as pool:
        secrets = pool.map(read_secret, [tmp_path / "data"] * 16)
    assert len(set(secrets)) == 1
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["link.key"]
    assert (tmp_path / "data" / "link.key").stat().st_mode & 0o777 == 0o600
