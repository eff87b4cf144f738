"""Which methods an address takes, and how it says so (RFC 9110, 9.3.7, 10.2.1 and 15.5.6)."""

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from tests.conftest import House

ADDRESSES = [
    pytest.param("/m/tag/token/name.jpg", "GET, HEAD, OPTIONS", id="link"),
    pytest.param("/image/open/a.jpg", "GET, HEAD, OPTIONS", id="alias"),
    pytest.param("/healthz", "GET, HEAD, OPTIONS", id="health"),
    pytest.param("/messages", "OPTIONS, POST", id="messages"),
    pytest.param("/webhooks", "OPTIONS, POST", id="webhooks"),
]


@pytest.fixture
def house(build: Callable[..., "House"]) -> "House":
    return build(alias_prefixes="open/")


@pytest.mark.parametrize(("path", "allowed"), ADDRESSES)
def test_who_asks_for_the_methods_is_told_them(house: "House", path: str, allowed: str) -> None:
    answer = house.web.options(path)
    assert (answer.status_code, answer.headers["allow"], answer.content) == (204, allowed, b"")


@pytest.mark.parametrize(("path", "allowed"), ADDRESSES)
@pytest.mark.parametrize("method", ["DELETE", "PUT", "TRACE", "PATCH"])
def test_another_method_is_refused_and_told_them_too(house: "House", method: str, path: str, allowed: str) -> None:
    answer = house.web.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert answer.json()["error"]["code"] == "method_not_allowed"
    assert answer.headers["cache-control"] == "no-store"


def test_an_address_that_is_not_there_has_no_methods(house: "House") -> None:
    assert house.web.options("/nothing/here").status_code == 404


def test_the_server_as_a_whole_may_be_asked(house: "House") -> None:
    url = urlsplit(house.url)
    with socket.create_connection((str(url.hostname), int(url.port or 0)), timeout=20) as asking:
        asking.sendall(b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert b"".join(iter(lambda: asking.recv(4096), b"")).startswith(b"HTTP/1.1 204 ")
