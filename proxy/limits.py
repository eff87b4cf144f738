"""How much one client may cause: a token bucket for each address, asked only where something must be fetched or made.

Hits cost a fraction of a millisecond and are never limited. The limit is counted in each process.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import islice
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.errors import TooManyRequests

MAX_CLIENTS: Final = 10_000
"""Who was seen longest ago is forgotten first, and starts anew with a full bucket."""
MAX_HOPS: Final = 16
"""So many entries of `X-Forwarded-For` are looked at, from its end; a CDN and a load balancer are two."""
IPV6_CLIENT_BITS: Final = 64
"""A subscriber has at least a /64, and all of its addresses (RFC 6177)."""
MINUTE_S: Final = 60.0

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Buckets:
    """Each holds as many tokens as a minute gives; a full table forgets."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._seen: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By client: the tokens that it had, and when."""

    def take(self, client: str) -> bool:
        """Take one of a client's tokens, where it has one."""
        now = self._clock()
        had, at = self._seen.get(client, (self._per_minute, now))
        has = min(self._per_minute, had + (now - at) * self._per_minute / MINUTE_S)
        enough = has >= 1
        self._seen[client] = (has - enough, now)
        self._seen.move_to_end(client)
        if len(self._seen) > MAX_CLIENTS:
            self._seen.popitem(last=False)
        return enough


def client_of(peer: str, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> str:
    """Name who is limited: from the near end of the chain, the first whom we do not trust to name the next.

    What stands further away was written by the client itself. An entry that is no address ends the chain, as
    MAX_HOPS does. IPv6 addresses are told apart by their networks.
    """
    client = peer
    for hop in (peer, *islice(reversed(forwarded_for), MAX_HOPS)):
        address = _address(hop)
        if address is None:
            break
        client = _household(address)
        if not any(address in network for network in trusted):
            break
    return client


def forwarded_for(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """Read the entries of `X-Forwarded-For`, of however many lines (RFC 9110, 5.3)."""
    lines = [value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for"]
    return [entry.strip() for line in lines for entry in line.split(",")]


def _address(text: str) -> Address | None:
    """Read an address, with a port as some load balancers write it."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _household(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), IPV6_CLIENT_BITS), strict=False))


@dataclass(slots=True)
class _Visit:
    scope: Scope
    paid: bool = False


_visit: ContextVar[_Visit | None] = ContextVar("visit", default=None)


class Visits:
    """Notes whose request a task serves, for whoever is to pay for it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            _visit.set(_Visit(scope))
        await self._app(scope, receive, send)


class Admission:
    """Lets a request cause work, or not. A command, which is no request, may always."""

    def __init__(self, per_minute: int, trusted: Iterable[str], clock: Callable[[], float]) -> None:
        self._per_minute = per_minute
        self._trusted = tuple(ip_network(network) for network in trusted)
        self._buckets = Buckets(per_minute, clock)

    def admit(self) -> None:
        """Charge the client of this task's request, once however often it is asked.

        Raises:
            TooManyRequests: it has caused as much as it may.
        """
        visit = _visit.get()
        if visit is None or visit.paid:
            return
        visit.paid = True
        peer, _ = visit.scope["client"]
        if not self._buckets.take(client_of(peer, forwarded_for(visit.scope["headers"]), self._trusted)):
            raise TooManyRequests(limit_per_minute=self._per_minute)
