"""JSON read where it stands: each string knows its bytes, so that one can be changed and no other byte is.

RFC 8259 to the letter. What Python's `json` takes beyond it (NaN, other encodings, a byte order mark) is refused, for
nobody knows what the next reader makes of it. A name that stands twice in one object is kept twice, for the same
reason: whichever of the two the next reader takes, it has been seen.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from proxy.errors import Malformed

MAX_DEPTH: Final = 64
"""A template with a carousel is 9 deep (facts, section 6)."""
MAX_VALUES: Final = 5_000
"""Names count, too. A template with ten cards has some 400; so many are read in 50 ms (one core of 2.5 GHz)."""

_TOKEN: Final = re.compile(
    rb"""[ \t\n\r]*+(?:
        (?P<text>"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+")
      | (?P<plain>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|true|false|null)
      | (?P<mark>[\[\]{},:])
    )""",
    re.VERBOSE,
)
_SPACE: Final = re.compile(rb"[ \t\n\r]*+")


@dataclass(frozen=True, slots=True)
class Text:
    """A string. Its bytes, quotes and all, are `body[start:end]`."""

    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Plain:
    """A number, true, false or null, as it is written."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class Array:
    items: tuple["Value", ...]


@dataclass(frozen=True, slots=True)
class Object:
    """`inside` is where the first member may be written, right behind the brace."""

    members: tuple[tuple[str, "Value"], ...]
    inside: int

    def all(self, name: str) -> tuple["Value", ...]:
        return tuple(value for known, value in self.members if known == name)

    def texts(self, name: str) -> tuple[Text, ...]:
        return tuple(value for value in self.all(name) if isinstance(value, Text))


Value: TypeAlias = Text | Plain | Array | Object


@dataclass(frozen=True, slots=True)
class Edit:
    """Write `put` where `body[start:end]` stood."""

    start: int
    end: int
    put: bytes


def read_object(body: bytes) -> Object:
    """Read a body that is one object.

    Raises:
        Malformed: it is not, or is nested too deeply or holds too much to be read.
    """
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise Malformed(field="body", problem=f"must be JSON in UTF-8, and byte {error.start} is not") from None
    reader = _Reader(body)
    value = reader.value(reader.token(), 0)
    if not isinstance(value, Object):
        raise Malformed(field="body", problem="must be a JSON object")
    reader.end()
    return value


def written_anew(text: Text, value: str) -> Edit:
    return Edit(text.start, text.end, json.dumps(value).encode())


def splice(body: bytes, edits: Iterable[Edit]) -> bytes:
    """Give the body with the edits made; they do not overlap."""
    pieces, at = [], 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        pieces += [body[at : edit.start], edit.put]
        at = edit.end
    return b"".join((*pieces, body[at:]))


class _Reader:
    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0
        self._values = 0

    def token(self) -> re.Match[bytes]:
        token = _TOKEN.match(self._body, self._at)
        if token is None:
            raise self._broken()
        self._at = token.end()
        return token

    def value(self, token: re.Match[bytes], depth: int) -> Value:
        self._count(depth)
        if token["text"] is not None:
            return Text(_decoded(token), token.start("text"), token.end())
        if token["plain"] is not None:
            return Plain(token["plain"])
        if token["mark"] == b"{":
            return self._object(depth)
        if token["mark"] == b"[":
            return self._array(depth)
        raise self._broken()

    def end(self) -> None:
        space = _SPACE.match(self._body, self._at)
        if space is None or space.end() != len(self._body):
            raise self._broken()

    def _object(self, depth: int) -> Object:
        inside, members = self._at, list[tuple[str, Value]]()
        token = self.token()
        while token["mark"] != b"}" or members:
            if token["text"] is None:
                raise self._broken()
            self._count(depth)
            name = _decoded(token)
            self._require(self.token(), b":")
            members.append((name, self.value(self.token(), depth + 1)))
            if (following := self.token())["mark"] == b"}":
                break
            self._require(following, b",")
            token = self.token()
        return Object(tuple(members), inside)

    def _array(self, depth: int) -> Array:
        items = list[Value]()
        token = self.token()
        while token["mark"] != b"]" or items:
            items.append(self.value(token, depth + 1))
            if (following := self.token())["mark"] == b"]":
                break
            self._require(following, b",")
            token = self.token()
        return Array(tuple(items))

    def _count(self, depth: int) -> None:
        self._values += 1
        if self._values > MAX_VALUES or depth > MAX_DEPTH:
            raise Malformed(
                field="body",
                problem=f"may hold {MAX_VALUES} names and values, {MAX_DEPTH} deep, and this one holds more",
            )

    def _require(self, token: re.Match[bytes], mark: bytes) -> None:
        if token["mark"] != mark:
            raise self._broken()

    def _broken(self) -> Malformed:
        return Malformed(field="body", problem=f"is not JSON (RFC 8259) at or before byte {self._at}")


def _decoded(token: re.Match[bytes]) -> str:
    raw = token["text"]
    return str(json.loads(raw)) if b"\\" in raw else raw[1:-1].decode()
