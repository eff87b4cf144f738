"""Calls to the store in threads, which can be hung up on: a thread is held only while somebody waits for it.

botocore blocks, and its own limit for a read is far longer than ours for an answer that nobody wants any more.
"""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import TypeVar

from proxy.errors import StoreAway

T = TypeVar("T")

_here = threading.local()


class Call:
    """One piece of work in a thread, and the connection that it waits on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._ended = False

    def carry_out(self, work: Callable[[], T]) -> T:
        _here.call = self
        try:
            return work()
        except CancelledError as error:
            raise StoreAway from error
        finally:
            _here.call = None
            self.waits_on(None)

    def end(self) -> None:
        """Hang up, from any thread; a call that has not begun to wait ends when it does."""
        with self._lock:
            self._ended = True
            if self._socket is not None:
                with suppress(OSError):
                    # The plain socket's own method: a TLS socket's would drop its keys under the reader.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def waits_on(self, connected: socket.socket | None) -> None:
        with self._lock:
            self._socket = connected

    def check(self) -> None:
        """Stop here if the call was ended.

        Raises:
            CancelledError: the one error that botocore neither wraps nor tries again (httpsession.py, standard.py).
        """
        if self._ended:
            raise CancelledError


def call_here() -> Call | None:
    """Give the call that this thread carries out."""
    return getattr(_here, "call", None)
