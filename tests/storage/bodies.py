"""Bodies taken from a store as the house takes them: into a file on disk."""

import re
from asyncio import run
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from proxy.storage.store import Key, Source, Store

MIB = 1 << 20


async def take(store: Store, key: Key, version: str | None = None, *, into: Path, **given: Any) -> Source:
    with into.open("wb") as file:
        return await store.fetch(key, version, file, **({"max_bytes": 1 << 30} | given))


def fetch(store: Store, key: Key, version: str | None = None, *, max_bytes: int = 1 << 30) -> bytes:
    """Fetch a body, and see that the source tells its size and its version."""
    with TemporaryDirectory() as folder:
        into = Path(folder) / "into"
        source = run(take(store, key, version, into=into, max_bytes=max_bytes))
        content = into.read_bytes()
    assert source.size_bytes == len(content)
    assert version in {None, source.version}
    return content


def body_of(size_bytes: int) -> bytes:
    """Make bytes of which no part is like another at any offset that parts have."""
    return b"".join(number.to_bytes(8, "big") for number in range(size_bytes // 8 + 1))[:size_bytes]


def asked(head: bytes) -> tuple[int, int]:
    """Read the range that a request asks for: its first byte, and the one behind its last."""
    found = re.search(rb"(?i)\r\nrange: bytes=(\d+)-(\d+)\r\n", head)
    assert found is not None, head
    return int(found[1]), int(found[2]) + 1


def part(  # noqa: PLR0913 - each is something that a store can say wrongly
    body: bytes,
    head: bytes,
    *,
    etag: bytes = b"abc",
    total: bytes | None = None,
    shift: int = 0,
    length: int | None = None,
    more: bytes = b"",
) -> bytes:
    """Answer as S3 does to a request for a range of a body, or with one thing in it changed."""
    start, stop = asked(head)
    content = body[start:stop]
    told = total or str(len(body)).encode()
    return b"\r\n".join(
        (
            b"HTTP/1.1 206 Partial Content",
            b"Content-Range: bytes %d-%d/%s" % (start + shift, start + shift + len(content) - 1, told),
            b"Content-Length: %d" % (len(content) if length is None else length),
            b'ETag: "%s"' % etag,
            b"Last-Modified: Sun, 22 Nov 2026 14:00:00 GMT",
            b"Connection: close" + more,
            b"",
            content if length is None else content[:length],
        )
    )
