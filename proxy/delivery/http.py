"""What HTTP says about a stored representation: verdicts and headers, no IO (RFC 9110, RFC 9111)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from urllib.parse import quote, unquote_to_bytes

from proxy.delivery.links import Sharing
from proxy.errors import NotFound

RawHeaders = Iterable[tuple[bytes, bytes]]

LINK_MAX_AGE_S = 31_536_000
"""A year: the content of a link never changes (RFC 9111 knows no larger custom; RFC 2616 named a year)."""
ALIAS_MAX_AGE_S = 60

_LIST_ELEMENT = re.compile(r'[ \t]*(?:(W/)?"([\x21\x23-\x7e\x80-\xff]*)"[ \t]*)?(?:,|\Z)')
_RANGE = re.compile(r"(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Representation:
    """`etag` is strong and without its quotes."""

    etag: str
    modified_at: datetime
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """The request's header fields that decide between verdicts, each as one combined value (RFC 9110, 5.3)."""

    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: str | None = None
    if_unmodified_since: str | None = None
    if_range: str | None = None
    range: str | None = None


@dataclass(frozen=True, slots=True)
class Whole:
    pass


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes from `first` to `last`, both included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class NotModified:
    pass


@dataclass(frozen=True, slots=True)
class PreconditionFailed:
    pass


@dataclass(frozen=True, slots=True)
class Unsatisfiable:
    pass


HttpVerdict = Whole | Part | NotModified | PreconditionFailed | Unsatisfiable


UNCONDITIONAL = Conditions()
_CONDITIONAL = {name.replace("_", "-").encode(): name for name in Conditions.__slots__}


def read_conditions(headers: RawHeaders) -> Conditions:
    """Read what decides; `UNCONDITIONAL` itself where nothing does."""
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        if name := _CONDITIONAL.get(raw_name):
            value = raw_value.decode("latin-1")
            found[name] = f"{found[name]}, {value}" if name in found else value
    return Conditions(**found) if found else UNCONDITIONAL


def not_modified_by_tag_alone(asked: Conditions, etag: str) -> bool:
    """Say whether a 304 is right whatever the representation is: its tag is listed, and no If-Match comes first."""
    if asked.if_match is not None or asked.if_unmodified_since is not None or asked.if_none_match is None:
        return False
    return asked.if_none_match == f'"{etag}"' or etag in _tags(asked.if_none_match, weak=True)


def judge(method: str, asked: Conditions, it: Representation) -> HttpVerdict:
    """Evaluate preconditions in the order of RFC 9110, 13.2.2, then the range."""
    if asked.if_match is not None:
        if asked.if_match.strip() != "*" and it.etag not in _tags(asked.if_match, weak=False):
            return PreconditionFailed()
    elif (limit := _date(asked.if_unmodified_since)) and _seconds(it.modified_at) > limit:
        return PreconditionFailed()
    if asked.if_none_match is not None:
        if asked.if_none_match.strip() == "*" or it.etag in _tags(asked.if_none_match, weak=True):
            return NotModified()
    elif (since := _date(asked.if_modified_since)) and _seconds(it.modified_at) <= since:
        return NotModified()
    if method != "GET" or asked.range is None or not _range_holds(asked.if_range, it):
        return Whole()
    return _range(asked.range, it.size_bytes)


def _tags(value: str, *, weak: bool) -> frozenset[str]:
    """Read a list of entity tags; one that is not well-formed names nothing."""
    tags: set[str] = set()
    at = 0
    while at < len(value):
        element = _LIST_ELEMENT.match(value, at)
        if element is None:
            return frozenset()
        if element[2] is not None and (weak or element[1] is None):
            tags.add(element[2])
        at = element.end()
    return frozenset(tags)


def _range_holds(if_range: str | None, it: Representation) -> bool:
    """Compare strongly; a date must be the very date that we sent (RFC 9110, 13.1.5)."""
    if if_range is None:
        return True
    if '"' in if_range:
        return it.etag in _tags(if_range, weak=False)
    return _date(if_range) == _seconds(it.modified_at)


def _range(value: str, size_bytes: int) -> HttpVerdict:
    """Read one byte range; several, another unit or a malformed one are answered whole (RFC 9110, 14.2)."""
    unit, _, spec = value.partition("=")
    match = _RANGE.fullmatch(spec.strip())
    if unit.strip().lower() != "bytes" or match is None or match[0] == "-":
        return Whole()
    if match[1] == "":
        length = min(int(match[2]), size_bytes)
        return Part(size_bytes - length, size_bytes - 1) if length else Unsatisfiable()
    first = int(match[1])
    last = int(match[2]) if match[2] else size_bytes - 1
    if match[2] and last < first:
        return Whole()
    return Part(first, min(last, size_bytes - 1)) if first < size_bytes else Unsatisfiable()


def _date(value: str | None) -> datetime | None:
    """Read an HTTP date in any of its three forms; one that is not valid is ignored (RFC 9110, 5.6.7)."""
    if value is None:
        return None
    try:
        date = parsedate_to_datetime(value)
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _seconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def http_date(moment: datetime) -> str:
    return format_datetime(_seconds(moment.astimezone(UTC)), usegmt=True)


def sharing_of(cache_control: str | None) -> Sharing:
    """Read what the object's own Cache-Control forbids; its other directives do not apply to links."""
    directives = {part.split("=")[0].strip().lower() for part in (cache_control or "").split(",")}
    if "no-store" in directives:
        return Sharing.NO_STORE
    return Sharing.PRIVATE if "private" in directives else Sharing.PUBLIC


def cache_control(sharing: Sharing, max_age_s: int) -> str:
    """Write it plainly: WhatsApp documents max-age, no-store and private, and is silent on all else."""
    return "no-store" if sharing is Sharing.NO_STORE else f"{sharing}, max-age={max_age_s}"


def expiring_cache_control(sharing: Sharing, left_s: int) -> str:
    """Forbid what outlives its time, too: CloudFront serves what has expired while the origin fails.

    It obeys stale-if-error (RFC 5861; Amazon CloudFront Developer Guide, Managing how long content stays in the
    cache); must-revalidate says the same to those who know RFC 9111 only.
    """
    plain = cache_control(sharing, left_s)
    return plain if sharing is Sharing.NO_STORE else f"{plain}, must-revalidate, stale-if-error=0"


def content_disposition(file_name: str) -> str:
    """Name the file for whoever saves it: ASCII for old clients, and the real name (RFC 6266, RFC 8187)."""
    plain = re.sub(r'[^\x20-\x7e]|["\\%]', "_", file_name)
    extended = quote(file_name, safe="!#$&+^`|", encoding="utf-8")
    return f'inline; filename="{plain}"' + (f"; filename*=UTF-8''{extended}" if plain != file_name else "")


def decode_path(raw: bytes) -> str:
    """Decode a path once.

    Raises:
        NotFound: it is not UTF-8, or hides a slash, a backslash or a NUL behind its escapes.
    """
    if re.search(rb"%(2f|5c|00)", raw, re.IGNORECASE):
        raise NotFound
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError as error:
        raise NotFound from error
