"""The environment, read once, with every mistake named at once.

A value comes from the environment, else from the file that ENV_FILE names (`.env` where there is one), else, for
the two keys, from a file in DATA_DIR that is made on first use, else from the default that stands here.
"""

import base64
import binascii
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address, ip_network
from pathlib import Path
from tempfile import mkstemp
from typing import Annotated, Literal, Self, get_args
from urllib.parse import SplitResult, urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from proxy.errors import SettingsInvalid
from proxy.safety import Mode, unsafe

PROVIDER_360DIALOG = "https://waba-v2.360dialog.io"
D360_HOSTS = (".360dialog.io",)
META_HOST = "graph.facebook.com"
MIN_SECRET_BYTES = 32
MAX_LINK_KEY_ID = 255
"""The id takes one byte of the token."""

MAX_TRUSTED_PROXIES = 1000
"""Networks; a CDN's published list has some hundreds."""

Seconds = Annotated[float, Field(gt=0, le=3600)]


class Settings(BaseSettings):
    """One field a setting: its name in capitals is the variable, its description stands in the README."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True, validate_default=True
    )

    mode: Mode = Field("trial", description="`production` refuses an unsafe start: no keys of its own, no https.")
    data_dir: Path = Field(Path("data"), description="Where everything local lies: keys, cache, ledger, folder store.")
    store: str = Field("", description="`s3://bucket/prefix` or `file:///path`; empty means `DATA_DIR/media`.")
    s3_endpoint_url: str | None = Field(None, description="For what speaks S3: GCS, R2, B2, MinIO, SeaweedFS.")
    s3_region: str | None = Field(None, description="Region of the bucket; unset means AWS's own configuration.")
    s3_access_key_id: str | None = Field(None, description="Key of the store; unset means AWS's own credential chain.")
    s3_secret_access_key: SecretStr | None = Field(None, description="The secret to it.")
    store_threads: int = Field(
        16, ge=1, le=256, description="Calls to the store at once: so many looks, so many bodies."
    )
    store_connect_timeout_s: Seconds = Field(2.0, description="Seconds to reach the store.")
    store_read_timeout_s: Seconds = Field(10.0, description="Seconds between two reads from the store.")

    provider_url: str = Field(PROVIDER_360DIALOG, description="Where messages are posted: 360dialog, or a sandbox.")
    d360_api_key: SecretStr | None = Field(None, description="The provider's key. Unset: nothing can be sent.")
    provider_timeout_s: Seconds = Field(20.0, description="Seconds to wait for the provider's answer.")
    public_url: str = Field(
        "http://127.0.0.1:8080",
        description="What links begin with; with a real provider it must be https and public.",
    )
    gateway_keys: SecretStr | None = Field(
        None,
        description="SHA-256 (hex) of each key that may call, comma-separated; `<hash>=<prefix>;<prefix>` limits one.",
    )
    waba_key: Literal["caller", "house"] | None = Field(
        None,
        description="Serve `/waba`, and whose key the provider sees: `caller`'s own, or `house` (`D360_API_KEY`).",
    )
    foreign_links: Literal["pass", "refuse", "import"] = Field(
        "pass", description="What `/waba` does with links that name nothing of ours; `import` copies into the store."
    )
    import_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Where `import` may fetch: `host`, `host:port`, `http://host`, `*.host` for all below it.",
    )
    gateway_wait_s: Seconds = Field(8.0, description="Seconds that a message at `/waba` waits for its media.")
    webhook_secret: SecretStr | None = Field(None, description="What `X-Webhook-Secret` says on status webhooks.")
    meta_app_secret: SecretStr | None = Field(None, description="Meta's app secret, the key of `X-Hub-Signature-256`.")
    meta_verify_token: SecretStr | None = Field(
        None, description="What Meta shows once before it sends webhooks; chosen in Meta's app."
    )
    forward_webhooks_to: str | None = Field(
        None,
        description="URL of your own system that every webhook is passed on to, or `none`; production must be told.",
    )
    ledger_url: str = Field(
        "",
        description="`sqlite:///path` or `postgresql://user:password@host/name`; empty: `DATA_DIR/ledger.sqlite3`.",
    )
    ledger_key: SecretStr | None = Field(
        None,
        description="Base64url key of what the ledger hides, newest first, comma-separated. Unset: made in DATA_DIR.",
    )
    record_fetches: bool | None = Field(
        None,
        description="Whether fetches of links are noted in the ledger. Unset: where one process serves both halves.",
    )
    ledger_retention_days: int = Field(
        90, ge=1, le=3650, description="Days that messages, statuses and fetches stay in the ledger."
    )

    serve_only: Literal["delivery", "messaging"] | None = Field(
        None, description="Serve one half only; the half behind the CDN needs no provider key and no ledger."
    )
    listen_host: str = Field("127.0.0.1", description="Address that `serve` listens on.")
    listen_port: int = Field(8080, ge=0, le=65535, description="Port that `serve` listens on.")
    metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="A port for `/healthz`, `/readyz` and `/metrics` alone; 0: they are on the main one.",
    )
    metrics_host: str | None = Field(None, description="Address of that port; unset means `LISTEN_HOST`.")
    misses_per_minute: int | None = Field(
        None,
        ge=6,
        le=1_000_000,
        description="New media and verdicts that one client may cause, in each process; 6 or more. Unset: no limit.",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Networks whose `X-Forwarded-For` is believed, comma-separated; empty: the client is who connects.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="How much is logged.")
    log_format: Literal["auto", "json", "text"] = Field("auto", description="`auto` is text on a terminal, else JSON.")

    link_keys: SecretStr | None = Field(
        None,
        description="`id:base64url,id:base64url`, 32 bytes or more each; the first mints. Unset: made in DATA_DIR.",
    )
    link_names: bool = Field(True, description="Whether a link ends in the name of its key, or in `file`.")
    alias_prefixes: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Key prefixes that are open to unsigned aliases, comma-separated."
    )
    prefix_rules: str = Field(
        "",
        description="`<prefix>=<rule>;<rule>,...`: `private`, `no-store`, or `stale-while-revalidate=<s>` for aliases.",
    )

    cloudfront_distribution_id: str | None = Field(
        None,
        pattern=r"^[A-Z0-9]{1,64}$",
        description="The CDN's distribution, for `takedown` to have it forget a key; unset: you do that yourself.",
    )

    cache_dir: Path | None = Field(None, description="The disk cache; unset means `DATA_DIR/cache`.")
    cache_max_bytes: int = Field(2_000_000_000, ge=268_435_456, description="Bound of the disk cache.")
    heavy_image_bytes: int = Field(
        1_000_000, ge=20_000, le=5_000_000, description="Heavier images are made to fit into this."
    )
    heavy_image_edge_px: int = Field(
        2560, ge=320, le=10_000, description="Longer images are scaled to this edge; narrow ones stay longer."
    )
    max_image_pixels: int = Field(100_000_000, ge=1_000_000, description="Images of more pixels are not decoded.")
    strict: bool = Field(
        False,
        description="Refuse documents whose type is not in WhatsApp's table, instead of warning.",
    )
    max_source_bytes: int = Field(104_857_600, gt=0, le=104_857_600, description="Larger sources are not taken in.")
    decode_slots: int = Field(
        os.cpu_count() or 1, ge=1, le=256, description="Media decoded at once on this host; default: cores."
    )
    decode_queue: int = Field(64, ge=0, le=10_000, description="Media that may wait for a slot; more get 503.")
    decode_timeout_s: Seconds = Field(20.0, description="Seconds that one decoding may take.")
    decode_memory_bytes: int = Field(1_073_741_824, ge=268_435_456, description="Memory that one decoding may take.")
    wait_limit_s: Seconds = Field(30.0, description="Seconds that a request waits for its rendition.")

    @classmethod
    def read(cls, **given: object) -> Self:
        """Read the environment; `given` goes before it.

        Raises:
            SettingsInvalid: one mistake or more; all are named.
        """
        if "ENV_FILE" in os.environ and not env_file().is_file():
            raise SettingsInvalid(mistakes=(f"ENV_FILE: there is no file {env_file()}",))
        try:
            settings = cls(_env_file=env_file(), **given)  # type: ignore[arg-type] # given is validated like all else
        except ValidationError as error:
            mistakes = [f"{str(e['loc'][0]).upper()}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()]
            raise SettingsInvalid(mistakes=tuple(mistakes)) from None
        if reasons := unsafe(settings, _secret_file()):
            raise SettingsInvalid(mistakes=reasons)
        return settings

    @field_validator("alias_prefixes", "import_hosts", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(value) > MAX_TRUSTED_PROXIES:
            raise ValueError(f"must be at most {MAX_TRUSTED_PROXIES} networks")
        for network in value:
            if ip_network(network).prefixlen == 0:
                raise ValueError(f"{network} would believe everybody")
        return value

    @field_validator("prefix_rules")
    @classmethod
    def _check_rules(cls, value: str) -> str:
        if value:
            from proxy.delivery.rules import parse_rules  # noqa: PLC0415 - links and cryptography are behind it

            parse_rules(value)
        return value

    @field_validator("store")
    @classmethod
    def _check_store(cls, value: str) -> str:
        if value and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?|file:///.+", value):
            raise ValueError("must be s3://bucket, s3://bucket/prefix or file:///path")
        return value

    @field_validator("provider_url", "public_url", "s3_endpoint_url")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        url = urlsplit(value)
        if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment:
            raise ValueError("must be an http or https URL without a query")
        return value.rstrip("/")

    @field_validator("public_url")
    @classmethod
    def _check_public(cls, value: str, info: ValidationInfo) -> str:
        """WhatsApp fetches from the internet; only a provider on this machine can reach this machine's addresses."""
        provider = urlsplit(info.data.get("provider_url", PROVIDER_360DIALOG))
        if info.data.get("d360_api_key") is None or not _is_public(provider):
            return value
        if not _is_safe(value):
            raise ValueError(f"must be https and public, because {provider.hostname} is a real provider")
        return value

    @field_validator("link_keys", "ledger_key")
    @classmethod
    def _check_keys(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None:
            (parse_link_keys if info.field_name == "link_keys" else parse_ledger_keys)(value.get_secret_value())
        return value

    @field_validator("forward_webhooks_to")
    @classmethod
    def _check_forward(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None or value == "none":
            return value
        try:
            url = urlsplit(value)
            sound = url.scheme in {"http", "https"} and url.hostname and url.port != 0
        except ValueError:
            sound = False
        if not sound or "@" in url.netloc or url.fragment or not re.fullmatch(r"[\x21-\x7e]+", value):
            raise ValueError("must be `none`, or an http or https URL without user, password or fragment")
        if value.partition("?")[0].rstrip("/") == f"{info.data.get('public_url')}/webhooks":
            raise ValueError("is our own address: each webhook would come back without end")
        return value

    @field_validator("webhook_secret", "d360_api_key", "meta_app_secret", "meta_verify_token")
    @classmethod
    def _check_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[\x21-\x7e]{1,512}", value.get_secret_value()):
            raise ValueError("must be 1 to 512 visible ASCII characters, as it goes into a header")
        return value

    @field_validator("gateway_keys")
    @classmethod
    def _check_gateway_keys(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_gateway_keys(value.get_secret_value())
        return value

    @field_validator("waba_key")
    @classmethod
    def _check_waba(cls, value: str | None, info: ValidationInfo) -> str | None:
        """See that no key goes where it does not belong; a real provider fetches from PUBLIC_URL here, too."""
        provider = urlsplit(info.data.get("provider_url", PROVIDER_360DIALOG))
        host = provider.hostname or ""
        of_360dialog = host.endswith(D360_HOSTS)
        rules = (
            (info.data.get("gateway_keys") is None, "needs GATEWAY_KEYS, or anybody could send"),
            (value == "house" and info.data.get("d360_api_key") is None, "is house, and D360_API_KEY is not set"),
            (
                value == "house" and _is_public(provider) and not of_360dialog,
                "house is for 360dialog: Meta's answers repeat its key (access_token in paging.next)",
            ),
            (
                _is_public(provider) and (provider.scheme != "https" or not (of_360dialog or host == META_HOST)),
                f"passes keys on by https to {META_HOST} and 360dialog alone, not to {host}",
            ),
            (
                _is_public(provider) and not _is_safe(info.data.get("public_url", "")),
                f"needs a PUBLIC_URL that is https and public, because {host} is a real provider",
            ),
        )
        for broken, sentence in rules:
            if value is not None and broken:
                raise ValueError(sentence)
        return value

    @field_validator("import_hosts")
    @classmethod
    def _check_import_hosts(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.data.get("foreign_links") == "import" and not value:
            raise ValueError("must name the hosts to import from, because FOREIGN_LINKS is import")
        if value:
            from proxy.messaging.import_hosts import ImportHosts  # noqa: PLC0415 - who only delivers does without

            ImportHosts.parse(value)
        return value

    @field_validator("ledger_url")
    @classmethod
    def _check_ledger(cls, value: str) -> str:
        if not value:
            return value
        from proxy.messaging.ledger_urls import parse_ledger_url  # noqa: PLC0415 - who only delivers does without

        return parse_ledger_url(value)

    @field_validator("ledger_key")
    @classmethod
    def _check_shared(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        """Machines that share a ledger must know a number again by the same hash."""
        if value is None and info.data.get("ledger_url", "").startswith("postgresql"):
            raise ValueError("must be set, and the same on every machine, because the ledger lies in PostgreSQL")
        return value

    @property
    def real_provider(self) -> bool:
        return _is_public(urlsplit(self.provider_url))

    @property
    def sends_for_real(self) -> bool:
        has_key = self.d360_api_key is not None or self.waba_key is not None
        return has_key and self.real_provider and self.serve_only != "delivery"

    @property
    def takes_webhooks(self) -> bool:
        known = (self.webhook_secret, self.meta_app_secret, self.meta_verify_token)
        return self.serve_only != "delivery" and any(secret is not None for secret in known)

    @property
    def forward_url(self) -> str | None:
        return None if self.forward_webhooks_to == "none" else self.forward_webhooks_to

    @property
    def public_url_is_public(self) -> bool:
        return _is_safe(self.public_url)

    @property
    def ledger_place(self) -> str:
        return self.ledger_url or f"sqlite:///{self.data_dir / 'ledger.sqlite3'}"

    def link_secrets(self) -> Mapping[int, bytes]:
        if self.link_keys is not None:
            return parse_link_keys(self.link_keys.get_secret_value())
        return {1: _kept_secret(self.data_dir / "link.key")}

    def ledger_secrets(self) -> tuple[bytes, ...]:
        if self.ledger_key is not None:
            return parse_ledger_keys(self.ledger_key.get_secret_value())
        return (_kept_secret(self.data_dir / "ledger.key"),)


def env_file() -> Path:
    return Path(os.environ.get("ENV_FILE", ".env"))


def _secret_file() -> Path | None:
    """Name the file of the environment where a secret stands in it."""
    found = dotenv_values(env_file())
    names = (name.upper() for name, field in Settings.model_fields.items() if SecretStr in get_args(field.annotation))
    return env_file() if any(found.get(name) for name in names) else None


def origin_of(name: str, settings: Settings) -> str:
    """Say where a setting's value came from."""
    if os.environ.get(name.upper()):
        return "environment"
    if dotenv_values(env_file()).get(name.upper()):
        return str(env_file())
    if name in {"link_keys", "ledger_key"}:
        return str(settings.data_dir / name.removesuffix("s").replace("_", "."))
    return "default"


def parse_secret(text: str) -> bytes:
    try:
        secret = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("must be base64url") from error
    if len(secret) < MIN_SECRET_BYTES:
        raise ValueError(f"must hold at least {MIN_SECRET_BYTES} bytes")
    return secret


def parse_ledger_keys(text: str) -> tuple[bytes, ...]:
    return tuple(parse_secret(secret.strip()) for secret in text.split(","))


def parse_link_keys(text: str) -> Mapping[int, bytes]:
    keys: dict[int, bytes] = {}
    for entry in text.split(","):
        key_id, _, secret = entry.strip().partition(":")
        if not re.fullmatch(r"\d{1,3}", key_id) or int(key_id) > MAX_LINK_KEY_ID or int(key_id) in keys:
            raise ValueError(f"each key needs an id of its own from 0 to {MAX_LINK_KEY_ID}, as in 1:<base64url>")
        keys[int(key_id)] = parse_secret(secret)
    return keys


def parse_gateway_keys(text: str) -> Mapping[bytes, tuple[str, ...]]:
    """Read each caller's hash and the key prefixes that it may use; the empty prefix opens all."""
    callers: dict[bytes, tuple[str, ...]] = {}
    for entry in text.split(","):
        digest, limited, prefixes = entry.strip().partition("=")
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise ValueError("must be the SHA-256 of each key in 64 lower-case hex digits, not the key itself")
        opened = tuple(prefix.strip() for prefix in prefixes.split(";")) if limited else ("",)
        if limited and "" in opened:
            raise ValueError("an empty prefix would open everything; take the stray ; or = away")
        callers[bytes.fromhex(digest)] = opened
    return callers


def _kept_secret(path: Path) -> bytes:
    """Read a key of our own, or make it; whoever makes it first wins, and only its owner can read it.

    Raises:
        SettingsInvalid: it cannot be read or made, or somebody has damaged it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make_secret(path)
        return parse_secret(path.read_text().strip())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SettingsInvalid(mistakes=(f"DATA_DIR: {path}: {reason}",)) from error


def _make_secret(path: Path) -> None:
    descriptor, draft = mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(MIN_SECRET_BYTES))
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        Path(draft).unlink()


def _is_safe(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" and _is_public(parts)


def _is_public(url: SplitResult) -> bool:
    host = url.hostname or ""
    try:
        return ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith((".local", ".localhost", ".internal"))
