"""The door to CloudFront, for the one thing that it is asked: to forget what it keeps of a key."""

import asyncio
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlsplit

from boto3.exceptions import Boto3Error
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from proxy.delivery.links import Link, Links
from proxy.errors import CdnAway
from proxy.media.kinds import Kind
from proxy.storage.store import Key

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 20.0
ATTEMPTS = 3
HOME_REGION = "us-east-1"
"""CloudFront has no regions, and signs for this one; a region that is set may name another partition (China)."""


def paths_of(key: Key, secrets: Mapping[int, bytes], public_url: str, alias_prefixes: Sequence[str]) -> list[str]:
    """Name everything that a CDN may keep of a key: the links of each signing key, and the aliases where it has any.

    A wildcard may only stand at the end of a path; that of an alias takes in the extension which may follow
    (CloudFront's guide, "What you need to know when invalidating paths").
    """
    base = urlsplit(public_url).path
    links = [f"{base}/m/{_tag(key, key_id, secret)}/*" for key_id, secret in secrets.items()]
    if not key.startswith(tuple(alias_prefixes)):
        return links
    return links + [f"{base}/{kind}/{quote(key)}*" for kind in Kind]


class CloudFront:
    """Uses AWS's own credentials: those of the store may be another's."""

    def __init__(self, distribution_id: str) -> None:
        """Make the client; nothing is asked yet.

        Raises:
            CdnAway: AWS's settings make no client.
        """
        self._distribution_id = distribution_id
        config = Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        )
        try:
            session = Session()
            self._client = session.client("cloudfront", region_name=session.region_name or HOME_REGION, config=config)
        except (BotoCoreError, Boto3Error, ValueError) as error:
            raise CdnAway from error

    async def invalidate(self, paths: Sequence[str], reference: str) -> str:
        """Have paths forgotten at every edge, and return the invalidation's id; it takes minutes.

        The same reference with the same paths is the same invalidation (CloudFront's API, InvalidationBatch).

        Raises:
            CdnAway: CloudFront did not take it.
        """
        batch = {"Paths": {"Quantity": len(paths), "Items": list(paths)}, "CallerReference": reference}
        try:
            answer = await asyncio.to_thread(
                self._client.create_invalidation, DistributionId=self._distribution_id, InvalidationBatch=batch
            )
            return str(answer["Invalidation"]["Id"])
        except (ClientError, BotoCoreError, Boto3Error, KeyError, ValueError) as error:
            raise CdnAway from error


def _tag(key: Key, key_id: int, secret: bytes) -> str:
    """Read the tag off a link of the key: all of them have the same."""
    link = Link(kind=Kind.DOCUMENT, key=key, version="", recipe=None, media_type="application/pdf")
    return Links({key_id: secret}).mint(link).split("/")[2]
