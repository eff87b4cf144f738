"""Which addresses belong to the public internet. What is not surely there is ours, our host's or a neighbour's.

From IANA's registries of special-purpose addresses (RFC 6890) and of the IPv6 address space. IPv6 is asked the other
way round than IPv4: only 2000::/3 is handed out at all, and of that some is taken away.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

_NOT_PUBLIC: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network; Linux connects 0.0.0.0 to itself
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carriers' NAT; Alibaba's metadata is in it
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's own services to a machine ("What is IP address 168.63.129.16?", Microsoft Learn)
        "169.254.0.0/16",  # link-local; most clouds' metadata is in it
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata is in it
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112: whoever is near answers
        "192.52.193.0/24",  # AMT relays: the same
        "192.88.99.0/24",  # 6to4 relays: the same
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_UNICAST: Final = IPv6Network("2000::/3")
_NOT_UNICAST: Final = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: any IPv4 address behind any relay (RFC 7526 ended it)
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
"""RFC 6052: where there is IPv6 only, DNS64 gives every IPv4 host an address in here."""
_ISATAP: Final = 0x0000_5EFE
_ISATAP_UNIVERSAL: Final = 0x0200_0000
"""RFC 5214, section 6.1: the bit says whether the IPv4 address is unique in the world."""
_LOW_32: Final = 0xFFFF_FFFF


def is_public(text: str) -> bool:
    """Tell whether an address, as a resolver gives it, is of the public internet, and so is what it holds within."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC)
    if address.scope_id is not None:
        return False
    if address in _NAT64:
        return _holds_public(address)
    if address not in _UNICAST or any(address in network for network in _NOT_UNICAST):
        return False
    return (int(address) >> 32) & _LOW_32 & ~_ISATAP_UNIVERSAL != _ISATAP or _holds_public(address)


def _holds_public(address: IPv6Address) -> bool:
    """Look at the IPv4 address in the last four bytes."""
    return is_public(str(IPv4Address(int(address) & _LOW_32)))
