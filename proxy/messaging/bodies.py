"""Bodies of callers who are not known before all of it was read: of long ones, only so many are held at once."""

from typing import Final

from starlette.requests import ClientDisconnect, Request

from proxy.errors import Busy, Malformed, TooLarge

SHORT_BYTES: Final = 64 * 1024
"""A webhook has 1 KB, and ten times that where many statuses share it."""
MAX_LONG_AT_ONCE: Final = 16


class Bodies:
    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._long = 0

    async def read(self, request: Request) -> bytes:
        """Read a body, and stop reading where it is too long.

        Raises:
            TooLarge: it is over the limit.
            Busy: it is long, and so are as many others as are held.
            Malformed: the caller hung up before its end.
        """
        body = bytearray()
        is_long = False
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > self._max_bytes:
                    raise TooLarge(size_bytes=None, limit_bytes=self._max_bytes)
                if len(body) > SHORT_BYTES and not is_long:
                    if self._long >= MAX_LONG_AT_ONCE:
                        raise Busy
                    is_long = True
                    self._long += 1
        except ClientDisconnect as error:
            raise Malformed(field="body", problem="ended before it was whole") from error
        finally:
            self._long -= is_long
        return bytes(body)
