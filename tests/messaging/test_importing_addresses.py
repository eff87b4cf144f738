"""Which addresses an import may connect to: those of the public internet, and nothing that hides another within."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.messaging.public_addresses import is_public

PUBLIC = [
    "1.1.1.1",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001:800::200e",
    "64:ff9b::93.184.216.34",
    "2606:4700::5efe:93.184.216.34",
]
NOT_PUBLIC = {
    "this network": "0.0.0.0",
    "private 10": "10.1.2.3",
    "private 172": "172.16.0.1",
    "private 192": "192.168.1.1",
    "CGNAT": "100.64.0.1",
    "Alibaba's metadata": "100.100.100.200",
    "loopback": "127.0.0.1",
    "all of loopback": "127.255.255.254",
    "link-local": "169.254.1.1",
    "the clouds' metadata": "169.254.169.254",
    "Azure's wire server": "168.63.129.16",
    "Oracle's metadata": "192.0.0.192",
    "documentation 1": "192.0.2.1",
    "documentation 2": "198.51.100.1",
    "documentation 3": "203.0.113.1",
    "benchmarks": "198.19.255.255",
    "6to4 relays": "192.88.99.1",
    "AS112": "192.175.48.1",
    "multicast": "224.0.0.251",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "IPv6 unspecified": "::",
    "IPv6 loopback": "::1",
    "IPv6 link-local": "fe80::1",
    "IPv6 link-local with its zone": "fe80::1%eth0",
    "a public address with a zone": "2606:4700:4700::1111%eth0",
    "site-local": "fec0::1",
    "unique local": "fd00:ec2::254",
    "IPv6 multicast": "ff02::1",
    "the discard prefix": "100::1",
    "IPv6 documentation": "2001:db8::1",
    "the newer documentation": "3fff::1",
    "IPv6 benchmarks": "2001:2::1",
    "ORCHID": "2001:20::1",
    "segment routing": "5f00::1",
    "never handed out": "4000::1",
    "mapped loopback": "::ffff:127.0.0.1",
    "mapped private in hex": "::ffff:a00:1",
    "mapped, though public": "::ffff:93.184.216.34",
    "compatible": "::10.0.0.1",
    "translated": "::ffff:0:10.0.0.1",
    "6to4 of private": "2002:a00:1::1",
    "6to4 of public": "2002:5db8:d822::1",
    "Teredo": "2001:0:5db8:d822::1",
    "NAT64 of loopback": "64:ff9b::127.0.0.1",
    "NAT64 of metadata": "64:ff9b::a9fe:a9fe",
    "a network's own NAT64": "64:ff9b:1::93.184.216.34",
    "ISATAP of private": "2606:4700::5efe:10.0.0.1",
    "ISATAP of private, said to be unique": "2606:4700::200:5efe:192.168.0.1",
    "a name": "localhost",
    "nothing": "",
    "a number": "2130706433",
    "octal": "0177.0.0.1",
}


@pytest.mark.parametrize("address", PUBLIC)
def test_the_public_internet_may_be_connected_to(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC.values(), ids=NOT_PUBLIC.keys())
def test_nothing_else_may(address: str) -> None:
    assert not is_public(address)


@given(st.integers(0, 2**32 - 1).map(IPv4Address) | st.integers(0, 2**128 - 1).map(IPv6Address))
def test_what_python_calls_private_is_not_public_here(address: IPv4Address | IPv6Address) -> None:
    if is_public(str(address)):
        assert address.is_global
        assert not address.is_multicast


@given(st.integers(0, 2**32 - 1))
def test_no_private_address_is_reached_through_an_ipv6_address_that_holds_it(inner: int) -> None:
    forms = [
        IPv6Address((0x0064_FF9B << 96) | inner),
        IPv6Address((0xFFFF << 32) | inner),
        IPv6Address(inner),
        IPv6Address((0x2002 << 112) | (inner << 80) | 1),
        IPv6Address((0x2001 << 112) | (inner << 64)),
        IPv6Address((0x2606_4700 << 96) | (0x5EFE << 32) | inner),
    ]
    if not is_public(str(IPv4Address(inner))):
        assert not any(is_public(str(form)) for form in forms)
