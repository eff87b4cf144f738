"""How much one client may cause: who that is, how much that is, and that nobody else pays."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_network

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from proxy import limits
from proxy.errors import MedialinkError, SettingsInvalid
from proxy.failures import failed
from proxy.limits import MAX_CLIENTS, MAX_HOPS, Admission, Buckets, Visits, client_of, forwarded_for
from proxy.servers import ThreadedServer
from proxy.settings import Settings
from tests.conftest import NO_TLS

PEER = "203.0.113.9"
INSIDE = ("10.0.0.0/8", "198.51.100.0/24", "fd00::/8")


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        pytest.param(PEER, [], PEER, id="nobody between"),
        pytest.param(PEER, ["192.0.2.1"], PEER, id="a stranger's header says nothing"),
        pytest.param("10.0.0.1", [], "10.0.0.1", id="a proxy that tells nothing"),
        pytest.param("10.0.0.1", ["192.0.2.1"], "192.0.2.1", id="one proxy"),
        pytest.param("10.0.0.1", ["192.0.2.1, 198.51.100.7"], "192.0.2.1", id="load balancer and CDN"),
        pytest.param("10.0.0.1", ["192.0.2.1", "198.51.100.7"], "192.0.2.1", id="of two lines"),
        pytest.param("10.0.0.1", ["8.8.8.8, 192.0.2.1"], "192.0.2.1", id="the client made up the first"),
        pytest.param("10.0.0.1", ["10.9.9.9, 192.0.2.1"], "192.0.2.1", id="the client pretends to be a proxy"),
        pytest.param("10.0.0.1", ["unknown"], "10.0.0.1", id="no address ends the chain"),
        pytest.param("10.0.0.1", ["192.0.2.1, '; drop"], "10.0.0.1", id="nor does nonsense"),
        pytest.param("10.0.0.1", [""], "10.0.0.1", id="an empty header"),
        pytest.param("10.0.0.1", ["192.0.2.1:4711"], "192.0.2.1", id="with a port"),
        pytest.param("10.0.0.1", ["[2001:db8:0:1:a::1]:443"], "2001:db8:0:1::/64", id="IPv6 with a port"),
        pytest.param("10.0.0.1", ["2001:db8:0:1:b::2"], "2001:db8:0:1::/64", id="one network is one client"),
        pytest.param("::ffff:10.0.0.1", ["::ffff:192.0.2.1"], "192.0.2.1", id="IPv4 in IPv6 is IPv4"),
        pytest.param("fd00::1", ["192.0.2.1"], "192.0.2.1", id="a proxy in IPv6"),
        pytest.param("2001:db8::1", ["192.0.2.1"], "2001:db8::/64", id="a stranger in IPv6"),
        pytest.param("10.0.0.1", ["192.0.2.1" + ", 10.0.0.2" * MAX_HOPS], "10.0.0.2", id="a chain has an end"),
    ],
)
def test_a_client_is_who_no_proxy_of_ours_is(peer: str, headers: list[str], client: str) -> None:
    raw = [(b"x-forwarded-for", value.encode()) for value in headers]
    assert client_of(peer, forwarded_for([(b"host", b"a"), *raw]), [ip_network(net) for net in INSIDE]) == client


@given(st.lists(st.text(max_size=30), max_size=6))
def test_who_connects_from_elsewhere_is_the_client_whatever_it_writes(entries: list[str]) -> None:
    assert client_of(PEER, entries, [ip_network(net) for net in INSIDE]) == PEER


@given(st.binary(max_size=60))
def test_no_header_breaks_the_reading(value: bytes) -> None:
    assert client_of("10.0.0.1", forwarded_for([(b"x-forwarded-for", value)]), [ip_network("10.0.0.0/8")])


def test_a_bucket_holds_a_minute_and_fills_again() -> None:
    clock = Clock()
    buckets = Buckets(6, clock)
    assert [buckets.take("a") for _ in range(8)] == [True] * 6 + [False] * 2
    assert buckets.take("b")
    clock.now_s += 9.9
    assert not buckets.take("a")
    clock.now_s += 0.2
    assert [buckets.take("a") for _ in range(2)] == [True, False]
    clock.now_s += 3600
    assert [buckets.take("a") for _ in range(7)] == [True] * 6 + [False]


def test_the_table_is_bounded_and_forgets_whom_it_has_not_seen_for_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CLIENTS", 3)
    buckets = Buckets(6, Clock())
    for client in ("a", "b", "c") * 6:
        assert buckets.take(client)
    assert not buckets.take("a")
    assert buckets.take("d"), "and b is forgotten"
    assert not buckets.take("a")
    assert buckets.take("b")
    assert MAX_CLIENTS >= 1000


@contextmanager
def served(admission: Admission) -> Iterator[httpx2.Client]:
    """Serve something that costs, twice over, at /costly, and something that does not at /cheap."""

    async def costly(_request: Request) -> Response:
        admission.admit()
        admission.admit()
        return PlainTextResponse("made")

    async def cheap(_request: Request) -> Response:
        return PlainTextResponse("here")

    app = Starlette(
        routes=[Route("/costly", costly), Route("/cheap", cheap)], exception_handlers={MedialinkError: failed}
    )
    with ExitStack() as running:
        server = running.enter_context(ThreadedServer(Visits(app)))
        yield running.enter_context(httpx2.Client(base_url=server.url, trust_env=False, verify=NO_TLS))


def test_who_asks_for_too_much_is_told_when_to_come_again_and_still_gets_what_costs_nothing() -> None:
    with served(Admission(6, (), Clock())) as web:
        codes = [web.get("/costly").status_code for _ in range(7)]
        assert codes == [200] * 6 + [429], "a request pays once"
        told = web.get("/costly", headers={"X-Forwarded-For": "192.0.2.1"})
        assert (told.status_code, told.headers["retry-after"]) == (429, "10")
        assert told.headers["cache-control"] == "no-store"
        assert told.json()["error"]["code"] == "rate_limited"
        assert web.get("/cheap").status_code == 200


def test_behind_a_proxy_that_is_trusted_each_client_has_its_own() -> None:
    with served(Admission(6, ("127.0.0.0/8",), Clock())) as web:
        for client in ("192.0.2.1", "192.0.2.2"):
            codes = [web.get("/costly", headers={"X-Forwarded-For": client}).status_code for _ in range(7)]
            assert codes == [200] * 6 + [429]


def test_what_is_no_request_pays_nothing() -> None:
    admission = Admission(6, (), Clock())
    for _ in range(20):
        admission.admit()


@pytest.mark.parametrize(
    "networks",
    ["everybody", "10.0.0.1/8", "0.0.0.0/0", "::/0", ",".join(f"2001:db8::{n:x}" for n in range(1001))],
    ids=["name", "host bits", "all of IPv4", "all of IPv6", "too many"],
)
def test_a_proxy_is_named_by_its_network(monkeypatch: pytest.MonkeyPatch, networks: str) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", networks)
    with pytest.raises(SettingsInvalid, match="TRUSTED_PROXIES: "):
        Settings.read()
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8, 2001:db8::/32,192.0.2.7")
    assert Settings.read().trusted_proxies == ("10.0.0.0/8", "2001:db8::/32", "192.0.2.7")


def test_nobody_is_limited_nor_trusted_unless_it_is_said() -> None:
    settings = Settings.read()
    assert (settings.misses_per_minute, settings.trusted_proxies) == (None, ())
