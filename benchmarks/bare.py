"""The floor: what ASGI on uvicorn costs when the app does nothing at all but send the same bytes from memory."""

import os
from pathlib import Path

from starlette.types import Receive, Scope, Send

from benchmarks.servers import MEDIA

_bodies = {f"/{file.name}": file.read_bytes() for file in Path(os.environ[MEDIA]).iterdir()}


async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's signature
    if scope["type"] != "http":
        return
    asked = any(name == b"if-none-match" for name, _ in scope["headers"])
    body = b"" if asked else _bodies.get(scope["path"], b"")
    headers = [(b"etag", b'"a"')] if asked else [(b"content-length", b"%d" % len(body)), (b"etag", b'"a"')]
    await send({"type": "http.response.start", "status": 304 if asked else 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
