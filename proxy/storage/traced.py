"""Any store, with a span for each call that a request makes. Which key it was is not told."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from proxy.storage.store import RESERVED_PREFIX, Key, Pages, Progress, Source, Store, unheard
from proxy.telemetry.traces import Attributes, Traces


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedStore:
    """Passes everything on; `remote` says whether the store lies beyond a network."""

    store: Store
    traces: Traces
    remote: bool

    async def find(self, key: Key) -> Source:
        with self.traces.step("store find", _about("find", key), remote=self.remote) as span:
            source = await self.store.find(key)
            span.set_attribute("medialink.bytes", source.size_bytes)
            return source

    async def fetch(
        self, source_key: Key, version: str | None, into: BinaryIO, *, max_bytes: int, progress: Progress = unheard
    ) -> Source:
        with self.traces.step("store fetch", _about("fetch", source_key), remote=self.remote) as span:
            source = await self.store.fetch(source_key, version, into, max_bytes=max_bytes, progress=progress)
            span.set_attribute("medialink.bytes", source.size_bytes)
            return source

    async def put(self, key: Key, body: Path, *, media_type: str) -> Source:
        with self.traces.step("store put", _about("put", key), remote=self.remote) as span:
            source = await self.store.put(key, body, media_type=media_type)
            span.set_attribute("medialink.bytes", source.size_bytes)
            return source

    async def put_new(self, key: Key, body: Path, *, media_type: str) -> bool:
        with self.traces.step("store put_new", _about("put_new", key), remote=self.remote) as span:
            first = await self.store.put_new(key, body, media_type=media_type)
            span.set_attribute("medialink.store.first", first)
            return first

    async def names(self, folder: Key, *, max_names: int) -> frozenset[str]:
        with self.traces.step("store names", _about("names", folder), remote=self.remote):
            return await self.store.names(folder, max_names=max_names)

    def keys(self, prefix: str) -> Pages:
        return self.store.keys(prefix)

    async def delete(self, key: Key) -> None:
        with self.traces.step("store delete", _about("delete", key), remote=self.remote):
            await self.store.delete(key)

    async def remark(self) -> str | None:
        return await self.store.remark()

    async def check(self) -> None:
        await self.store.check()

    async def close(self) -> None:
        await self.store.close()


def _about(operation: str, key: Key) -> Attributes:
    what = "own" if key.startswith(RESERVED_PREFIX) else "source"
    return {"medialink.store.operation": operation, "medialink.store.object": what}
