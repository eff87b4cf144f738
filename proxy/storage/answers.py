"""What S3 answers, read: which bytes these are, and whether they are all there."""

import time
from collections.abc import Mapping
from datetime import UTC
from typing import Any, BinaryIO

from botocore.response import StreamingBody

from proxy.errors import StoreAway
from proxy.storage.store import Key, Source

CHUNK_BYTES = 1 << 16


def versions_of(answer: Mapping[str, Any]) -> list[str]:
    """Name the bytes of an answer, the surest name first; a bucket without versions gives no id, or `null`."""
    etag = "e:" + answer["ETag"].strip('"')
    version_id = answer.get("VersionId", "null")
    return [etag] if version_id == "null" else [f"v:{version_id}", etag]


def source_of(key: Key, answer: Mapping[str, Any], version: str | None = None) -> Source:
    return Source(
        key=key,
        version=version or versions_of(answer)[0],
        size_bytes=answer["ContentLength"],
        modified_at=answer["LastModified"].astimezone(UTC),
        cache_control=answer.get("CacheControl"),
    )


def copy_whole(body: StreamingBody, size_bytes: int, into: BinaryIO, give_up_at: float) -> None:
    """Write a body of so many bytes, until a moment of the monotonic clock; StreamingBody raises when it is shorter.

    Raises:
        StoreAway: the body is longer, or takes too long.
    """
    left = size_bytes
    while chunk := body.read(CHUNK_BYTES):
        left -= len(chunk)
        if left < 0 or time.monotonic() > give_up_at:
            raise StoreAway
        into.write(chunk)
    into.flush()
