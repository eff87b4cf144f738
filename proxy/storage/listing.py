"""A list at S3: its pages, one after the other, with patience once it has begun."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from proxy.errors import Busy, StoreAway
from proxy.storage.foreign import translated
from proxy.storage.store import Pages

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import ListObjectsV2RequestTypeDef

PAGE_NAMES: Final = 1000
"""What S3 gives at most (S3 API, ListObjectsV2)."""
PAGE_LIMIT_S: Final = 30.0
PAUSES_S: Final = (1.0, 4.0, 16.0)
"""Before each new try of a page that did not come."""


class Page(NamedTuple):
    """Names of objects, and the token of the next page; it is empty after the last."""

    names: list[str]
    token: str


Ask = Callable[[str], Awaitable[Page]]
"""For the page of a token; the empty one is that of the first."""


def read_page(client: "S3Client", bucket: str, prefix: str, token: str, *, delimiter: str = "") -> Page:
    """List some of the names that begin with `prefix`, and none that have the delimiter after it."""
    wanted: ListObjectsV2RequestTypeDef = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": PAGE_NAMES}
    if delimiter:
        wanted["Delimiter"] = delimiter
    if token:
        wanted["ContinuationToken"] = token
    with translated():
        answer = client.list_objects_v2(**wanted)
        names = [entry["Key"] for entry in answer.get("Contents", [])]
        return Page(names, answer["NextContinuationToken"] if answer["IsTruncated"] else "")


async def first_names(ask: Ask, max_names: int) -> list[str]:
    names, token = await ask("")
    while token and len(names) < max_names:
        page, token = await ask(token)
        names += page
    return names[:max_names]


async def pages(ask: Ask) -> Pages:
    """Be patient with a later page only: where the first does not come, the bucket or a key is wrong."""
    names, token = await ask("")
    yield names
    while token:
        names, token = await _patiently(ask, token)
        yield names


async def _patiently(ask: Ask, token: str) -> Page:
    for wait_s in PAUSES_S:
        try:
            return await ask(token)
        except (StoreAway, Busy):
            await asyncio.sleep(wait_s)
    return await ask(token)
