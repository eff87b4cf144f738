"""How WhatsApp uses a fetched link again, under each of Meta's two descriptions.

Fixed: "Send messages", section Media caching (2026). By headers: "Media HTTP Caching" (2022). What an ETag alone does
is not disclosed there: here it does nothing, so that nothing is built on it.
"""

from collections.abc import Mapping
from email.utils import parsedate
from enum import Enum, auto

from proxy.sandbox.settings import Caching

FIXED_S = 600.0


class Plan(Enum):
    """COMPARE asks again and replaces what is kept only if Last-Modified differs."""

    FETCH = auto()
    USE = auto()
    COMPARE = auto()


def plan(caching: Caching, headers: Mapping[str, str], age_s: float) -> Plan:
    """Decide what becomes of a kept asset; `headers` are those it came with, by lower-case name."""
    if caching is Caching.FIXED:
        return Plan.USE if age_s < FIXED_S else Plan.FETCH
    directives = _directives(headers.get("cache-control", ""))
    if directives.keys() & {"no-store", "private"}:
        return Plan.FETCH
    if "no-cache" in directives:
        return Plan.COMPARE if _is_date(headers.get("last-modified", "")) else Plan.FETCH
    return Plan.USE if age_s < _seconds(directives.get("max-age", "")) else Plan.FETCH


def _directives(cache_control: str) -> dict[str, str]:
    parts = (part.partition("=") for part in cache_control.lower().split(","))
    return {name.strip(): value.strip() for name, _, value in parts}


def _is_date(value: str) -> bool:
    return value.isascii() and parsedate(value) is not None


def _seconds(value: str) -> int:
    return int(value) if value.isascii() and value.isdigit() and len(value) < len("9999999999") else 0
