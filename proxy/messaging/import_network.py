"""The door to the public internet, for hosts that a caller names: it opens to public addresses, and to no others.

A name is resolved once, here; every address that it has is looked at, and the connection goes to one of these very
addresses. A name that changes its mind between the look and the connection changes nothing.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import Final

from httpcore2 import AsyncNetworkBackend, AsyncNetworkStream, ConnectError, ConnectTimeout

from proxy import telemetry
from proxy.errors import ImportAway, ImportRefused
from proxy.messaging.public_addresses import is_public

RESOLVE_S: Final = 3.0
MAX_TRIED: Final = 3
"""Addresses of one host, in the resolver's order (RFC 6724)."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
SocketOptions = Iterable[tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]]


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """Ask as all programs of this host ask: files, DNS, and whatever else it is told to ask."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class PublicNetwork(AsyncNetworkBackend):
    """What httpcore2 connects by; `beyond` is given addresses only, and never a name."""

    def __init__(
        self, beyond: AsyncNetworkBackend, resolve: Resolve = system_resolve, *, resolve_s: float = RESOLVE_S
    ) -> None:
        self._beyond = beyond
        self._resolve = resolve
        self._resolve_s = resolve_s

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore2's interface
        local_address: str | None = None,
        socket_options: SocketOptions | None = None,
    ) -> AsyncNetworkStream:
        """Connect to a host by its name; each of its addresses may take `timeout`.

        Raises:
            ImportRefused: it has an address that is not public, were it one of many.
            ImportAway: it has no address now, or none is known in time.
            ConnectError, ConnectTimeout: it cannot be reached at the address that was tried last.
        """
        addresses = await self._addresses(host, port)
        failure: Exception = ConnectError("no address")
        for address in islice(addresses, MAX_TRIED):
            try:
                return await self._beyond.connect_tcp(
                    address, port, timeout=timeout, local_address=local_address, socket_options=socket_options
                )
            except (ConnectError, ConnectTimeout) as error:
                failure = error
        raise failure

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            async with asyncio.timeout(self._resolve_s):
                addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise ImportAway(details="its name has no address now") from error
        for address in addresses:
            if not is_public(address):
                telemetry.log.warning("import.address_refused", host=host, address=address)
                raise ImportRefused(problem="is at a host whose address is not of the public internet")
        return addresses
