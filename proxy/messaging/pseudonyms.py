"""Phone numbers, kept so that they can be recognised and not read: a keyed hash and the last four digits.

A plain hash would not do: there are so few numbers that all of them can be tried. The key is what protects them.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from proxy.errors import Malformed
from proxy.messaging.messages import MAX_NUMBER_DIGITS, MIN_NUMBER_DIGITS

MIN_KEY_BYTES = 16
NOBODY = ""
"""Stands for the hash of a number that was not given, for no database finds two NULLs equal."""

_DIGITS = re.compile(r"[0-9]+")
_GAP = re.compile(r"[\s().\-/]{0,3}")


class Pseudonyms:
    """The first key makes hashes; with the others, numbers are known again that were hashed before a rotation."""

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        if not keys or min(len(key) for key in keys) < MIN_KEY_BYTES:
            raise Malformed(field="number key", problem=f"must have at least {MIN_KEY_BYTES} bytes")
        self._keys = keys

    def of(self, number: str | None) -> str:
        return NOBODY if number is None else self.all_of(number)[0]

    def all_of(self, number: str) -> tuple[str, ...]:
        """Give the hashes that the number may stand under, the one of today first."""
        return tuple(hmac.new(key, number.encode(), hashlib.sha256).hexdigest() for key in self._keys)

    def redact(self, text: str, numbers: AbstractSet[str]) -> str:
        """Black out the numbers of these hashes but for the last four digits, also where they are written apart."""
        for start, end, digits in _candidates(text):
            if not numbers.isdisjoint(self.all_of(digits.removeprefix("00"))):
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
