"""The addresses of an object in the store, as legacy systems write them, and the key that each names.

Whether it is ours is told by its host and bucket, never by its look: a bucket of the same name lies elsewhere, too.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from proxy.delivery.http import decode_path
from proxy.errors import NotFound
from proxy.media.kinds import Kind

_GCS: Final = "storage.googleapis.com"
_AWS: Final = re.compile(
    r"s3(?:-external-1|-accelerate(?:\.dualstack)?|(?:-fips)?(?:\.dualstack)?[.-](?P<region>[a-z]{2}(?:-[a-z]+)+-\d+))?"
    r"\.amazonaws\.com(?P<china>\.cn)?"
)
"""S3's own hosts, new and old ("Amazon Simple Storage Service endpoints and quotas", AWS General Reference)."""
_VERSION_PARAMETERS: Final = frozenset({"versionId", "generation"})
"""S3's and GCS's: such an address names one version, which need not be the newest."""
_DEFAULT_PORTS: Final = frozenset({80, 443})


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """What is known of the store from outside. `bucket` is None where it is a folder: that has no address but ours.

    `partition` is AWS's part of the world, None where the store is not AWS; within one, a bucket's name is unique.
    `prefix` ends in a slash, or is empty.
    """

    bucket: str | None
    prefix: str
    partition: str | None
    host: str | None
    port: int | None
    base_path: str
    public_url: str
    alias_prefixes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        store: str,
        *,
        endpoint_url: str | None,
        region: str | None,
        public_url: str,
        alias_prefixes: tuple[str, ...],
    ) -> Self:
        """Take the settings that say where the store is."""
        in_s3 = store.startswith("s3://")
        bucket, _, prefix = store.removeprefix("s3://").partition("/")
        endpoint = urlsplit(endpoint_url or "")
        at_aws = _AWS.fullmatch(endpoint.hostname or "s3.amazonaws.com")
        partition = _partition(at_aws) if endpoint_url and at_aws else _partition_of_region(region or "")
        return cls(
            bucket=bucket if in_s3 else None,
            prefix=f"{prefix.strip('/')}/" if in_s3 and prefix.strip("/") else "",
            partition=partition if in_s3 and at_aws else None,
            host=None if at_aws else endpoint.hostname,
            port=_port(endpoint),
            base_path=endpoint.path.rstrip("/"),
            public_url=public_url,
            alias_prefixes=alias_prefixes,
        )

    def keys_of(self, link: str) -> tuple[str, ...]:
        """Give the keys that a link may name, the likeliest first; none where it lies elsewhere."""
        scheme, _, rest = link.partition("://")
        match scheme.lower():
            case "s3" | "gs" as storage:
                return self._in_prefix(self._named_by_uri(storage, rest))
            case "http" | "https":
                return tuple(self._aliased(link)) or self._in_prefix(self._named_by_url(link))
            case _:
                return ()

    def _in_prefix(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name.removeprefix(self.prefix) for name in names if name.startswith(self.prefix))

    def _named_by_uri(self, storage: str, rest: str) -> tuple[str, ...]:
        """Read what is not percent-encoded: so write it AWS's and Google's own tools."""
        bucket, _, name = rest.partition("/")
        known = bucket == self.bucket and (storage == "s3" or self.host == _GCS)
        return (name,) if known and name else ()

    def _named_by_url(self, link: str) -> tuple[str, ...]:
        try:
            parts = urlsplit(link)
            port, path = _port(parts), unquote(parts.path, errors="strict")
        except ValueError:
            return ()
        if parts.username is not None or _VERSION_PARAMETERS & parse_qs(parts.query, keep_blank_values=True).keys():
            return ()
        name = self._behind_bucket((parts.hostname or "").lower(), port, path)
        if not name:
            return ()
        if self.partition is not None and "+" in parts.path:
            # AWS takes a plus in a path for a space (yetanothermichael.com, 2022, measured); nobody else does.
            spaced = self._behind_bucket((parts.hostname or "").lower(), port, unquote(parts.path.replace("+", "%20")))
            return (spaced, name)
        return (name,)

    def _behind_bucket(self, host: str, port: int | None, path: str) -> str:
        """Give what follows the bucket, whether that stands in the host or in the path; nothing for other hosts."""
        if self.bucket is None:
            return ""
        if self._is_store(host, port):
            before = f"{self.base_path}/{self.bucket}/"
        elif host.startswith(f"{self.bucket}.") and self._is_store(host.removeprefix(f"{self.bucket}."), port):
            before = f"{self.base_path}/"
        else:
            return ""
        return path.removeprefix(before) if path.startswith(before) else ""

    def _is_store(self, host: str, port: int | None) -> bool:
        if self.partition is None:
            return (host, port) == (self.host, self.port)
        at_aws = _AWS.fullmatch(host)
        return at_aws is not None and port is None and _partition(at_aws) == self.partition

    def _aliased(self, link: str) -> Iterator[str]:
        """Read our own unsigned address, which may name the JPEG of `a.webp` as `a.webp.jpg`."""
        if not link.startswith(f"{self.public_url}/"):
            return
        path = link.removeprefix(f"{self.public_url}/").partition("?")[0].partition("#")[0]
        kind, _, rest = path.partition("/")
        try:
            key = decode_path(rest.encode(errors="surrogatepass"))
        except NotFound:
            return
        if kind in frozenset(Kind) and key.startswith(self.alias_prefixes):
            yield key
            stem = key.rpartition(".")[0]
            if "." in stem.rsplit("/", 1)[-1]:
                yield stem


def _port(parts: SplitResult) -> int | None:
    """Read a port that says more than the scheme does; an object is the same by http and by https."""
    return None if parts.port in _DEFAULT_PORTS else parts.port


def _partition(host: re.Match[str]) -> str:
    return "aws-cn" if host["china"] else _partition_of_region(host["region"] or "")


def _partition_of_region(region: str) -> str:
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"
