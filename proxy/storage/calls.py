"""Calls to the store in threads, which can be hung up on: a thread is held only while somebody waits for it.

botocore blocks, and its own limit for a read is far longer than ours for an answer that nobody wants any more.
"""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)

from proxy.errors import StoreAway

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

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


class _Endable:
    """Tells the call of its thread which connection it waits on, from the first byte sent to the end of the body.

    An answer that is an error is read at once and may be followed by a pause and another attempt: it is let go of.
    """

    sock: socket.socket | None

    def connect(self) -> None:
        super().connect()  # type: ignore[misc] # of the class that this is mixed into
        _wait_on(self.sock)

    def request(self, *given: Any, **named: Any) -> None:
        _wait_on(self.sock)
        super().request(*given, **named)  # type: ignore[misc] # the same

    def getresponse(self) -> Any:
        answered = False
        try:
            response = super().getresponse()  # type: ignore[misc] # the same
            answered = response.status < HTTPStatus.MULTIPLE_CHOICES
            return response
        finally:
            if not answered and (call := _call_here()):
                call.waits_on(None)  # with no check: the answer is not closed yet


def _wait_on(connected: socket.socket | None) -> None:
    if call := _call_here():
        call.waits_on(connected)
        call.check()


def _call_here() -> Call | None:
    return getattr(_here, "call", None)


class _Connection(_Endable, AWSHTTPConnection):  # type: ignore[misc] # botocore's own bases disagree, too
    pass


class _TlsConnection(_Endable, AWSHTTPSConnection):  # type: ignore[misc] # the same
    pass


class _Pool(AWSHTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(AWSHTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def make_endable(client: "S3Client") -> None:
    """Give a client connections of ours. botocore has no door for that: its session makes pools from this table."""
    session = client._endpoint.http_session  # type: ignore[attr-defined] # noqa: SLF001 - read in botocore 1.44.5
    session._pool_classes_by_scheme.update(http=_Pool, https=_TlsPool)  # noqa: SLF001 - the same
