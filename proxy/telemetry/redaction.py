"""The last resort: what must not stand in a log, and that nobody meant to write there, is taken out of every line."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr
from structlog.typing import EventDict

HIDDEN: Final = "(hidden)"
NUMBER: Final = "(number)"
MIN_SECRET_CHARS: Final = 8
"""Shorter ones are found in everything, and are no secrets."""

_NUMBERS: Final = re.compile(r"(?<![0-9A-Za-z_.:-])\+?\(?\d(?:[ ()-]{0,3}\d){8,14}(?![0-9A-Za-z_])")
"""As E.164 bounds them, and as people write them: nine digits, so that dates and counts of bytes mostly stay."""
_WAMIDS: Final = re.compile(r"wamid\.[A-Za-z0-9+/=_-]+")
"""A message id of WhatsApp is base64, and the recipient's number is in it."""
_OWN: Final = frozenset({"timestamp", "request_id"})


def secrets_in(settings: Iterable[tuple[str, object]]) -> Iterator[str]:
    """List what settings keep to themselves: secrets, whole and in their parts, and the passwords of their URLs."""
    for _, value in settings:
        if isinstance(value, SecretStr):
            secret = value.get_secret_value()
            yield from (secret, *re.split("[,:]", secret))
        elif isinstance(value, str) and "://" in value and (password := urlsplit(value).password):
            yield from (password, unquote(password))


class Redaction:
    """A processor of log events; it looks at texts, however deep, and leaves numbers that are numbers."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({secret for secret in secrets if len(secret) >= MIN_SECRET_CHARS}, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, _logger: object, _method: str, event: EventDict) -> Mapping[str, Any]:
        return {name: value if name in _OWN else self._masked(value) for name, value in event.items()}

    def _masked(self, value: object) -> object:
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, Mapping):
            return {key: self._masked(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._masked(item) for item in value]
        return value if isinstance(value, bool | int | float | None) else self.mask(repr(value))

    def mask(self, text: str) -> str:
        if self._secrets is not None:
            text = self._secrets.sub(HIDDEN, text)
        return _NUMBERS.sub(NUMBER, _WAMIDS.sub(HIDDEN, text))
