"""A list at S3 that does not come as it should."""

import asyncio
from asyncio import run
from collections.abc import Callable, Iterator
from threading import Semaphore
from typing import TYPE_CHECKING

import pytest

from proxy.errors import StoreAway
from proxy.storage.listing import PAUSES_S
from proxy.storage.s3 import S3Store

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def page(name: bytes, token: bytes = b"") -> bytes:
    more = b"<IsTruncated>true</IsTruncated><NextContinuationToken>%s</NextContinuationToken>" % token
    whole = b"<IsTruncated>false</IsTruncated>"
    body = b"<ListBucketResult><Contents><Key>%s</Key></Contents>%s</ListBucketResult>" % (
        name,
        more if token else whole,
    )
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.storage.listing.PAUSES_S", (0.0,) * len(PAUSES_S))


async def told(store: S3Store, names: list[str]) -> None:
    async for some in store.keys("p/"):
        names += some


Listed = Callable[[list[bytes]], tuple[list[str], list[bytes], bool]]


@pytest.fixture
def listed(open_s3: Callable[..., S3Store], answering: Callable[..., str]) -> Listed:
    """List what these answers tell: gives the names, the heads of the requests, and whether it came to its end."""

    def work(answers: list[bytes]) -> tuple[list[str], list[bytes], bool]:
        heads: list[bytes] = []
        left: Iterator[bytes] = iter(answers)

        def answer(head: bytes) -> bytes:
            heads.append(head)
            return next(left)

        names: list[str] = []
        try:
            run(told(open_s3(answering(answer)), names))
        except StoreAway:
            return names, heads, False
        return names, heads, True

    return work


def test_a_first_page_that_does_not_come_is_told_at_once(listed: Listed) -> None:
    names, heads, whole = listed([FORBIDDEN, page(b"p/a")])
    assert (names, len(heads), whole) == ([], 1, False)


@pytest.mark.usefixtures("at_once")
def test_a_later_page_is_asked_for_again_by_its_token(listed: Listed) -> None:
    names, heads, whole = listed([page(b"p/a", b"second"), *[FORBIDDEN] * len(PAUSES_S), page(b"p/b")])
    assert (names, whole) == (["p/a", "p/b"], True)
    assert [b"continuation-token=second" in head for head in heads] == [False, *[True] * (len(PAUSES_S) + 1)]


@pytest.mark.usefixtures("at_once")
def test_a_later_page_that_never_comes_ends_the_list(listed: Listed) -> None:
    names, heads, whole = listed([page(b"p/a", b"second"), *[FORBIDDEN] * 10])
    assert (names, len(heads), whole) == (["p/a"], len(PAUSES_S) + 2, False)


def test_a_page_has_a_time_limit_and_its_thread_is_let_go(
    open_s3: Callable[..., S3Store],
    answering: Callable[..., str],
    hang_ups: Semaphore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("proxy.storage.s3.PAGE_LIMIT_S", 0.2)
    store = open_s3(answering(lambda _: b"STALL"), threads=1, read_timeout_s=60)
    with pytest.raises(StoreAway):
        run(asyncio.wait_for(told(store, []), 20))
    assert hang_ups.acquire(timeout=20)


def test_markers_of_empty_folders_are_no_keys_and_other_prefixes_are_not_ours(
    open_s3: Callable[..., S3Store],
    server_url: str,
    new_bucket: Callable[..., str],
    client_of: Callable[[str], "S3Client"],
) -> None:
    bucket = new_bucket(server_url)
    for name in ("own/p/", "own/p/a.jpg", "own/p/empty/", "own/own/p/b.jpg", "ownp/c.jpg", "p/d.jpg"):
        client_of(server_url).put_object(Bucket=bucket, Key=name, Body=b"")
    for prefix, names in (("own", ["p/a.jpg"]), ("", ["p/d.jpg"]), ("own/own/", ["p/b.jpg"])):
        found: list[str] = []
        run(told(open_s3(server_url, bucket, prefix), found))
        assert found == names
