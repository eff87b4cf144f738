"""botocore's connections, which tell the call of their thread what it waits on, so that it can be hung up on."""

import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)

from proxy.storage.calls import call_here

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


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
            if not answered and (call := call_here()):
                call.waits_on(None)  # with no check: the answer is not closed yet


def _wait_on(connected: socket.socket | None) -> None:
    if call := call_here():
        call.waits_on(connected)
        call.check()


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
