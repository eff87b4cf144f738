"""RFC 9110 as tables; the rows are what other servers got wrong."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.delivery.http import (
    Conditions,
    HttpVerdict,
    NotModified,
    Part,
    PreconditionFailed,
    Representation,
    Unsatisfiable,
    Whole,
    cache_control,
    content_disposition,
    decode_path,
    http_date,
    judge,
    not_modified_by_tag_alone,
    read_conditions,
    sharing_of,
)
from proxy.delivery.links import Sharing
from proxy.errors import NotFound

MODIFIED = datetime(2026, 3, 1, 12, 0, 0, 987_000, UTC)
IT = Representation(etag="abc", modified_at=MODIFIED, size_bytes=1000)
SAME_DATE = "Sun, 01 Mar 2026 12:00:00 GMT"
EARLIER = "Sat, 28 Feb 2026 12:00:00 GMT"
LATER = "Mon, 02 Mar 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("asked", "verdict"),
    [
        pytest.param({}, Whole(), id="nothing-asked"),
        pytest.param({"if_none_match": '"abc"'}, NotModified(), id="etag"),
        pytest.param({"if_none_match": 'W/"abc"'}, NotModified(), id="weak-comparison"),
        pytest.param({"if_none_match": '"x", W/"abc" , "y"'}, NotModified(), id="list"),
        pytest.param({"if_none_match": '"a,b", "abc"'}, NotModified(), id="comma-inside-a-tag"),
        pytest.param({"if_none_match": ',, "abc",'}, NotModified(), id="empty-list-elements"),
        pytest.param({"if_none_match": "*"}, NotModified(), id="star"),
        pytest.param({"if_none_match": "abc"}, Whole(), id="unquoted-tag"),
        pytest.param({"if_none_match": '"ABC"'}, Whole(), id="tags-are-case-sensitive"),
        pytest.param({"if_none_match": '"x"', "if_modified_since": LATER}, Whole(), id="etag-overrules-date"),
        pytest.param({"if_modified_since": SAME_DATE}, NotModified(), id="same-second"),
        pytest.param({"if_modified_since": LATER}, NotModified(), id="newer-date"),
        pytest.param({"if_modified_since": EARLIER}, Whole(), id="older-date"),
        pytest.param({"if_modified_since": "Sunday, 01-Mar-26 12:00:00 GMT"}, NotModified(), id="rfc850-date"),
        pytest.param({"if_modified_since": "Sun Mar  1 12:00:00 2026"}, NotModified(), id="asctime-date"),
        pytest.param({"if_modified_since": "yesterday"}, Whole(), id="no-date"),
        pytest.param({"if_modified_since": "Sun, 99 Mar 2026 12:00:00 GMT"}, Whole(), id="impossible-date"),
        pytest.param({"if_match": '"abc"'}, Whole(), id="if-match"),
        pytest.param({"if_match": "*"}, Whole(), id="if-match-star"),
        pytest.param({"if_match": '"x"'}, PreconditionFailed(), id="if-match-other"),
        pytest.param({"if_match": 'W/"abc"'}, PreconditionFailed(), id="if-match-is-strong"),
        pytest.param({"if_match": '"x"', "if_none_match": '"abc"'}, PreconditionFailed(), id="if-match-comes-first"),
        pytest.param({"if_unmodified_since": EARLIER}, PreconditionFailed(), id="modified-since"),
        pytest.param({"if_unmodified_since": SAME_DATE}, Whole(), id="unmodified"),
        pytest.param({"if_match": '"abc"', "if_unmodified_since": EARLIER}, Whole(), id="if-match-overrules-date"),
        pytest.param({"range": "bytes=0-0"}, Part(0, 0), id="first-byte"),
        pytest.param({"range": "bytes=0-99"}, Part(0, 99), id="first-hundred"),
        pytest.param({"range": "bytes=900-"}, Part(900, 999), id="open"),
        pytest.param({"range": "bytes=-100"}, Part(900, 999), id="suffix"),
        pytest.param({"range": "bytes=-5000"}, Part(0, 999), id="suffix-longer-than-all"),
        pytest.param({"range": "bytes=500-5000"}, Part(500, 999), id="end-past-the-end"),
        pytest.param({"range": "Bytes=0-9"}, Part(0, 9), id="unit-in-any-case"),
        pytest.param({"range": "bytes=1000-"}, Unsatisfiable(), id="begins-past-the-end"),
        pytest.param({"range": "bytes=-0"}, Unsatisfiable(), id="empty-suffix"),
        pytest.param({"range": "bytes=9-0"}, Whole(), id="backwards"),
        pytest.param({"range": "bytes=0-1,5-6"}, Whole(), id="two-ranges"),
        pytest.param({"range": "items=0-9"}, Whole(), id="foreign-unit"),
        pytest.param({"range": "bytes=-"}, Whole(), id="no-figures"),
        pytest.param({"range": "bytes=a-b"}, Whole(), id="letters"),
        pytest.param({"range": "bytes=0-" + "9" * 400}, Whole(), id="absurd-figure"),
        pytest.param({"range": "bytes=0-9", "if_range": '"abc"'}, Part(0, 9), id="if-range-etag"),
        pytest.param({"range": "bytes=0-9", "if_range": 'W/"abc"'}, Whole(), id="if-range-is-strong"),
        pytest.param({"range": "bytes=0-9", "if_range": '"x"'}, Whole(), id="if-range-other"),
        pytest.param({"range": "bytes=0-9", "if_range": SAME_DATE}, Part(0, 9), id="if-range-date"),
        pytest.param({"range": "bytes=0-9", "if_range": LATER}, Whole(), id="if-range-another-date"),
        pytest.param({"range": "bytes=0-9", "if_none_match": '"abc"'}, NotModified(), id="304-before-206"),
    ],
)
def test_get_is_judged(asked: dict[str, str], verdict: HttpVerdict) -> None:
    assert judge("GET", Conditions(**asked), IT) == verdict


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "value", ['"a",' * 300_000, "," * 1_000_000, '"' * 1_000_000, 'W/"' * 300_000, "\t" * 10**6, "\n", '"abc"\n']
)
def test_a_long_list_of_tags_is_read_in_one_pass(value: str) -> None:
    """A pattern that looks ahead for every comma would take hours here."""
    assert judge("GET", Conditions(if_none_match=value), IT) == Whole()


def test_head_ignores_range() -> None:
    assert judge("HEAD", Conditions(range="bytes=0-0"), IT) == Whole()


@pytest.mark.parametrize("asked", ["bytes=0-0", "bytes=0-", "bytes=-1"])
def test_an_empty_body_has_no_range(asked: str) -> None:
    empty = Representation(etag="abc", modified_at=MODIFIED, size_bytes=0)
    assert judge("GET", Conditions(range=asked), empty) == Unsatisfiable()


@given(st.text(max_size=60), st.integers(0, 10**6))
def test_whatever_range_is_asked_only_bytes_that_exist_are_given(value: str, size_bytes: int) -> None:
    it = Representation(etag="abc", modified_at=MODIFIED, size_bytes=size_bytes)
    verdict = judge("GET", Conditions(range=f"bytes={value}"), it)
    if isinstance(verdict, Part):
        assert 0 <= verdict.first <= verdict.last < size_bytes


@given(st.dictionaries(st.sampled_from(sorted(Conditions.__slots__)), st.text(max_size=80)))
def test_no_header_value_breaks_the_judgement(fields: dict[str, str]) -> None:
    judge("GET", Conditions(**fields), IT)
    not_modified_by_tag_alone(Conditions(**fields), "abc")


@pytest.mark.parametrize(
    ("asked", "alone"),
    [
        pytest.param({"if_none_match": '"abc"'}, True, id="our-tag"),
        pytest.param({"if_none_match": '"x", W/"abc"'}, True, id="our-tag-in-a-list"),
        pytest.param({"if_none_match": "*"}, False, id="star-asks-whether-it-exists"),
        pytest.param({"if_none_match": '"abc"', "if_match": '"x"'}, False, id="if-match-first"),
        pytest.param({"if_modified_since": LATER}, False, id="dates-need-the-source"),
    ],
)
def test_a_304_comes_from_the_tag_alone_only_where_nothing_else_matters(asked: dict[str, str], *, alone: bool) -> None:
    assert not_modified_by_tag_alone(Conditions(**asked), "abc") is alone


def test_header_lines_of_one_name_are_one_list() -> None:
    headers = [(b"if-none-match", b'"x"'), (b"accept", b"*/*"), (b"if-none-match", b'"abc"')]
    assert read_conditions(headers) == Conditions(if_none_match='"x", "abc"')


@pytest.mark.parametrize(
    ("own", "sharing"),
    [
        (None, Sharing.PUBLIC),
        ("max-age=60", Sharing.PUBLIC),
        ("Private, max-age=60", Sharing.PRIVATE),
        ('private="set-cookie"', Sharing.PRIVATE),
        ("private, no-store", Sharing.NO_STORE),
    ],
)
def test_an_owner_may_forbid_sharing(own: str | None, sharing: Sharing) -> None:
    assert sharing_of(own) is sharing


def test_cache_control_is_plain() -> None:
    written = [cache_control(sharing, 60) for sharing in Sharing]
    assert written == ["public, max-age=60", "private, max-age=60", "no-store"]


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.pdf", 'inline; filename="a.pdf"'),
        ('my "best".pdf', "inline; filename=\"my _best_.pdf\"; filename*=UTF-8''my%20%22best%22.pdf"),
        ("Übung.pdf", "inline; filename=\"_bung.pdf\"; filename*=UTF-8''%C3%9Cbung.pdf"),
        ("100%.pdf", "inline; filename=\"100_.pdf\"; filename*=UTF-8''100%25.pdf"),
        ("a\r\nb.pdf", "inline; filename=\"a__b.pdf\"; filename*=UTF-8''a%0D%0Ab.pdf"),
    ],
)
def test_a_file_name_is_given_twice_where_it_is_not_plain(name: str, header: str) -> None:
    assert content_disposition(name) == header


def test_a_path_is_decoded_once() -> None:
    assert decode_path(b"/image/Gr%C3%BC%C3%9Fe%2520.jpg") == "/image/Grüße%20.jpg"


@pytest.mark.parametrize("raw", [b"/a%2Fb", b"/a%2fb", b"/a%5Cb", b"/a%00b", b"/a%ffb"])
def test_a_path_that_hides_something_is_not_found(raw: bytes) -> None:
    with pytest.raises(NotFound):
        decode_path(raw)


def test_dates_are_in_gmt() -> None:
    assert http_date(MODIFIED) == SAME_DATE
