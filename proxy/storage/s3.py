"""The door to S3, and to what speaks S3: boto3 in a bounded set of threads."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import ClientError

from proxy.errors import Malformed, NotFound, SourceReplaced, StoreAway, TooLarge
from proxy.storage.answers import copy_whole, source_of, versions_of
from proxy.storage.foreign import code_of, status_of, translated
from proxy.storage.store import MAX_KEY_BYTES, Key, Source, check_key, reserved_key

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import GetObjectRequestTypeDef

PROBE = reserved_key("probe/if-none-match")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Settings:
    """How to reach S3; without keys, boto3 looks for them where AWS's own tools do."""

    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    connect_timeout_s: float = 2.0
    read_timeout_s: float = 10.0
    total_timeout_s: float = 60.0
    attempts: int = 3
    threads: int = 16


class S3Store:
    """The credentials need s3:ListBucket: without it S3 answers 403 for what is missing, too."""

    def __init__(self, bucket: str, prefix: str, settings: S3Settings) -> None:
        """Make the client; nothing is asked yet.

        Raises:
            StoreAway: the settings make no client.
        """
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._timeout_s = settings.total_timeout_s
        self._honours: bool | None = None
        self._threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="s3-store")
        with translated():
            self._client = _client(settings)

    @property
    def honours_if_none_match(self) -> bool | None:
        """Whether the store refuses a second conditional put; None before the first `put_new` asked."""
        return self._honours

    async def find(self, key: Key) -> Source:
        return await self._run(partial(self._find, key))

    async def fetch(self, source_key: Key, version: str | None, into: BinaryIO, *, max_bytes: int) -> Source:
        give_up_at = time.monotonic() + self._timeout_s
        return await self._run(partial(self._fetch, source_key, version, into, max_bytes, give_up_at))

    async def put(self, key: Key, body: Path, *, media_type: str) -> Source:
        return await self._run(partial(self._put, key, body, media_type))

    async def put_new(self, key: Key, body: Path, *, media_type: str) -> bool:
        """Write unless the key is taken.

        Where the store ignores If-None-Match, two writers at the very same moment may both be told that they won.
        A retry after a lost answer may be told that it lost, against itself: the bytes there are whole in any case.
        """
        return await self._run(partial(self._put_new, key, body, media_type))

    async def check(self) -> None:
        await self._run(self._check)

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        self._client.close()

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError as error:
            raise StoreAway from error

    def _find(self, key: Key) -> Source:
        name = self._name(key)
        with self._reading(name, NotFound()):
            return source_of(key, self._client.head_object(Bucket=self._bucket, Key=name))

    def _fetch(self, key: Key, version: str | None, into: BinaryIO, max_bytes: int, give_up_at: float) -> Source:
        name = self._name(key)
        with self._reading(name, NotFound() if version is None else SourceReplaced()):
            answer = self._client.get_object(**self._get(name, version))
            with closing(answer["Body"]) as body:
                # SeaweedFS 4.48 answers with the newest bytes when an unversioned bucket is asked for a version.
                if version is not None and version not in versions_of(answer):
                    raise SourceReplaced
                source = source_of(key, answer, version)
                if source.size_bytes > max_bytes:
                    raise TooLarge(size_bytes=source.size_bytes, limit_bytes=max_bytes)
                copy_whole(body, source.size_bytes, into, give_up_at)
            return source

    def _put(self, key: Key, body: Path, media_type: str) -> Source:
        name = self._name(key)
        with body.open("rb") as file, translated():
            size_bytes = os.fstat(file.fileno()).st_size
            answer = self._client.put_object(Bucket=self._bucket, Key=name, Body=file, ContentType=media_type)
            modified_at = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
            return Source(key=key, version=versions_of(answer)[0], size_bytes=size_bytes, modified_at=modified_at)

    def _put_new(self, key: Key, body: Path, media_type: str) -> bool:
        name = self._name(key)
        with body.open("rb") as file, translated():
            if self._honours is None:
                self._honours = self._probe()
            if self._honours:
                return self._write_new(name, file, media_type)
        if self._version_there(key) is not None:
            return False
        return self._put(key, body, media_type).version == self._version_there(key)

    def _version_there(self, key: Key) -> str | None:
        try:
            return self._find(key).version
        except NotFound:
            return None

    def _probe(self) -> bool:
        """Put one object as new, twice: GCS is said to ignore the header (aws-sdk-java-v2#6055); 501 refuses it."""
        name = self._name(PROBE)
        try:
            return not (self._write_new(name, b"", "text/plain") and self._write_new(name, b"", "text/plain"))
        except ClientError as error:
            if status_of(error) == HTTPStatus.NOT_IMPLEMENTED:
                return False
            raise

    def _write_new(self, name: str, body: BinaryIO | bytes, media_type: str) -> bool:
        try:
            self._client.put_object(Bucket=self._bucket, Key=name, Body=body, ContentType=media_type, IfNoneMatch="*")
        except ClientError as error:
            if code_of(error) in {"PreconditionFailed", "ConditionalRequestConflict"}:
                return False
            raise
        return True

    def _check(self) -> None:
        with translated():
            try:
                self._client.head_bucket(Bucket=self._bucket)
            except ClientError as error:
                if status_of(error) != HTTPStatus.FORBIDDEN:
                    raise
                self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)

    @contextmanager
    def _reading(self, name: str, missing: NotFound | SourceReplaced) -> Iterator[None]:
        """Translate, and settle a 403 by the list: where s3:ListBucket is limited, it is said of missing keys too."""
        with translated(missing):
            try:
                yield
            except ClientError as error:
                if status_of(error) == HTTPStatus.FORBIDDEN and not self._lists(name):
                    raise missing from error
                raise

    def _lists(self, name: str) -> bool:
        listed = self._client.list_objects_v2(Bucket=self._bucket, Prefix=name, MaxKeys=1)
        return any(entry["Key"] == name for entry in listed.get("Contents", []))

    def _get(self, name: str, version: str | None) -> "GetObjectRequestTypeDef":
        scheme, _, value = (version or "").partition(":")
        match scheme:
            case "":
                return {"Bucket": self._bucket, "Key": name}
            case "v":
                return {"Bucket": self._bucket, "Key": name, "VersionId": value}
            case "e":
                return {"Bucket": self._bucket, "Key": name, "IfMatch": f'"{value}"'}
        raise SourceReplaced

    def _name(self, key: Key) -> str:
        check_key(key)
        name = self._prefix + key
        if len(name.encode()) > MAX_KEY_BYTES:
            raise Malformed(field="key", problem=f"must have at most {MAX_KEY_BYTES} bytes with the store's prefix")
        return name


def _client(settings: S3Settings) -> "S3Client":
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if settings.endpoint_url else "auto"},
        # GCS, R2, B2 and old MinIO refuse the checksums that botocore 1.36 adds (boto3#4392, #4400; s3transfer#327).
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        max_pool_connections=settings.threads,
        connect_timeout=settings.connect_timeout_s,
        read_timeout=settings.read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": settings.attempts},
    )
    session = Session(
        aws_access_key_id=settings.access_key_id,
        aws_secret_access_key=settings.secret_access_key,
        region_name=settings.region,
    )
    return session.client("s3", endpoint_url=settings.endpoint_url, config=config)
