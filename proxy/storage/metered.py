"""Any store, with its calls measured."""

from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from proxy.storage.store import Key, Pages, Progress, Source, Store, unheard
from proxy.telemetry.metrics import store_call


@dataclass(frozen=True, slots=True)
class Metered:
    """Passes everything on."""

    store: Store

    async def find(self, key: Key) -> Source:
        with store_call("find"):
            return await self.store.find(key)

    async def fetch(
        self, source_key: Key, version: str | None, into: BinaryIO, *, max_bytes: int, progress: Progress = unheard
    ) -> Source:
        with store_call("fetch"):
            return await self.store.fetch(source_key, version, into, max_bytes=max_bytes, progress=progress)

    async def put(self, key: Key, body: Path, *, media_type: str) -> Source:
        with store_call("put"):
            return await self.store.put(key, body, media_type=media_type)

    async def put_new(self, key: Key, body: Path, *, media_type: str) -> bool:
        with store_call("put_new"):
            return await self.store.put_new(key, body, media_type=media_type)

    async def names(self, folder: Key, *, max_names: int) -> frozenset[str]:
        with store_call("names"):
            return await self.store.names(folder, max_names=max_names)

    async def keys(self, prefix: str) -> Pages:
        """Measure each page: between two of them it is the caller who takes time."""
        async with aclosing(self.store.keys(prefix)) as pages:
            while True:
                with store_call("keys"):
                    page = await anext(pages, None)
                if page is None:
                    return
                yield page

    async def delete(self, key: Key) -> None:
        with store_call("delete"):
            await self.store.delete(key)

    async def remark(self) -> str | None:
        with store_call("remark"):
            return await self.store.remark()

    async def check(self) -> None:
        with store_call("check"):
            await self.store.check()

    async def close(self) -> None:
        await self.store.close()
