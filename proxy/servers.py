"""How servers run: what uvicorn is told, a server beside another in one loop, and a server in a thread.

The service has one beside it for the platform, the demo runs two in threads.
"""

import asyncio
import resource
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from types import MappingProxyType, TracebackType
from typing import Any, Self

import uvicorn
from starlette.types import ASGIApp

from proxy.errors import Malformed

START_LIMIT_S = 30.0
STOP_LIMIT_S = 15.0
POLL_S = 0.01


OPTIONS: Mapping[str, Any] = MappingProxyType(
    {
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": 10,
        "ws": "none",
        "loop": "uvloop",
        "http": "proxy.connections:Connection",
        "proxy_headers": False,
    }
)
"""What uvicorn is told wherever it runs: our own log, no name on the door, an end that comes in time; who the client
is, nobody asks. uvloop hands a body to the kernel as it is, without a copy: hits rely on that for what they map."""


DESCRIPTORS = 8192
"""Enough for the connections that a process takes, and for what it serves through them."""


def make_room() -> None:
    """Allow this process, and those that it starts, the descriptors they need, as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


_platform: socket.socket | None = None
"""Bound before the worker processes are forked: they share it, and who is free answers for all."""


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Bind a socket of our own; a `shared` one others of this user may bind too.

    Raises:
        Malformed: there is no such address here, or it is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, reuse_port=shared)
    except OSError as error:
        problem = f"{host} port {port} cannot be listened on: {error.strerror}"
        raise Malformed(field="METRICS_PORT", problem=problem) from error


def listen_for_platform(host: str, port: int) -> None:
    """Bind the platform's port for this process and those that are forked of it."""
    global _platform  # noqa: PLW0603 - uvicorn starts a worker by a name, and hands it nothing but its own sockets
    _platform = listen(host, port)


def platform_listener(host: str, port: int) -> socket.socket:
    """Give what was bound before the fork; a process that was spawned binds the port beside the others."""
    return _platform or listen(host, port, shared=True)


class _Beside(uvicorn.Server):
    """A second server of a process: signals are the first one's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def beside(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    """Serve an app at a socket for as long as the context lasts, with connections counted apart."""
    server = _Beside(uvicorn.Config(app, lifespan="off", **OPTIONS))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


class ThreadedServer:
    """Serves an app on a port of its own, from a thread, for as long as its context lasts. Port 0 takes a free one."""

    def __init__(self, app: ASGIApp, host: str = "127.0.0.1", port: int = 0, **options: Any) -> None:
        self._server = uvicorn.Server(uvicorn.Config(app, host=host, port=port, **{**OPTIONS, **options}))
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._host = host
        self._port = port

    @property
    def url(self) -> str:
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://{self._host}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        until = time.monotonic() + START_LIMIT_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > until:
                raise Malformed(field="port", problem=f"{self._port} cannot be listened on; it may be taken")
            time.sleep(POLL_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(STOP_LIMIT_S)
