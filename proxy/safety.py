"""What makes a start unsafe, and what may surprise its owner later: each a sentence that begins with its setting.

Production is said (`MODE=production`), not guessed: a key that is made on first use is right on one machine, and breaks
every link where the disk goes with the container.
"""

import stat
from pathlib import Path
from typing import Final, Literal, Protocol
from urllib.parse import urlsplit

from pydantic import SecretStr

Mode = Literal["trial", "production"]

MIN_WEBHOOK_SECRET_CHARS: Final = 16
"""It is guessed over the network only; 16 characters of a password generator are 90 bits."""

_UNTOLD: Final = "a URL of yours, or none: what your customers write comes here, too, and nobody else will see it"


class Chosen(Protocol):
    """What decides, of all settings."""

    @property
    def mode(self) -> Mode: ...
    @property
    def data_dir(self) -> Path: ...
    @property
    def serve_only(self) -> Literal["delivery", "messaging"] | None: ...
    @property
    def provider_url(self) -> str: ...
    @property
    def public_url(self) -> str: ...
    @property
    def public_url_is_public(self) -> bool: ...
    @property
    def sends_for_real(self) -> bool: ...
    @property
    def d360_api_key(self) -> SecretStr | None: ...
    @property
    def webhook_secret(self) -> SecretStr | None: ...
    @property
    def meta_app_secret(self) -> SecretStr | None: ...
    @property
    def takes_webhooks(self) -> bool: ...
    @property
    def forward_webhooks_to(self) -> str | None: ...
    @property
    def link_keys(self) -> SecretStr | None: ...
    @property
    def ledger_key(self) -> SecretStr | None: ...
    @property
    def metrics_port(self) -> int: ...
    @property
    def misses_per_minute(self) -> int | None: ...


def unsafe(chosen: Chosen, secret_file: Path | None) -> tuple[str, ...]:
    """Say what forbids a start; `secret_file` is the file that secrets were read from, where there is one.

    Key files that everybody can read forbid it in any mode, all else in production.
    """
    return tuple(sentence for holds, sentence in (*_open_files(chosen, secret_file), *_in_production(chosen)) if holds)


def doubtful(chosen: Chosen) -> tuple[str, ...]:
    """Say what is worth a look before traffic comes."""
    production, delivers = chosen.mode == "production", chosen.serve_only != "messaging"
    rules = (
        (
            not production and chosen.sends_for_real,
            "MODE: is trial, and the provider is real; with MODE=production an unsafe start is refused",
        ),
        (
            not production and chosen.sends_for_real and chosen.takes_webhooks and chosen.forward_webhooks_to is None,
            f"FORWARD_WEBHOOKS_TO: is not set; say {_UNTOLD}",
        ),
        (
            chosen.link_keys is None and (chosen.sends_for_real or chosen.serve_only is not None),
            f"LINK_KEYS: is not set, so links live as long as {chosen.data_dir / 'link.key'}, and on one machine only",
        ),
        (
            production and delivers and chosen.misses_per_minute is None,
            "MISSES_PER_MINUTE: is not set, so one client may ask for any number of media that are not cached",
        ),
        (
            production and chosen.metrics_port == 0,
            "METRICS_PORT: is not set, so whoever reaches the service reads its metrics and health, too",
        ),
    )
    return tuple(sentence for holds, sentence in rules if holds)


def _open_files(chosen: Chosen, secret_file: Path | None) -> tuple[tuple[bool, str], ...]:
    files = [
        ("DATA_DIR", chosen.data_dir / "link.key", chosen.link_keys is None),
        ("DATA_DIR", chosen.data_dir / "ledger.key", chosen.ledger_key is None and chosen.serve_only != "delivery"),
    ]
    if secret_file is not None:
        files.append(("ENV_FILE", secret_file, chosen.mode == "production"))
    return tuple(
        (in_use and _all_can_read(file), f"{name}: {file} can be read by everybody on this machine; chmod 600 it")
        for name, file, in_use in files
    )


def _in_production(chosen: Chosen) -> tuple[tuple[bool, str], ...]:
    if chosen.mode != "production":
        return ()
    messages = chosen.serve_only != "delivery"
    sends_openly = chosen.d360_api_key is not None and urlsplit(chosen.provider_url).scheme != "https"
    return (
        (
            chosen.link_keys is None,
            "LINK_KEYS: must be set in production, and be the same on every machine, or links die with a disk",
        ),
        (
            messages and not chosen.public_url_is_public,
            "PUBLIC_URL: must be https and public in production, as WhatsApp fetches from there",
        ),
        (
            messages and chosen.ledger_key is None,
            "LEDGER_KEY: must be set in production, or a number is not known again after its disk is lost",
        ),
        (
            messages and sends_openly,
            "PROVIDER_URL: must be https in production, as D360_API_KEY goes there",
        ),
        (
            messages and _is_short(chosen.webhook_secret),
            f"WEBHOOK_SECRET: must have at least {MIN_WEBHOOK_SECRET_CHARS} characters in production",
        ),
        (
            messages and _is_short(chosen.meta_app_secret),
            f"META_APP_SECRET: must have at least {MIN_WEBHOOK_SECRET_CHARS} characters in production",
        ),
        (
            chosen.takes_webhooks and chosen.forward_webhooks_to is None,
            f"FORWARD_WEBHOOKS_TO: must be said in production, {_UNTOLD}",
        ),
    )


def _is_short(secret: SecretStr | None) -> bool:
    return secret is not None and len(secret.get_secret_value()) < MIN_WEBHOOK_SECRET_CHARS


def _all_can_read(file: Path) -> bool:
    """Look at others, not at the group: a volume's group may have to read it.

    Kubernetes ORs `rw-rw----` into every file of a volume with an `fsGroup` (PodSecurityContext, Kubernetes API).
    """
    try:
        return bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:  # it is not there yet, and will be made for its owner; or reading it will say what is wrong
        return False
