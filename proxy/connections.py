"""A connection, bounded: what it may say, how long it may take, how slowly it may read, and how many there may be."""

import asyncio
import resource
import socket
import struct
import sys
from typing import Any, ClassVar, Final, cast
from weakref import WeakSet

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from proxy.delivery.fetches import HUNG_UP
from proxy.errors import Busy, HeadersTooLarge, Malformed, MedialinkError
from proxy.patience import REFUSED, Limits, Patience, Phase, Sight

MAX_HEAD_BYTES: Final = 24 * 1024
"""Request line and headers. RFC 9110, 4.1 asks for URIs of 8,000 bytes at least; our longest link has about 1,900."""
MAX_PIPELINED: Final = 32
DESCRIPTORS_EACH: Final = 2
"""A socket, and the file of the body that goes out through it."""
DESCRIPTORS_KEPT: Final = 400
"""For what is mapped of the hits (up to 256), the store's connections, the ledger, the log."""
TURNED_AWAY: Final = 100
"""So many above the bound are told that it is reached; more are cut without a word."""

_RESET_AT_CLOSE: Final = struct.pack("ii", 1, 0)
_KERNEL_TELLS: Final = sys.platform == "linux"
"""Elsewhere a reader is not held to a pace; a response that is written has the time of an idle connection."""
_TCP_INFO_BYTES: Final = 128
_BYTES_ACKED: Final = struct.Struct("@120xQ")
"""`tcpi_bytes_acked` in Linux's `struct tcp_info` (include/uapi/linux/tcp.h): 8 bytes, 24 times 4, two rates."""


class Connection(HttpToolsProtocol):
    """uvicorn's own, which takes a header of any length, and any time for it."""

    limits: ClassVar[Limits] = Limits()
    _rounds: ClassVar[WeakSet[ServerState]] = WeakSet()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._held_bytes = 0
        """What the parser holds of a head, or of what stands between the pieces of a body."""
        self._deaf = False
        self._patience = Patience()

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self.server_state not in self._rounds:
            self._rounds.add(self.server_state)
            self.loop.call_later(self.limits.round_s, self._go_round, self.loop, self.server_state, 0.0)
        surplus = len(self.connections) - min(self.limits.connections, _affordable())
        if surplus > TURNED_AWAY:
            self.cut()
        elif surplus > 0:
            self.app = self._turn_away

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the app that who asked has gone; uvicorn takes what it sends on, and says nothing."""
        if self.cycle is not None and not self.cycle.response_complete:
            cast("dict[str, Any]", self.cycle.scope)[HUNG_UP] = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._held_bytes + len(data) <= MAX_HEAD_BYTES:
            self._feed(data)
            return
        at = 0
        while at < len(data) and not self._deaf:
            if (room := MAX_HEAD_BYTES - self._held_bytes) <= 0:
                self._refuse(HeadersTooLarge(part="head", limit_bytes=MAX_HEAD_BYTES))
                return
            self._feed(data[at : at + room])
            at += room

    def on_body(self, body: bytes) -> None:
        self._held_bytes = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Go on with what was asked meanwhile; how long the next request may take is seen in the rounds."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def cut(self) -> None:
        """End at once: what waits to be sent is dropped here and in the kernel."""
        if self.cycle is not None:
            self.cycle.disconnected = True
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        self.transport.abort()

    def look(self, now_s: float) -> None:
        """End what has gone on for too long."""
        unsent_bytes = self.transport.get_write_buffer_size()
        phase, about = self._phase()
        taken_bytes = self._taken_bytes() if unsent_bytes and _KERNEL_TELLS else 0
        waiting_bytes = unsent_bytes if _KERNEL_TELLS else 0
        sight = Sight(phase=phase, about=about, waiting_bytes=waiting_bytes, taken_bytes=taken_bytes)
        if not self._patience.ends(sight, now_s, self.limits):
            return
        if phase is Phase.IDLE and not unsent_bytes:
            self.transport.close()
        else:
            self.cut()

    @classmethod
    def _go_round(cls, loop: asyncio.AbstractEventLoop, state: ServerState, now_s: float) -> None:
        """Count time in rounds, so that nobody is blamed for a process that stood still."""
        for connection in tuple(state.connections):
            cast("Connection", connection).look(now_s)
        if state.connections:
            loop.call_later(cls.limits.round_s, cls._go_round, loop, state, now_s + cls.limits.round_s)
        else:
            cls._rounds.discard(state)

    def _phase(self) -> tuple[Phase, object]:
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            return (Phase.BODY if cycle.more_body else Phase.ANSWER), cycle
        if self._deaf:
            return Phase.FAREWELL, cycle
        if cycle is None or cycle.scope is not self.scope:
            return Phase.HEAD, self.scope
        return Phase.IDLE, cycle

    def _taken_bytes(self) -> int:
        """Ask the kernel what the reader has acknowledged: its own buffers take megabytes at a time."""
        info = self.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        return int(_BYTES_ACKED.unpack_from(info)[0])

    def _feed(self, data: bytes) -> None:
        self._held_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # a server may ignore it (RFC 9110, 7.8)
        except httptools.HttpParserError:
            self._refuse(Malformed(field="request", problem="this is not HTTP/1.1"))
            return
        cycle = self.cycle
        if cycle is not None and cycle.scope is self.scope and not cycle.more_body:
            self._held_bytes = 0
        if len(self.pipeline) > MAX_PIPELINED:
            self._hear_no_more()

    def _refuse(self, error: MedialinkError) -> None:
        """Have the app answer with an error, and hear no more; who is being answered gets that answer first."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._hear_no_more()
            return
        self._deaf, self._held_bytes = True, MAX_HEAD_BYTES
        scope: Any = {"type": "http", "method": "GET", "path": "", "raw_path": b"", "query_string": b"", "headers": []}
        self.cycle = RequestResponseCycle(
            scope=scope | {REFUSED: error},
            transport=self._half_closing(),
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )
        self._start_asgi_task(self.cycle, self.app)

    def _hear_no_more(self) -> None:
        """Answer what is to be answered, and end then; a request whose rest cannot come is cut."""
        self._deaf, self._held_bytes = True, MAX_HEAD_BYTES
        while len(self.pipeline) > MAX_PIPELINED:
            self.pipeline.popleft()
        if self.pipeline:
            self.cycle = self.pipeline[0][0]
        self.cycle.keep_alive = False
        self.cycle.transport = self._half_closing()
        if self.cycle.more_body:
            self.cut()

    def _half_closing(self) -> asyncio.Transport:
        return cast("asyncio.Transport", _HalfClosing(self.transport))

    async def _turn_away(self, scope: Any, receive: Any, send: Any) -> None:
        await self.config.loaded_app({**scope, REFUSED: Busy()}, receive, send)


class _HalfClosing:
    """Closes our half only: a close while bytes still come resets the connection, and the answer with it.

    See RFC 9112, 9.6.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self.write = transport.write
        self.close = transport.write_eof
        self.is_closing = transport.is_closing


def _affordable() -> int:
    """Say how many connections the descriptors of this process allow."""
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if descriptors == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(1, (descriptors - DESCRIPTORS_KEPT) // DESCRIPTORS_EACH)
