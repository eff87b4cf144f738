"""Phone numbers, kept so that they can be recognised and not read: a keyed hash and the last four digits.

A plain hash would not do: there are so few numbers that all of them can be tried. The key is what protects them.
"""

import hashlib
import hmac
import re
from collections.abc import Collection, Iterator

from proxy.errors import Malformed
from proxy.messaging.messages import MAX_NUMBER_DIGITS, MIN_NUMBER_DIGITS

MIN_KEY_BYTES = 16
NOBODY = ""
"""Stands for the hash of a number that was not given, for no database finds two NULLs equal."""

_DIGITS = re.compile(r"[0-9]+")
_GAP = re.compile(r"[\s().\-/]{0,3}")


class Pseudonyms:
    def __init__(self, key: bytes) -> None:
        if len(key) < MIN_KEY_BYTES:
            raise Malformed(field="number key", problem=f"must have at least {MIN_KEY_BYTES} bytes")
        self._key = key

    def of(self, number: str | None) -> str:
        return NOBODY if number is None else hmac.new(self._key, number.encode(), hashlib.sha256).hexdigest()

    def redact(self, text: str, numbers: Collection[str]) -> str:
        """Black out the numbers of these hashes but for the last four digits, also where they are written apart."""
        for start, end, digits in _candidates(text):
            if self.of(digits.removeprefix("00")) in numbers:
                return f"{text[:start]}…{digits[-4:]}{self.redact(text[end:], numbers)}"
        return text


def last4(number: str) -> str:
    return number[-4:]


def _candidates(text: str) -> Iterator[tuple[int, int, str]]:
    """List what may be a number: groups of digits with little between them, in every way to join them."""
    groups = list(_DIGITS.finditer(text))
    for first, group in enumerate(groups):
        digits, end = "", group.start()
        for following in groups[first:]:
            digits += following.group()
            if not _GAP.fullmatch(text, end, following.start()) or len(digits) > MAX_NUMBER_DIGITS + len("00"):
                break
            end = following.end()
            if len(digits) >= MIN_NUMBER_DIGITS:
                yield group.start(), end, digits
