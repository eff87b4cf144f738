"""Whether a bucket keeps versions, asked of real servers and of one that does not tell."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from proxy.errors import StoreAway
from proxy.storage.versioning import keeps_versions

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


@pytest.mark.parametrize("versioned", [False, True], ids=["unversioned", "versioned"])
def test_a_bucket_says_whether_it_keeps_versions(
    server_url: str, client_of: Callable[[str], "S3Client"], new_bucket: Callable[..., str], *, versioned: bool
) -> None:
    bucket = new_bucket(server_url, versioned=versioned)
    assert keeps_versions(client_of(server_url), bucket) is versioned


def test_versions_that_are_kept_no_longer_are_not_kept(
    moto_url: str, client_of: Callable[[str], "S3Client"], new_bucket: Callable[..., str]
) -> None:
    bucket = new_bucket(moto_url, versioned=True)
    client_of(moto_url).put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert keeps_versions(client_of(moto_url), bucket) is False


@pytest.mark.parametrize("status", [b"403 Forbidden", b"501 Not Implemented"])
def test_a_bucket_that_does_not_tell_is_nobodys_fault(
    answering: Callable[..., str], client_of: Callable[[str], "S3Client"], status: bytes
) -> None:
    url = answering(lambda _head: b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    assert keeps_versions(client_of(url), "bucket") is None


def test_a_store_that_is_away_is_away(client_of: Callable[[str], "S3Client"]) -> None:
    with pytest.raises(StoreAway):
        keeps_versions(client_of("http://127.0.0.1:9"), "bucket")
