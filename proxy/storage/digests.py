"""What a body must hash to, where a store says so in a way that cannot refuse a good object.

- Objects of our own carry their SHA-256 as metadata, which every store keeps and gives back with any GET.
- An ETag of AWS itself is the MD5 of what was put in one piece in the clear or under SSE-S3 (S3 API, Object: "Objects
  encrypted by SSE-S3 or plaintext have ETags that are an MD5 digest of their data"); it has a dash after a multipart
  upload, and is no MD5 under another encryption, in a directory bucket or behind Object Lambda. The AWS CLI checks its
  downloads by it.
- An ETag of anybody else may look like an MD5 and be none: MinIO's is random under encryption or --no-compat
  (minio#20520), chimera's is a hash of the file's times (chimera#469), that of the Azure gateway broke the .NET SDK,
  which takes each ETag without a dash for an MD5 (versitygw#1380).
- x-amz-checksum-* comes only to those who ask by a header that B2 refuses (s3transfer#327), and over a range it is
  the part's at one store and the whole's at another (SeaweedFS's changelog). Google sends x-goog-hash with no range
  (google-resumable-media-python#362).

Where nothing is said, lengths decide, and TLS guards the way.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from proxy.errors import StoreAway
from proxy.storage.store import RESERVED_PREFIX, Key

METADATA_NAME = "medialink-sha256"

_AWS = ("amazonaws.com", "amazonaws.com.cn")
_MD5_HEX_DIGITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    algorithm: Literal["md5", "sha256"]
    hex_digits: str


def metadata_of(key: Key, body: BufferedReader) -> dict[str, str]:
    """Say what an object of our own hashes to. Sources are others', who may rewrite them and keep the metadata."""
    if not key.startswith(RESERVED_PREFIX):
        return {}
    hashed = hashlib.file_digest(body, "sha256").hexdigest()
    body.seek(0)
    return {METADATA_NAME: hashed}


def gives_md5_etags(endpoint_url: str, bucket: str) -> bool:
    """Say whether this is a plain bucket of AWS: directory buckets and Object Lambda have `--` or an ARN for a name."""
    host = urlsplit(endpoint_url).hostname or ""
    return any(host == aws or host.endswith(f".{aws}") for aws in _AWS) and "--" not in bucket and ":" not in bucket


def digest_told(key: Key, answer: Mapping[str, Any], *, md5_etags: bool) -> Digest | None:
    """Read what the whole object must hash to from the answer to any GET for it."""
    if key.startswith(RESERVED_PREFIX) and METADATA_NAME in answer.get("Metadata", {}):
        return Digest(algorithm="sha256", hex_digits=answer["Metadata"][METADATA_NAME])
    etag = answer["ETag"].strip('"')
    in_the_clear = answer.get("ServerSideEncryption", "AES256") == "AES256" and "SSECustomerAlgorithm" not in answer
    if md5_etags and in_the_clear and len(etag) == _MD5_HEX_DIGITS:
        return Digest(algorithm="md5", hex_digits=etag)
    return None


def check_digest(path: Path, digest: Digest) -> None:
    """Read a file that has arrived.

    Raises:
        StoreAway: its bytes are others than those that were put.
    """
    with path.open("rb") as file:
        if hashlib.file_digest(file, digest.algorithm).hexdigest() != digest.hex_digits:
            raise StoreAway
