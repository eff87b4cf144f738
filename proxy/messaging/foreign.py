"""What others send us as JSON: any type may stand anywhere, and nothing in it may hurt.

What leaves here is bounded, encodes as UTF-8 and fits every database: PostgreSQL takes no NUL, no driver a lone
surrogate.
"""

import json
import re
from collections.abc import Mapping

MAX_ID_CHARS = 256
MAX_DETAILS_CHARS = 1000
_ID = re.compile(rf"[\x21-\x7e]{{1,{MAX_ID_CHARS}}}")
_MAX_INTEGER = 2**32 - 1
"""Holds every error code, and every Unix time until 2106."""


def read_json(body: bytes) -> object:
    """Parse a body; None for whatever is not JSON, or is nested too deeply to be read."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def member(value: object, *path: str) -> object:
    """Walk down by names; None as soon as there is nothing to walk on."""
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else None


def text(value: object, max_chars: int = MAX_DETAILS_CHARS) -> str | None:
    """Take a string that says something, shortened; None for anything else."""
    if not isinstance(value, str):
        return None
    shown = value.strip()[:max_chars].encode(errors="replace").decode().replace("\0", "?")
    return shown or None


def identifier(value: object) -> str | None:
    """Take an id as it is or not at all: one that was shortened would name something else."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def integer(value: object) -> int | None:
    """Take a small whole number, also one that was written as a string."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,10}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_INTEGER:
        return None
    return value
