"""Where foreign links may be imported from, and how their addresses are read: strictly, and by one reader.

What is connected to is put together from what was read here. Nothing reads the caller's text a second time, so no two
readers can differ about it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self
from unicodedata import category
from urllib.parse import quote, unquote_to_bytes, urljoin

import idna

from proxy.errors import ImportRefused

MAX_LINK_BYTES: Final = 4096
"""A link that AWS presigned with a session token has 2,000 and more."""
MAX_NAME_BYTES: Final = 100
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
MAX_PORT: Final = 65535

Origin = tuple[str, str, int]
"""Scheme, host and port."""

_URL: Final = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<target>[^#]*)(?:#.*)?", re.IGNORECASE)
_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029]")
"""White space, controls and the backslash, which some readers take for a slash and others leave out."""
_HOST_AND_PORT: Final = re.compile(r"(?P<host>[^:]+)(?::(?P<port>[0-9]{1,5}))?")
_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
"""A dot, and a last label that begins with a letter: what others read as a number (0x7f.1, 2130706433) has none."""
_WILDCARD: Final = "*."
_IN_TARGET: Final = "%/:?[]@!$&'()*+,;=~"
_UNSHOWN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Controls, and what turns a text round; `unicodedata` names them so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAddress:
    """`host` is a name in lower-case ASCII without a dot at its end; `target` is path and query, after a slash."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def name(self) -> str:
        """Give the last segment of the path, as a segment of a key may be; `file` where nothing is left of it."""
        path = self.target.partition("?")[0]
        text = unquote_to_bytes(path.rpartition("/")[2]).decode(errors="replace")
        shown = "".join("_" if char in "/\\" or category(char) in _UNSHOWN else char for char in text)
        stem, dot, ending = shown.strip(" .").rpartition(".")
        ending = _cut(ending, MAX_NAME_BYTES // 2)
        return _cut(stem, MAX_NAME_BYTES - len(ending.encode()) - 1) + dot + ending or "file"

    def __str__(self) -> str:
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}{self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportHosts:
    """What is open: of `origins` these hosts, of `families` those below them, and not their own."""

    origins: frozenset[Origin]
    families: frozenset[Origin]

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Self:
        """Read the setting: `host`, `host:port`, `http://host` for one that has no https, `*.host`.

        Raises:
            ValueError: an entry is none of these.
        """
        origins: set[Origin] = set()
        families: set[Origin] = set()
        for entry in entries:
            scheme, _, rest = entry.rpartition("://")
            try:
                address = read_address(f"{scheme or 'https'}://{rest.removeprefix(_WILDCARD)}")
            except ImportRefused as error:
                raise ValueError(f"{entry}: its address {error.problem}") from None
            if "/" in rest or "?" in rest or "#" in rest:
                raise ValueError(f"{entry}: must be a host, and no path")
            (families if rest.startswith(_WILDCARD) else origins).add((address.scheme, address.host, address.port))
        return cls(origins=frozenset(origins), families=frozenset(families))

    def read(self, link: str) -> WebAddress:
        """Read a link that may be imported.

        Raises:
            ImportRefused: it is no web address, or one of a host that is not opened.
        """
        address = read_address(link)
        below = address.host.split(".")
        parents = (".".join(below[first:]) for first in range(1, len(below)))
        if (address.scheme, address.host, address.port) not in self.origins and not any(
            (address.scheme, parent, address.port) in self.families for parent in parents
        ):
            raise ImportRefused(problem="is at a host, scheme or port that IMPORT_HOSTS does not name")
        return address

    def follow(self, address: WebAddress, location: str) -> WebAddress:
        """Read where a redirect leads; it may lead wherever a link may, but never from https to http.

        Raises:
            ImportRefused: it leads elsewhere.
        """
        if _UNSAFE.search(location):
            raise ImportRefused(problem="is redirected by a header that can be read in two ways")
        try:
            joined = urljoin(str(address), location)
        except ValueError as error:  # half of a bracket, or a host that Unicode would make another
            raise ImportRefused(problem="is redirected to what is no web address") from error
        next_address = self.read(joined)
        if (address.scheme, next_address.scheme) == ("https", "http"):
            raise ImportRefused(problem="is redirected from https to http")
        return next_address


def read_address(link: str) -> WebAddress:
    """Read a link in the one way that all readers agree upon.

    Raises:
        ImportRefused: there is none, or its host is no name.
    """
    if len(link.encode(errors="surrogatepass")) > MAX_LINK_BYTES:
        raise ImportRefused(problem=f"has more than {MAX_LINK_BYTES} bytes")
    found = _URL.fullmatch(link)
    if found is None or _UNSAFE.search(link):
        raise ImportRefused(problem="is no web address, or holds white space, a control character or a backslash")
    scheme, host, port = found["scheme"].lower(), *_host_and_port(found["authority"])
    target = found["target"] if found["target"].startswith("/") else f"/{found['target']}"
    try:
        return WebAddress(
            scheme=scheme, host=host, port=port or DEFAULT_PORTS[scheme], target=quote(target, safe=_IN_TARGET)
        )
    except UnicodeEncodeError as error:
        raise ImportRefused(problem="is not valid Unicode") from error


def _host_and_port(authority: str) -> tuple[str, int | None]:
    if "@" in authority:
        raise ImportRefused(problem="holds a user name or a password")
    found = _HOST_AND_PORT.fullmatch(authority)
    host = _name(found["host"]) if found else None
    port = int(found["port"]) if found and found["port"] else None
    if host is None or port == 0 or (port or 1) > MAX_PORT:
        raise ImportRefused(problem="names no host; numbers do not stand for one")
    return host, port


def _name(host: str) -> str | None:
    """Write a host's name as DNS has it; None for what is none."""
    try:
        name = host if host.isascii() else idna.encode(host, uts46=True).decode()
    except UnicodeError:  # idna's own error is one
        return None
    name = name.lower().removesuffix(".")
    return name if _NAME.fullmatch(name) else None


def _cut(text: str, max_bytes: int) -> str:
    return text.encode()[:max_bytes].decode(errors="ignore")
