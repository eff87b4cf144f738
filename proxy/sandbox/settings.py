"""What a sandbox can be told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar

from pydantic import ConfigDict

MAX_TIMES = 100_000
MAX_SECONDS = 60.0


class Caching(StrEnum):
    """How long a fetched link is kept: Meta's page of 2026 says ten minutes, its page of 2022 asks the headers."""

    FIXED = "fixed"
    HEADERS = "headers"


class Behaviour(StrEnum):
    """How a request to send is answered; all but OK are ways to fail that callers must survive."""

    OK = "ok"
    THROTTLE = "throttle"
    FAIL_BEFORE = "fail_before"
    FAIL_AFTER = "fail_after"
    LOST = "lost"
    SLOW = "slow"
    HTML = "html"
    NO_ID = "no_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Behave so for the next `times` requests, then well again; `seconds` is how slow slow is."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    behaviour: Behaviour = Behaviour.OK
    times: int = 1
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.times <= MAX_TIMES:
            raise ValueError(f"times must be 0 to {MAX_TIMES}")
        if not 0 <= self.seconds <= MAX_SECONDS:
            raise ValueError(f"seconds must be 0 to {MAX_SECONDS:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """Without an `api_key` any key is taken; without a `webhook_url` statuses are kept and shown, but not posted."""

    api_key: str | None = field(default=None, repr=False)
    webhook_url: str | None = None
    webhook_headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    caching: Caching = Caching.FIXED
    behaviour: Order = Order()
    fetch_timeout_s: float = 20.0
    webhook_timeout_s: float = 5.0
    webhook_attempts: int = 4
    webhook_backoff_s: float = 0.2
    max_in_flight: int = 10_000
    max_kept_messages: int = 1000
    max_kept_links: int = 1000
    max_kept_fetches_per_link: int = 20

    def __post_init__(self) -> None:
        if self.webhook_url is not None and not self.webhook_url.startswith(("http://", "https://")):
            raise ValueError("webhook_url must be an http or https URL")
