"""Two hosts over one bucket are asked for the same cold image at the same moment: one rendition comes of it."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pytest

from proxy.delivery.cache import DiskCache
from proxy.delivery.links import Link
from proxy.delivery.makings import Makings
from proxy.delivery.renditions import Renditions
from proxy.media.checker import check, recipe
from proxy.media.kinds import Kind, Made, Rules
from proxy.storage.s3 import S3Settings, S3Store
from proxy.storage.store import Key, Source
from tests.conftest import picture
from tests.s3_servers import ACCESS_KEY, SECRET_KEY

P = ParamSpec("P")
T = TypeVar("T")

RULES = Rules()
KEY = Key("a.webp")
PATIENCE_S = 30.0
RACES = 2


@dataclass
class Stamping:
    """Makes what the craft makes, signs it with its host's name, and lets nobody go on before all have made theirs."""

    stamp: bytes
    made: asyncio.Barrier

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        assert function is check
        verdict = await asyncio.to_thread(self._make, *args)
        async with asyncio.timeout(PATIENCE_S):
            await self.made.wait()
        return verdict

    def _make(self, kind: Kind, source: Path, target: Path, rules: Rules) -> Made:
        verdict = check(kind, source, target, rules)
        assert isinstance(verdict, Made)
        with target.open("ab") as file:
            file.write(self.stamp)
        return replace(verdict, size_bytes=verdict.size_bytes + len(self.stamp))


@pytest.fixture(scope="module")
def webp() -> bytes:
    return picture(400, 300, form="WEBP")


def open_store(url: str, bucket: str) -> S3Store:
    settings = S3Settings(
        endpoint_url=url, region="us-east-1", threads=8, access_key_id=ACCESS_KEY, secret_access_key=SECRET_KEY
    )
    return S3Store(bucket, "", settings)


@dataclass(frozen=True)
class Host:
    store: S3Store
    renditions: Renditions

    async def deliver(self, source: Source) -> tuple[Link, bytes]:
        verdict = await self.renditions.judge(Kind.IMAGE, source)
        assert isinstance(verdict, Made)
        link = Link(
            kind=Kind.IMAGE,
            key=source.key,
            version=source.version,
            recipe=recipe(Kind.IMAGE, RULES),
            media_type=verdict.media_type,
        )
        rendition = await self.renditions.open(link)
        with rendition.body as body:
            delivered = await body.piece(0, body.size_bytes)
        assert len(delivered) == verdict.size_bytes
        return link, delivered


@asynccontextmanager
async def hosts(folder: Path, url: str, bucket: str, *names: str, stamped: bool = True) -> AsyncIterator[list[Host]]:
    """Open hosts with disks of their own; they have nothing in common but the bucket."""
    made = asyncio.Barrier(len(names))
    opened = []
    for name in names:
        store = open_store(url, bucket)
        workers: Any = Stamping(name.encode() if stamped else b"", made)
        renditions = Renditions(
            store=store,
            cache=DiskCache(folder / name, 100_000_000, clock=time.time),
            makings=Makings(workers, RULES, max_at_once=10),
            max_source_bytes=50_000_000,
            wait_limit_s=PATIENCE_S,
            clock=time.monotonic,
        )
        opened.append(Host(store, renditions))
    yield opened
    for host in opened:
        await host.renditions.close()
        await host.store.close()


async def put(store: S3Store, folder: Path, body: bytes) -> Source:
    file = folder / "to-put"
    file.write_bytes(body)
    return await store.put(KEY, file, media_type="image/webp")


async def race(folder: Path, url: str, bucket: str, body: bytes, prepare: Callable[[list[Host]], None]) -> None:
    """Let two hosts make the same at once; a third that comes later hears what the bucket has."""
    async with hosts(folder, url, bucket, "first", "second") as both, hosts(folder, url, bucket, "third") as (later,):
        source = await put(later.store, folder, body)
        prepare(both)
        delivered = await asyncio.gather(*(host.deliver(source) for host in both))
        afterwards = await later.deliver(source)
        again = await asyncio.gather(*(host.deliver(source) for host in both))
    assert len({link.rendition_id for link, _ in (*delivered, afterwards, *again)}) == 1
    assert len({body for _, body in (*delivered, afterwards, *again)}) == 1
    assert sum(afterwards[1].endswith(stamp) for stamp in (b"first", b"second")) == 1


def test_both_end_with_the_same_bytes(
    server_url: str, new_bucket: Callable[..., str], webp: bytes, tmp_path: Path
) -> None:
    for number in range(RACES):
        folder = tmp_path / str(number)
        folder.mkdir()
        asyncio.run(race(folder, server_url, new_bucket(server_url), webp, lambda _: None))


def test_a_store_that_ignores_if_none_match_gives_both_what_was_there_first(
    forgetful_url: str, new_bucket: Callable[..., str], webp: bytes, tmp_path: Path
) -> None:
    """Both have made theirs before either writes; the second looks when the first is through."""
    asyncio.run(race(tmp_path, forgetful_url, new_bucket(forgetful_url), webp, one_after_the_other))


def test_where_both_are_told_that_they_were_first_they_have_made_the_same(
    forgetful_url: str, new_bucket: Callable[..., str], webp: bytes, tmp_path: Path
) -> None:
    """The worst order where If-None-Match is ignored: both find nothing, then one is through before the other.

    Nobody can tell them apart there; that both have the same bytes is the recipe's doing.
    """

    async def story() -> set[bytes]:
        async with hosts(tmp_path, forgetful_url, new_bucket(forgetful_url), "first", "second", stamped=False) as both:
            source = await put(both[0].store, tmp_path, webp)
            in_the_worst_order(both)
            return {body for _, body in await asyncio.gather(*(host.deliver(source) for host in both))}

    assert len(asyncio.run(story())) == 1


def one_after_the_other(both: list[Host]) -> None:
    first, second = (host.store for host in both)
    through = threading.Event()
    first._put_new = then(first._put_new, through.set)  # type: ignore[method-assign]  # noqa: SLF001 - the race, made certain
    second._put_new = after(through, second._put_new)  # type: ignore[method-assign]  # noqa: SLF001 - the same


def in_the_worst_order(both: list[Host]) -> None:
    first, second = (host.store for host in both)
    looked, through = threading.Barrier(2), threading.Event()
    for store in (first, second):
        store._version_there = together(looked, store._version_there)  # type: ignore[method-assign]  # noqa: SLF001 - the same
    first._put_new = then(first._put_new, through.set)  # type: ignore[method-assign]  # noqa: SLF001 - the same
    second._put = after(through, second._put)  # type: ignore[method-assign]  # noqa: SLF001 - the same


def then(work: Callable[P, T], tell: Callable[[], None]) -> Callable[P, T]:
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return work(*args, **kwargs)
        finally:
            tell()

    return run


def after(told: threading.Event, work: Callable[P, T]) -> Callable[P, T]:
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        assert told.wait(PATIENCE_S)
        return work(*args, **kwargs)

    return run


def together(others: threading.Barrier, work: Callable[P, T]) -> Callable[P, T]:
    """Let nobody go on from the first time before all are there."""
    seen: list[T] = []

    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        seen.append(work(*args, **kwargs))
        if len(seen) == 1:
            others.wait(PATIENCE_S)
        return seen[-1]

    return run
