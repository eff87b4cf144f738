"""The door to S3, and to what speaks S3: boto3 in a bounded set of threads."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from botocore.exceptions import ClientError

from proxy.errors import Malformed, NotFound, SourceReplaced, StoreAway
from proxy.storage.answers import source_of, versions_of
from proxy.storage.arrival import arriving
from proxy.storage.client import open_client
from proxy.storage.digests import Digest, check_digest, digest_told, gives_md5_etags, metadata_of
from proxy.storage.foreign import code_of, status_of, translated
from proxy.storage.hedge import Hedges
from proxy.storage.listing import PAGE_LIMIT_S, Ask, first_names, pages, read_page
from proxy.storage.parts import Parts
from proxy.storage.store import (
    MAX_KEY_BYTES,
    Key,
    Pages,
    Progress,
    Source,
    check_key,
    check_prefix,
    check_reserved,
    is_reserved,
    reserved_key,
    unheard,
)
from proxy.storage.threads import Threads
from proxy.storage.versioning import NO_VERSIONS, keeps_versions

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import GetObjectRequestTypeDef

PROBE = reserved_key("probe/if-none-match")
LOOK_LIMIT_S = 5.0
"""For `find` and `check`, of which each may take two requests: enough for a store that takes two seconds for each; and
for each page of `names`."""

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
    """So many for looks, and so many for bodies."""


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
        self._lacks_versions = True
        self._bodies = Threads(settings.threads, "s3-bodies")
        self._looks = Threads(settings.threads, "s3-looks")  # bodies that take long must not keep anybody from a look
        self._hedges = Hedges(self._bodies)
        with translated():
            self._client = open_client(settings)
        self._md5_etags = gives_md5_etags(self._client.meta.endpoint_url, bucket)

    @property
    def honours_if_none_match(self) -> bool | None:
        """Whether the store refuses a second conditional put; None before the first `put_new` asked."""
        return self._honours

    async def find(self, key: Key) -> Source:
        return await self._look(partial(self._find, key))

    async def fetch(
        self, source_key: Key, version: str | None, into: BinaryIO, *, max_bytes: int, progress: Progress = unheard
    ) -> Source:
        opens = partial(self._opened, self._name(source_key))
        with arriving(into, progress) as arrival:
            parts = Parts(key=source_key, version=version, max_bytes=max_bytes, open_part=opens, arrival=arrival)
            async with _limit(self._timeout_s):
                source, answer = await parts.bring(self._hedges)
                if digest := digest_told(source_key, answer, md5_etags=self._md5_etags):
                    await self._bodies.run(partial(_check, Path(into.name), digest))
            return source

    async def put(self, key: Key, body: Path, *, media_type: str) -> Source:
        return await self._write(partial(self._put, key, body, media_type))

    async def put_new(self, key: Key, body: Path, *, media_type: str) -> bool:
        """Write unless the key is taken.

        Where the store ignores If-None-Match, two writers at the very same moment may both be told that they won;
        what the two have made by one recipe is the same.
        A retry after a lost answer may be told that it lost, against itself: the bytes there are whole in any case.
        """
        return await self._write(partial(self._put_new, key, body, media_type))

    async def names(self, folder: Key, *, max_names: int) -> frozenset[str]:
        check_reserved(folder)
        place = f"{self._name(folder)}/"
        names = await first_names(self._listed(place, LOOK_LIMIT_S, delimiter="/"), max_names)
        return frozenset(name.removeprefix(place) for name in names)

    async def keys(self, prefix: str) -> Pages:
        check_prefix(prefix)
        async with aclosing(pages(self._listed(self._prefix + prefix, PAGE_LIMIT_S))) as found:
            async for page in found:
                names = [name.removeprefix(self._prefix) for name in page]
                yield [name for name in names if not name.endswith("/") and not is_reserved(name)]

    async def delete(self, key: Key) -> None:
        check_reserved(key)
        await self._write(partial(self._delete, key))

    async def remark(self) -> str | None:
        """Ask for versions, until the bucket keeps them or does not tell."""
        if self._lacks_versions:
            self._lacks_versions = await self._look(partial(keeps_versions, self._client, self._bucket)) is False
        return NO_VERSIONS if self._lacks_versions else None

    async def check(self) -> None:
        await self._look(self._check)

    async def close(self) -> None:
        await self._bodies.close()
        await self._looks.close()
        self._client.close()

    async def _look(self, work: Callable[[], T], limit_s: float = LOOK_LIMIT_S) -> T:
        async with _limit(min(limit_s, self._timeout_s)):
            return await self._looks.run(work)

    async def _write(self, work: Callable[[], T]) -> T:
        async with _limit(self._timeout_s):
            return await self._bodies.run(work)

    def _find(self, key: Key) -> Source:
        name = self._name(key)
        with self._reading(name, NotFound()):
            answer = self._client.head_object(Bucket=self._bucket, Key=name)
            return source_of(key, answer, size_bytes=answer["ContentLength"])

    @contextmanager
    def _opened(self, name: str, version: str | None, first: int, last: int) -> Iterator[Mapping[str, Any]]:
        with self._reading(name, NotFound() if version is None else SourceReplaced()):
            wanted = self._get(name, version)
            wanted["Range"] = f"bytes={first}-{last}"
            try:
                answer = self._client.get_object(**wanted)
            except ClientError as error:
                if first or status_of(error) != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    raise
                del wanted["Range"]  # no range fits the empty object (RFC 9110, 14.1.2)
                answer = self._client.get_object(**wanted)
            with closing(answer["Body"]):
                yield answer

    def _put(self, key: Key, body: Path, media_type: str) -> Source:
        name = self._name(key)
        with body.open("rb") as file, translated():
            size_bytes = os.fstat(file.fileno()).st_size
            answer = self._client.put_object(
                Bucket=self._bucket, Key=name, Body=file, ContentType=media_type, Metadata=metadata_of(key, file)
            )
            modified_at = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
            return Source(key=key, version=versions_of(answer)[0], size_bytes=size_bytes, modified_at=modified_at)

    def _put_new(self, key: Key, body: Path, media_type: str) -> bool:
        name = self._name(key)
        with body.open("rb") as file, translated():
            if self._honours is None:
                self._honours = self._probe()
            if self._honours:
                return self._write_new(name, file, media_type, metadata_of(key, file))
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
            return not (self._write_new(name, b"", "text/plain", {}) and self._write_new(name, b"", "text/plain", {}))
        except ClientError as error:
            if status_of(error) == HTTPStatus.NOT_IMPLEMENTED:
                return False
            raise

    def _write_new(self, name: str, body: BinaryIO | bytes, media_type: str, metadata: dict[str, str]) -> bool:
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=name,
                Body=body,
                ContentType=media_type,
                Metadata=metadata,
                IfNoneMatch="*",
            )
        except ClientError as error:
            if code_of(error) in {"PreconditionFailed", "ConditionalRequestConflict"}:
                return False
            raise
        return True

    def _listed(self, prefix: str, limit_s: float, *, delimiter: str = "") -> Ask:
        page = partial(read_page, self._client, self._bucket, prefix, delimiter=delimiter)
        return lambda token: self._look(partial(page, token), limit_s)

    def _delete(self, key: Key) -> None:
        with translated():
            self._client.delete_object(Bucket=self._bucket, Key=self._name(key))

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


def _check(file: Path, digest: Digest) -> None:
    with translated():
        check_digest(file, digest)


@asynccontextmanager
async def _limit(limit_s: float) -> AsyncIterator[None]:
    """Wait so long for the store; whoever waits in it is hung up on."""
    try:
        async with asyncio.timeout(limit_s):
            yield
    except TimeoutError as error:
        raise StoreAway from error
