import asyncio
import gc
import re
import socket
import time
from asyncio import run
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from proxy.errors import DiskFull, Malformed, NotFound, SourceReplaced, StoreAway
from proxy.storage.s3 import PROBE, S3Settings, S3Store
from proxy.storage.store import MAX_KEY_BYTES, Store, parse_key
from tests.storage.bodies import fetch, take

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

KEY = parse_key("folder/photo.jpg")
JPEG = "image/jpeg"
HEADERS = b'ETag: "abc"\r\nLast-Modified: Sun, 22 Nov 2026 14:00:00 GMT\r\nConnection: close\r\n'
SLOW_DOWN = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\n\r\n"
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def ok(body: bytes, *more: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 200 OK", *more, HEADERS, body))


def every_call(store: Store, body: Path) -> dict[str, Callable[[], Coroutine[None, None, object]]]:
    return {
        "find": lambda: store.find(KEY),
        "fetch": lambda: take(store, KEY, into=body.with_name("into")),
        "fetch by id": lambda: take(store, KEY, "v:1", into=body.with_name("into")),
        "fetch by etag": lambda: take(store, KEY, "e:abc", into=body.with_name("into")),
        "put": lambda: store.put(KEY, body, media_type=JPEG),
        "put_new": lambda: store.put_new(KEY, body, media_type=JPEG),
        "check": store.check,
    }


def assert_away(store: Store, body: Path, *, but: str = "") -> None:
    for name, call in every_call(store, body).items():
        if name != but:
            with pytest.raises(StoreAway):
                run(call())


def test_a_refused_connection_is_a_store_away(
    open_s3: Callable[..., S3Store], file_of: Callable[[bytes], Path]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert_away(open_s3(f"http://127.0.0.1:{port}"), file_of(b"one"))


def test_a_silent_store_is_away_after_the_time_limit(
    open_s3: Callable[..., S3Store], answering: Callable[..., str], file_of: Callable[[bytes], Path]
) -> None:
    assert_away(open_s3(answering(lambda _: b"STALL"), read_timeout_s=0.1), file_of(b"one"))


def test_waiting_for_a_thread_counts_as_waiting(open_s3: Callable[..., S3Store], answering: Callable[..., str]) -> None:
    store = open_s3(answering(lambda _: b"STALL"), threads=1, read_timeout_s=1, total_timeout_s=0.3)
    started = time.monotonic()

    async def crowd() -> list[object]:
        return await asyncio.gather(*(store.find(KEY) for _ in range(5)), return_exceptions=True)

    assert [type(result) for result in run(crowd())] == [StoreAway] * 5
    assert time.monotonic() - started < 1


NOT_WHOLE = {
    "cut-off": ok(b"123", b"Content-Length: 5"),
    "cut-off-before-the-body": ok(b"", b"Content-Length: 5"),
    "stalls-in-the-middle": ok(b"123STALL", b"Content-Length: 5"),
    "longer-than-told": ok(b"7\r\n1234567\r\n0\r\n\r\n", b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    "shorter-than-told": ok(b"3\r\n123\r\n0\r\n\r\n", b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    "cut-off-in-a-chunk": ok(b"5\r\n123", b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    "of-unknown-length": ok(b"123"),
}


@pytest.mark.parametrize("answer", NOT_WHOLE.values(), ids=NOT_WHOLE.keys())
def test_a_body_that_is_not_whole_is_not_passed_off(
    open_s3: Callable[..., S3Store], answering: Callable[..., str], into: Path, answer: bytes
) -> None:
    store = open_s3(answering(lambda _: answer), read_timeout_s=0.2)
    for version in (None, "e:abc"):
        with pytest.raises(StoreAway):
            run(take(store, KEY, version, into=into, max_bytes=5))
        assert into.stat().st_size <= 5


def test_the_same_answer_made_whole_is_taken(open_s3: Callable[..., S3Store], answering: Callable[..., str]) -> None:
    store = open_s3(answering(lambda _: ok(b"12345", b"Content-Length: 5")))
    assert fetch(store, KEY) == fetch(store, KEY, "e:abc") == b"12345"


NONSENSE = {
    "not-http": b"hello\r\n\r\n",
    "hangs-up": b"",
    "throttled": SLOW_DOWN,
    "error-in-html": b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>",
    "redirect-in-a-circle": b"HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE.keys())
def test_an_answer_that_makes_no_sense_is_a_store_away(
    open_s3: Callable[..., S3Store], answering: Callable[..., str], file_of: Callable[[bytes], Path], answer: bytes
) -> None:
    assert_away(open_s3(answering(lambda _: answer), read_timeout_s=0.5), file_of(b"one"))


UNREADABLE = {
    "html": b"Content-Length: 6\r\nLast-Modified: Sun, 22 Nov 2026 14:00:00 GMT\r\n\r\n<html>",
    "no-date": b"Content-Length: 1\r\nETag: x\r\nLast-Modified: soon\r\n\r\n1",
    "no-length": b"Content-Length: many\r\nETag: x\r\nLast-Modified: Sun, 22 Nov 2026 14:00:00 GMT\r\n\r\n1",
}


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # botocore drops a body whose headers it cannot parse
@pytest.mark.parametrize("rest", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_headers_that_make_no_sense_are_a_store_away(
    open_s3: Callable[..., S3Store], answering: Callable[..., str], rest: bytes
) -> None:
    store = open_s3(answering(lambda _: b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + rest))
    with pytest.raises(StoreAway):
        run(store.find(KEY))
    with pytest.raises(StoreAway):
        fetch(store, KEY)
    gc.collect()


def test_a_throttled_read_is_tried_again(open_s3: Callable[..., S3Store], answering: Callable[..., str]) -> None:
    answers = iter([SLOW_DOWN, ok(b"", b"Content-Length: 5")])
    store = open_s3(answering(lambda _: next(answers)), attempts=2)
    assert run(store.find(KEY)).size_bytes == 5


def test_a_store_without_room_is_told(
    open_s3: Callable[..., S3Store], answering: Callable[..., str], file_of: Callable[[bytes], Path]
) -> None:
    full = b"HTTP/1.1 507 Insufficient Storage\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with pytest.raises(DiskFull):
        run(open_s3(answering(lambda _: full)).put(KEY, file_of(b"one"), media_type=JPEG))


def test_a_reader_without_room_is_told(
    open_s3: Callable[..., S3Store], answering: Callable[..., str], need: Callable[[str], NoReturn]
) -> None:
    if not Path("/dev/full").exists():
        need("this system has no /dev/full")
    store = open_s3(answering(lambda _: ok(b"12345", b"Content-Length: 5")))
    with pytest.raises(DiskFull):
        run(take(store, KEY, into=Path("/dev/full")))


def test_wrong_keys_are_a_store_away(
    open_s3: Callable[..., S3Store],
    seaweedfs_url: str,
    new_bucket: Callable[..., str],
    file_of: Callable[[bytes], Path],
) -> None:
    bucket = new_bucket(seaweedfs_url)
    run(open_s3(seaweedfs_url, bucket).put(KEY, file_of(b"one"), media_type=JPEG))
    assert_away(open_s3(seaweedfs_url, bucket, secret_access_key="wrong"), file_of(b"two"))
    assert fetch(open_s3(seaweedfs_url, bucket), KEY) == b"one"


def test_a_missing_bucket_is_a_store_away(
    open_s3: Callable[..., S3Store], moto_url: str, file_of: Callable[[bytes], Path]
) -> None:
    store = open_s3(moto_url, "no-such-bucket")
    assert_away(store, file_of(b"one"), but="find")  # a HEAD cannot tell which of the two is missing
    with pytest.raises(NotFound):
        run(store.find(KEY))


def listing(*keys: bytes) -> bytes:
    entries = b"".join(b"<Contents><Key>%s</Key></Contents>" % key for key in keys)
    return ok(b"<ListBucketResult>%s</ListBucketResult>" % entries)


@pytest.mark.parametrize(
    ("listed", "unversioned", "versioned"),
    [
        (listing(), NotFound, SourceReplaced),
        (listing(b"folder/photo.jpg.bak"), NotFound, SourceReplaced),
        (listing(b"folder/photo.jpg"), StoreAway, StoreAway),
        (FORBIDDEN, StoreAway, StoreAway),
        (ok(b"<html><p>"), StoreAway, StoreAway),
    ],
    ids=["missing", "neighbour", "forbidden", "list-forbidden-too", "list-is-nonsense"],
)
def test_a_forbidden_key_is_settled_by_the_list(  # noqa: PLR0913, PLR0917 - a table and its doors
    open_s3: Callable[..., S3Store],
    answering: Callable[..., str],
    into: Path,
    listed: bytes,
    unversioned: type[Exception],
    versioned: type[Exception],
) -> None:
    store = open_s3(answering(lambda head: listed if b"list-type=2" in head else FORBIDDEN))
    for call, error in (
        (store.find(KEY), unversioned),
        (take(store, KEY, into=into), unversioned),
        (take(store, KEY, "v:1", into=into), versioned),
    ):
        with pytest.raises(error):
            run(call)


def test_the_check_asks_for_the_list_where_the_bucket_is_forbidden(
    open_s3: Callable[..., S3Store], answering: Callable[..., str]
) -> None:
    heads: list[bytes] = []

    def answer(head: bytes) -> bytes:
        heads.append(head)
        return listing() if b"list-type=2" in head else FORBIDDEN

    run(open_s3(answering(answer), prefix="some/prefix").check())
    assert [head.split()[0] for head in heads] == [b"HEAD", b"GET"]
    assert b"prefix=some%2Fprefix%2F" in heads[1]


def test_the_cache_control_of_the_owner_is_kept(
    open_s3: Callable[..., S3Store],
    moto_url: str,
    client_of: Callable[[str], "S3Client"],
    new_bucket: Callable[..., str],
    into: Path,
) -> None:
    bucket = new_bucket(moto_url)
    client_of(moto_url).put_object(Bucket=bucket, Key=KEY, Body=b"one", CacheControl="private, max-age=5")
    store = open_s3(moto_url, bucket)
    assert run(store.find(KEY)).cache_control == "private, max-age=5"
    assert run(take(store, KEY, into=into)).cache_control == "private, max-age=5"


def test_the_media_type_is_kept_for_other_readers(
    open_s3: Callable[..., S3Store],
    moto_url: str,
    client_of: Callable[[str], "S3Client"],
    new_bucket: Callable[..., str],
    file_of: Callable[[bytes], Path],
) -> None:
    bucket = new_bucket(moto_url)
    store = open_s3(moto_url, bucket)
    run(store.put(KEY, file_of(b"one"), media_type=JPEG))
    run(store.put_new(parse_key("new"), file_of(b"one"), media_type="image/png"))
    client = client_of(moto_url)
    assert client.head_object(Bucket=bucket, Key=KEY)["ContentType"] == JPEG
    assert client.head_object(Bucket=bucket, Key="new")["ContentType"] == "image/png"


def test_keys_lie_under_the_prefix(
    open_s3: Callable[..., S3Store],
    moto_url: str,
    client_of: Callable[[str], "S3Client"],
    new_bucket: Callable[..., str],
    file_of: Callable[[bytes], Path],
) -> None:
    client = client_of(moto_url)
    for prefix, place in (("", ""), ("a", "a/"), ("a/", "a/"), ("/a/", "a/"), ("a/b", "a/b/")):
        bucket = new_bucket(moto_url)
        run(open_s3(moto_url, bucket, prefix).put_new(KEY, file_of(b"one"), media_type=JPEG))
        names = {entry["Key"] for entry in client.list_objects_v2(Bucket=bucket)["Contents"]}
        assert names == {place + KEY, place + PROBE}


def test_a_store_sees_nothing_outside_of_its_prefix(
    open_s3: Callable[..., S3Store], moto_url: str, new_bucket: Callable[..., str], file_of: Callable[[bytes], Path]
) -> None:
    bucket = new_bucket(moto_url)
    stores = {prefix: open_s3(moto_url, bucket, prefix) for prefix in ("a", "b", "a/deeper")}
    for prefix, store in stores.items():
        run(store.put(KEY, file_of(prefix.encode()), media_type=JPEG))
    assert {prefix: fetch(store, KEY) for prefix, store in stores.items()} == {
        "a": b"a",
        "b": b"b",
        "a/deeper": b"a/deeper",
    }
    run(stores["b"].put(parse_key("only-in-b"), file_of(b"b"), media_type=JPEG))
    with pytest.raises(NotFound):
        run(stores["a"].find(parse_key("only-in-b")))


def test_the_prefix_counts_towards_the_length(
    open_s3: Callable[..., S3Store], moto_url: str, new_bucket: Callable[..., str], file_of: Callable[[bytes], Path]
) -> None:
    key = parse_key("/".join(["x" * 200] * 5))
    bucket = new_bucket(moto_url)
    room = MAX_KEY_BYTES - len(key) - 1
    run(open_s3(moto_url, bucket, "p" * room).put(key, file_of(b"one"), media_type=JPEG))
    with pytest.raises(Malformed):
        run(open_s3(moto_url, bucket, "p" * (room + 1)).find(key))


def test_a_deleted_version_is_gone_and_a_deleted_key_not_found(
    server_url: str,
    open_s3: Callable[..., S3Store],
    client_of: Callable[[str], "S3Client"],
    new_bucket: Callable[..., str],
    file_of: Callable[[bytes], Path],
) -> None:
    bucket, client = new_bucket(server_url, versioned=True), client_of(server_url)
    store = open_s3(server_url, bucket)
    first, second = (run(store.put(KEY, file_of(body), media_type=JPEG)).version for body in (b"one", b"two"))
    client.delete_object(Bucket=bucket, Key=KEY, VersionId=first.removeprefix("v:"))
    marker = client.delete_object(Bucket=bucket, Key=KEY)["VersionId"]
    with pytest.raises(NotFound):
        run(store.find(KEY))
    for gone in (first, f"v:{marker}"):
        with pytest.raises(SourceReplaced):
            fetch(store, KEY, gone)
    assert fetch(store, KEY, second) == b"two"


def test_an_etag_names_its_bytes_after_the_bucket_got_versions(
    server_url: str,
    open_s3: Callable[..., S3Store],
    client_of: Callable[[str], "S3Client"],
    new_bucket: Callable[..., str],
    file_of: Callable[[bytes], Path],
) -> None:
    bucket = new_bucket(server_url)
    store = open_s3(server_url, bucket)
    old = run(store.put(KEY, file_of(b"one"), media_type=JPEG)).version
    client_of(server_url).put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert run(store.find(KEY)).version == old
    again = run(store.put(KEY, file_of(b"one"), media_type=JPEG)).version
    assert (old[:2], again[:2]) == ("e:", "v:")
    assert fetch(store, KEY, old) == fetch(store, KEY, again) == b"one"
    run(store.put(KEY, file_of(b"two"), media_type=JPEG))
    with pytest.raises(SourceReplaced):
        fetch(store, KEY, old)
    assert fetch(store, KEY, again) == b"one"


def test_a_store_that_honours_if_none_match_is_known_after_the_first_use(
    server_url: str,
    open_s3: Callable[..., S3Store],
    new_bucket: Callable[..., str],
    file_of: Callable[[bytes], Path],
) -> None:
    bucket = new_bucket(server_url)
    for _ in range(2):
        store = open_s3(server_url, bucket)
        assert store.honours_if_none_match is None
        run(store.put_new(KEY, file_of(b"one"), media_type=JPEG))
        assert store.honours_if_none_match is True


def test_a_store_that_ignores_if_none_match_is_looked_at_first(
    open_s3: Callable[..., S3Store],
    forgetful_url: str,
    new_bucket: Callable[..., str],
    file_of: Callable[[bytes], Path],
) -> None:
    store = open_s3(forgetful_url, new_bucket(forgetful_url))
    assert run(store.put_new(KEY, file_of(b"first"), media_type=JPEG))
    assert store.honours_if_none_match is False
    assert not run(store.put_new(KEY, file_of(b"second"), media_type=JPEG))
    assert fetch(store, KEY) == b"first"


def test_a_store_that_knows_no_conditional_put_is_looked_at_first(
    open_s3: Callable[..., S3Store], answering: Callable[..., str], file_of: Callable[[bytes], Path]
) -> None:
    stored: list[bytes] = []

    def answer(head: bytes) -> bytes:
        if b"if-none-match" in head.lower():
            return b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        if head.startswith(b"PUT"):
            stored.append(head)
            return ok(b"", b"Content-Length: 0", b"Date: Sun, 22 Nov 2026 14:00:00 GMT")
        if stored:
            return ok(b"", b"Content-Length: 3")
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    store = open_s3(answering(answer))
    assert run(store.put_new(KEY, file_of(b"one"), media_type=JPEG))
    assert not run(store.put_new(KEY, file_of(b"two"), media_type=JPEG))
    assert store.honours_if_none_match is False
    assert len(stored) == 1


def test_a_writer_that_was_overtaken_reads_it_back(
    open_s3: Callable[..., S3Store], answering: Callable[..., str], file_of: Callable[[bytes], Path]
) -> None:
    looks = iter([b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"])
    theirs = ok(b"", b"Content-Length: 3").replace(b'"abc"', b'"theirs"')
    ours = ok(b"", b"Content-Length: 0", b"Date: Sun, 22 Nov 2026 14:00:00 GMT")
    store = open_s3(answering(lambda head: ours if head.startswith(b"PUT") else next(looks, theirs)))
    assert not run(store.put_new(KEY, file_of(b"one"), media_type=JPEG))


def test_two_conditional_puts_at_once_are_one_lost(
    open_s3: Callable[..., S3Store], answering: Callable[..., str], file_of: Callable[[bytes], Path]
) -> None:
    conflict = (
        b"HTTP/1.1 409 Conflict\r\nConnection: close\r\n\r\n"
        b"<Error><Code>ConditionalRequestConflict</Code><Message>again</Message></Error>"
    )
    store = open_s3(answering(lambda _: conflict))
    assert not run(store.put_new(KEY, file_of(b"one"), media_type=JPEG))
    assert store.honours_if_none_match is True


def test_no_checksum_goes_out_that_look_alikes_refuse(
    open_s3: Callable[..., S3Store], answering: Callable[..., str], file_of: Callable[[bytes], Path]
) -> None:
    heads: list[bytes] = []

    def answer(head: bytes) -> bytes:
        heads.append(head.lower())
        return ok(b"", b"Content-Length: 0", b"Date: Sun, 22 Nov 2026 14:00:00 GMT")

    store = open_s3(answering(answer))
    run(store.put(KEY, file_of(b"one"), media_type=JPEG))
    fetch(store, KEY)
    assert [head.split()[:2] for head in heads] == [
        [b"put", b"/bucket/folder/photo.jpg"],
        [b"get", b"/bucket/folder/photo.jpg"],
    ]
    assert all(b"aws4-hmac-sha256" in head for head in heads)
    assert not re.search(rb"x-amz-(checksum|sdk-checksum|trailer)|aws-chunked", b"".join(heads))


def test_the_secret_does_not_show() -> None:
    settings = S3Settings(access_key_id="id", secret_access_key="very-secret")
    assert "very-secret" not in repr(settings)
