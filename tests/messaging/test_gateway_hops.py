"""What goes to the provider and what stays here; and what an error of ours is called in the provider's shape."""

import pytest

from proxy import errors
from proxy.errors import MedialinkError, NotFound
from proxy.messaging.graph_errors import graph_error
from proxy.messaging.hops import back, house_key_header, onward, segments_of, sends_a_message


@pytest.mark.parametrize(
    ("method", "path", "sends"),
    [
        pytest.param("POST", b"/waba/messages", True, id="360dialog"),
        pytest.param("POST", b"/waba/123/messages", True, id="Meta"),
        pytest.param("POST", b"/waba/v25.0/123/messages", True, id="Meta with its version"),
        pytest.param("POST", b"/waba/v25.0/123/marketing_messages", True, id="marketing messages"),
        pytest.param("POST", b"/waba/messages/", True, id="a slash at the end"),
        pytest.param("POST", b"/waba/%6Dessages", True, id="escaped"),
        pytest.param("POST", b"/waba/Messages", True, id="a capital"),
        pytest.param("GET", b"/waba/messages", False, id="read"),
        pytest.param("POST", b"/waba/media", False, id="an upload"),
        pytest.param("POST", b"/waba/messages/123", False, id="one message"),
        pytest.param("POST", b"/waba/a/b/c/messages", False, id="something deeper"),
    ],
)
def test_a_message_is_known_by_its_path(method: str, path: bytes, *, sends: bool) -> None:
    assert sends_a_message(method, segments_of(path)) is sends


@pytest.mark.parametrize(
    ("path", "header"),
    [
        pytest.param(b"/waba/messages", (b"d360-api-key", b"k"), id="360dialog"),
        pytest.param(b"/waba/123", (b"d360-api-key", b"k"), id="a medium at 360dialog, or at Meta"),
        pytest.param(b"/waba/v1/configs/templates", (b"d360-api-key", b"k"), id="360dialog's templates"),
        pytest.param(b"/waba/v25.0/123/messages", (b"authorization", b"Bearer k"), id="Meta with its version"),
        pytest.param(b"/waba/123/messages", (b"authorization", b"Bearer k"), id="Meta without a version"),
    ],
)
def test_the_houses_key_stands_where_the_owner_of_the_path_reads_it(path: bytes, header: tuple[bytes, bytes]) -> None:
    assert house_key_header("k", segments_of(path)) == header


def test_the_provider_sees_one_key_and_nothing_of_the_way_to_us() -> None:
    came = [
        (b"Host", b"ours"),
        (b"Authorization", b"Bearer theirs"),
        (b"D360-Api-Key", b"theirs"),
        (b"Connection", b"close, X-Once"),
        (b"X-Once", b"1"),
        (b"Transfer-Encoding", b"chunked"),
        (b"X-Forwarded-For", b"10.0.0.1"),
        (b"traceparent", b"00-1-1-01"),
        (b"Content-Type", b"application/json"),
        (b"X-Two", b"1"),
        (b"X-Two", b"2"),
    ]
    assert onward(came, key=(b"d360-api-key", b"ours")) == [
        (b"content-type", b"application/json"),
        (b"x-two", b"1"),
        (b"x-two", b"2"),
        (b"d360-api-key", b"ours"),
    ]


def test_an_answer_keeps_all_that_is_not_for_the_hop() -> None:
    came = [
        (b"Keep-Alive", b"5"),
        (b"Date", b"d"),
        (b"Set-Cookie", b"a"),
        (b"Set-Cookie", b"b"),
        (b"X-Request-Id", b"x"),
    ]
    assert back(came) == [(b"set-cookie", b"a"), (b"set-cookie", b"b")]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        pytest.param(errors.Unauthorized(required="key"), 401, 190, id="no key"),
        pytest.param(errors.KeyNotAllowed(key="a"), 403, 131005, id="another's key"),
        pytest.param(errors.AccountNotAllowed(), 403, 131005, id="another's account"),
        pytest.param(errors.Malformed(field="a", problem="b"), 400, 100, id="malformed"),
        pytest.param(errors.TooLarge(size_bytes=2, limit_bytes=1), 413, 100, id="too large"),
        pytest.param(errors.TooManyRequests(limit_per_minute=6), 429, 4, id="too many"),
        pytest.param(errors.TooHeavy(kind="image", size_bytes=2, limit_bytes=1), 400, 131053, id="refused"),
        pytest.param(errors.TakenDown(), 400, 131053, id="taken down"),
        pytest.param(errors.LinkExpired(), 400, 131053, id="expired"),
        pytest.param(errors.StoreAway(), 503, 131016, id="store away"),
        pytest.param(errors.Busy(), 503, 131016, id="busy"),
        pytest.param(errors.PublicUrlBroken(problem="p"), 502, 131053, id="our address is broken"),
        pytest.param(errors.NotFound(), 404, 100, id="no such path"),
        pytest.param(MedialinkError(), 500, 131000, id="a defect"),
    ],
)
def test_each_error_has_the_code_by_which_clients_know_what_to_do(
    error: MedialinkError, status: int, code: int
) -> None:
    told = graph_error(error)
    assert (told.status, told.code, told.details, told.retry_after_s) == (
        status,
        code,
        error.message,
        error.retry_after_s,
    )
    assert told.payload("id")["error"] == {
        "message": f"(#{code}) {told.payload('id')['error']['message'].partition(') ')[2]}",  # type: ignore[index]
        "type": "OAuthException",
        "code": code,
        "error_data": {"messaging_product": "whatsapp", "details": error.message},
        "fbtrace_id": "id",
    }


def test_an_object_that_is_missing_is_a_medium_that_cannot_be_fetched() -> None:
    told = graph_error(NotFound(), "image")
    assert (told.status, told.code) == (400, 131053)
    assert told.details.startswith("image: There is no such object")
