"""What a sandbox can be told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar

from pydantic import ConfigDict

MAX_TIMES = 100_000
MAX_SECONDS = 60.0
MAX_MESSAGES_PER_SECOND = 1000
"""What Meta raises a number to, by its page on throughput."""


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
    THROUGHPUT = "throughput"
    PAIR_RATE = "pair_rate"
    MAINTENANCE = "maintenance"
    FETCH_LIMIT = "fetch_limit"


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
class Telling:
    """How statuses are told: with `read` or without, each webhook twice, the last first, or all in one webhook."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    read: bool = False
    twice: bool = False
    reverse: bool = False
    together: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """Without an `api_key` any key is taken; without a `webhook_url` statuses are kept and shown, but not posted.

    Webhooks are signed where there is an `app_secret`. With `rates` the pair rate and `messages_per_second` hold.
    """

    api_key: str | None = field(default=None, repr=False)
    webhook_url: str | None = None
    webhook_headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    app_secret: str | None = field(default=None, repr=False)
    caching: Caching = Caching.FIXED
    behaviour: Order = Order()
    telling: Telling = Telling()
    rates: bool = False
    messages_per_second: int = 80
    fetch_timeout_s: float = 20.0
    webhook_timeout_s: float = 5.0
    webhook_attempts: int = 4
    webhook_backoff_s: float = 0.2
    max_in_flight: int = 10_000
    max_kept_messages: int = 1000
    max_kept_links: int = 1000
    max_kept_fetches_per_link: int = 20
    max_kept_uploads: int = 100
    max_kept_upload_bytes: int = 512 * 1024 * 1024

    def __post_init__(self) -> None:
        if self.webhook_url is not None and not self.webhook_url.startswith(("http://", "https://")):
            raise ValueError("webhook_url must be an http or https URL")
        if not 1 <= self.messages_per_second <= MAX_MESSAGES_PER_SECOND:
            raise ValueError(f"messages_per_second must be 1 to {MAX_MESSAGES_PER_SECOND}")
