"""What S3 answers, read: which bytes these are, and whether they are all there."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from botocore.response import StreamingBody

from proxy.errors import StoreAway
from proxy.storage.arrival import Arrival
from proxy.storage.store import Key, Source

CHUNK_BYTES = 1 << 16

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Some bytes of an object, from `start` up to and without `stop`, and how many the object has."""

    start: int
    stop: int
    total: int


def versions_of(answer: Mapping[str, Any]) -> list[str]:
    """Name the bytes of an answer, the surest name first; a bucket without versions gives no id, or `null`."""
    etag = "e:" + answer["ETag"].strip('"')
    version_id = answer.get("VersionId", "null")
    return [etag] if version_id == "null" else [f"v:{version_id}", etag]


def piece_of(answer: Mapping[str, Any]) -> Piece:
    """Say which bytes an answer brings: those of its Content-Range, or all, as when a store knows no ranges.

    Raises:
        StoreAway: its length is not that of its range.
    """
    length = answer["ContentLength"]
    if "ContentRange" not in answer:
        return Piece(start=0, stop=length, total=length)
    told = _CONTENT_RANGE.fullmatch(answer["ContentRange"])
    if told is None:
        raise StoreAway
    first, last, total = map(int, told.groups())
    if last + 1 - first != length:
        raise StoreAway
    return Piece(start=first, stop=last + 1, total=total)


def source_of(key: Key, answer: Mapping[str, Any], *, size_bytes: int, version: str | None = None) -> Source:
    return Source(
        key=key,
        version=version or versions_of(answer)[0],
        size_bytes=size_bytes,
        modified_at=answer["LastModified"].astimezone(UTC),
        cache_control=answer.get("CacheControl"),
    )


def copy_whole(body: StreamingBody, piece: Piece, arrival: Arrival) -> None:
    """Write a body of just these bytes to their place; StreamingBody raises when it is shorter.

    Raises:
        StoreAway: the body is longer.
        ArrivalShut: nobody wants it any more.
    """
    offset = piece.start
    while chunk := body.read(CHUNK_BYTES):
        if offset + len(chunk) > piece.stop:
            raise StoreAway
        arrival.write(offset, chunk)
        offset += len(chunk)
