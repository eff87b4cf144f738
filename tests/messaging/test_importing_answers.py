"""What another host's answer means for an import, by its status and headers alone."""

import pytest

from proxy.errors import ImportAway, ImportRefused, MedialinkError, TooLarge
from proxy.messaging.import_answers import Body, Moved, Unchanged, Validators, judge

LENGTH = [(b"Content-Length", b"10")]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(LENGTH, id="a length"),
        pytest.param([(b"Transfer-Encoding", b"chunked")], id="chunks"),
        pytest.param([*LENGTH, (b"Content-Encoding", b"Identity")], id="said to be as it is"),
    ],
)
def test_a_body_that_comes_as_it_is_is_taken(headers: list[tuple[bytes, bytes]]) -> None:
    told = [*headers, (b"ETag", b'W/"a"'), (b"LAST-MODIFIED", b"Sun")]
    assert judge(200, told, max_bytes=10) == Body(validators=Validators(etag=b'W/"a"', last_modified=b"Sun"))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_says_where_to(status: int) -> None:
    assert judge(status, [(b"Location", "/ä".encode())], max_bytes=10) == Moved("/ä")


def test_an_unchanged_file_is_not_sent() -> None:
    assert judge(304, [], max_bytes=10) == Unchanged()


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        *(pytest.param(status, LENGTH, ImportRefused, id=str(status)) for status in (201, 204, 206, 300, 305, 400)),
        *(pytest.param(status, LENGTH, ImportRefused, id=str(status)) for status in (401, 403, 404, 410, 451)),
        *(pytest.param(status, LENGTH, ImportAway, id=str(status)) for status in (408, 425, 429, 500, 503, 599)),
        pytest.param(200, [*LENGTH, (b"Content-Encoding", b"gzip")], ImportRefused, id="gzip"),
        pytest.param(200, [*LENGTH, (b"content-encoding", b"identity, br")], ImportRefused, id="two codings"),
        pytest.param(200, [], ImportRefused, id="no length"),
        pytest.param(200, [(b"Content-Length", b"11")], TooLarge, id="too large"),
        pytest.param(302, [], ImportRefused, id="a redirect to nowhere"),
        pytest.param(302, [(b"Location", b"/a"), (b"Location", b"/b")], ImportRefused, id="a redirect to two places"),
        pytest.param(302, [(b"Location", b"/\xff")], ImportRefused, id="a redirect that is not UTF-8"),
    ],
)
def test_all_else_is_no_import(status: int, headers: list[tuple[bytes, bytes]], error: type[MedialinkError]) -> None:
    with pytest.raises(error):
        judge(status, headers, max_bytes=10)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([(b"ETag", b"a"), (b"ETag", b"b")], id="two"),
        pytest.param([(b"ETag", b"")], id="empty"),
        pytest.param([(b"ETag", b"a" * 2000)], id="long"),
    ],
)
def test_a_validator_that_says_nothing_is_not_kept(headers: list[tuple[bytes, bytes]]) -> None:
    verdict = judge(200, [*LENGTH, *headers], max_bytes=10)
    assert isinstance(verdict, Body)
    assert verdict.validators.conditions() == []
