"""A byte that is flipped on its way is noticed where a store says what the bytes hash to, and nowhere else."""

import hashlib
from asyncio import run
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proxy.errors import StoreAway
from proxy.storage.digests import METADATA_NAME, digest_told, gives_md5_etags
from proxy.storage.s3 import S3Store
from proxy.storage.store import parse_key, reserved_key
from tests.storage.bodies import MIB, body_of, fetch, part

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

KEY = parse_key("folder/photo.jpg")
OURS = reserved_key("renditions/0123")
JPEG = "image/jpeg"
BODY = body_of(MIB)
MD5 = hashlib.md5(BODY, usedforsecurity=False).hexdigest()


def flipped(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]


@pytest.mark.parametrize("name", ["put", "put_new"])
def test_what_we_put_ourselves_is_not_taken_with_a_flipped_byte(  # noqa: PLR0913, PLR0917 - two doors to one bucket
    server_url: str,
    open_s3: Callable[..., S3Store],
    client_of: Callable[[str], "S3Client"],
    new_bucket: Callable[..., str],
    file_of: Callable[[bytes], Path],
    name: str,
) -> None:
    bucket, client = new_bucket(server_url), client_of(server_url)
    store = open_s3(server_url, bucket)
    for key in (OURS, KEY):
        run(getattr(store, name)(key, file_of(BODY), media_type=JPEG))
        assert fetch(store, key) == BODY
        kept = client.head_object(Bucket=bucket, Key=key)["Metadata"]
        client.put_object(Bucket=bucket, Key=key, Body=flipped(BODY), Metadata=kept)
    with pytest.raises(StoreAway):
        fetch(store, OURS)
    assert fetch(store, KEY) == flipped(BODY)


@pytest.fixture
def open_aws(
    open_s3: Callable[..., S3Store], answering: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., S3Store]:
    """Open AWS itself, which answers as told: a proxy stands before it."""

    def make(answer: Callable[[bytes], bytes], bucket: str = "bucket") -> S3Store:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, answering(answer))
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        return open_s3("http://s3.us-east-1.amazonaws.com", bucket)

    return make


def test_at_aws_a_flipped_byte_is_noticed(open_aws: Callable[..., S3Store], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.storage.parts.PART_BYTES", MIB // 5)
    assert fetch(open_aws(partial(part, BODY, etag=MD5.encode())), KEY) == BODY
    with pytest.raises(StoreAway):
        fetch(open_aws(partial(part, flipped(BODY), etag=MD5.encode())), KEY)


GOOD: dict[str, tuple[bytes, bytes]] = {
    "multipart": (MD5[::-1].encode() + b"-3", b""),
    "encrypted-by-kms": (MD5[::-1].encode(), b"\r\nx-amz-server-side-encryption: aws:kms"),
    "encrypted-twice": (MD5[::-1].encode(), b"\r\nx-amz-server-side-encryption: aws:kms:dsse"),
    "on-a-file-system": (MD5[::-1].encode(), b"\r\nx-amz-server-side-encryption: aws:fsx"),
    "encrypted-by-a-customer": (MD5[::-1].encode(), b"\r\nx-amz-server-side-encryption-customer-algorithm: AES256"),
    "encrypted-by-s3": (MD5.encode(), b"\r\nx-amz-server-side-encryption: AES256"),
}


@pytest.mark.parametrize(("etag", "more"), GOOD.values(), ids=GOOD.keys())
def test_at_aws_no_good_object_is_refused(open_aws: Callable[..., S3Store], etag: bytes, more: bytes) -> None:
    assert fetch(open_aws(partial(part, BODY, etag=etag, more=more)), KEY) == BODY


def test_an_etag_of_anybody_else_is_no_checksum(open_s3: Callable[..., S3Store], answering: Callable[..., str]) -> None:
    assert fetch(open_s3(answering(partial(part, BODY, etag=MD5[::-1].encode()))), KEY) == BODY


@pytest.mark.parametrize(
    ("endpoint", "bucket", "given"),
    [
        ("https://s3.us-east-1.amazonaws.com", "media", True),
        ("https://s3.cn-north-1.amazonaws.com.cn", "media", True),
        ("https://s3express-use1-az4.us-east-1.amazonaws.com", "media--use1-az4--x-s3", False),
        ("https://s3.us-east-1.amazonaws.com", "mine-abc--ol-s3", False),
        ("https://s3.us-east-1.amazonaws.com", "arn:aws:s3-object-lambda:us-east-1:1:accesspoint/mine", False),
        ("https://storage.googleapis.com", "media", False),
        ("https://minio.example", "media", False),
        ("https://notamazonaws.com", "media", False),
        ("https://amazonaws.com.example", "media", False),
    ],
)
def test_only_plain_buckets_of_aws_give_md5_etags(endpoint: str, bucket: str, given: bool) -> None:  # noqa: FBT001 - a table
    assert gives_md5_etags(endpoint, bucket) is given


def test_only_objects_of_our_own_are_held_to_our_metadata() -> None:
    answer: Mapping[str, object] = {"ETag": '"abc"', "Metadata": {METADATA_NAME: "0"}}
    assert digest_told(KEY, answer, md5_etags=True) is None
    assert digest_told(OURS, answer, md5_etags=False) is not None
