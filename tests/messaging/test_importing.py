"""Imports over real sockets: what a foreign host, and a resolver that rebinds, can try; one key for one content."""

import asyncio
import gzip
import hashlib
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpcore2
import pytest
import uvloop
from httpcore2 import AnyIOBackend

from proxy.errors import Busy, ImportAway, ImportRefused, MedialinkError, TooLarge
from proxy.messaging import import_origin, importing
from proxy.messaging.import_network import PublicNetwork, system_resolve
from proxy.messaging.import_origin import ImportLimits
from tests.messaging.foreign_host import (
    NAME,
    PUBLIC,
    Asked,
    Authority,
    ForeignHost,
    Page,
    Resolver,
    World,
    answer,
    endless,
    foreign_host,
    redirect,
)

LINK = f"http://{NAME}/a.jpg"
BODY = b"a picture" * 1000
KEY = f"imported/{hashlib.sha256(BODY).hexdigest()[:32]}/a.jpg"
HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def host() -> Iterator[ForeignHost]:
    with foreign_host() as running:
        running.pages["/a.jpg"] = answer(200, BODY, ETag='"1"', Last_Modified="Sun, 06 Nov 1994 08:49:37 GMT")
        yield running


@pytest.fixture
def world(host: ForeignHost, tmp_path: Path) -> World:
    return World(folder=tmp_path, host=host)


def nothing_is_left(world: World) -> None:
    assert world.stored() == {}
    assert world.drafts() == []


def test_a_file_is_brought_under_the_name_of_its_content(world: World) -> None:
    assert world.bring() == KEY
    assert world.stored() == {KEY.removeprefix("imported/"): BODY}
    assert world.drafts() == []
    (asked,) = world.host.asked
    assert asked.headers == {
        "host": NAME,
        "accept": "*/*",
        "accept-encoding": "identity",
        "user-agent": "medialink",
    }


def test_a_body_in_chunks_is_brought(world: World) -> None:
    chunks = [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n", b"2\r\nbc\r\n0\r\n\r\n"]
    world.host.pages["/a.jpg"] = lambda _: chunks
    world.bring()
    assert list(world.stored().values()) == [b"abc"]


@pytest.mark.parametrize(
    "addresses",
    [
        pytest.param(["127.0.0.1"], id="loopback"),
        pytest.param(["::1"], id="IPv6 loopback"),
        pytest.param(["169.254.169.254"], id="metadata"),
        pytest.param(["::ffff:169.254.169.254"], id="mapped metadata"),
        pytest.param(["64:ff9b::a9fe:a9fe"], id="metadata behind NAT64"),
        pytest.param([PUBLIC, "10.0.0.1"], id="a public one, then a private one"),
        pytest.param(["10.0.0.1", PUBLIC], id="a private one, then a public one"),
        pytest.param([*[PUBLIC] * 9, "::1"], id="one at the end of many"),
    ],
)
def test_a_name_with_an_address_that_is_not_public_is_not_connected_to(world: World, addresses: Sequence[str]) -> None:
    world.resolver = Resolver(addresses)
    with pytest.raises(ImportRefused, match="not of the public internet"):
        world.bring()
    assert (world.beyond.connected, world.host.asked) == ([], [])
    nothing_is_left(world)


def test_a_name_that_rebinds_after_the_look_changes_nothing(world: World) -> None:
    world.resolver = Resolver([PUBLIC], ["127.0.0.1"])
    assert world.bring() == KEY
    assert world.resolver.names == [NAME], "looked up once, and connected to what was looked at"
    assert world.beyond.connected == [(PUBLIC, 80)]


def test_a_name_that_rebinds_before_a_redirect_is_caught(world: World) -> None:
    world.resolver = Resolver([PUBLIC], ["10.0.0.1"])
    world.host.pages["/a.jpg"] = redirect("/b.jpg")
    world.host.pages["/b.jpg"] = answer(200, BODY)
    with pytest.raises(ImportRefused, match="not of the public internet"):
        world.bring()
    assert world.host.paths() == ["/a.jpg"]
    nothing_is_left(world)


def test_a_name_that_rebinds_before_the_next_send_is_caught(world: World) -> None:
    async def twice() -> None:
        world.resolver = Resolver([PUBLIC], ["192.168.0.1"])
        async with world.importing() as bring:
            await bring(LINK)
            world.clock.now += 60
            world.host.pages["/a.jpg"] = answer(200, b"new", Connection="close")
            await bring(LINK)
            world.clock.now += 60
            await bring(LINK)

    with pytest.raises(ImportRefused, match="not of the public internet"):
        asyncio.run(twice())
    assert len(world.host.asked) == 2


@pytest.mark.parametrize(
    ("page", "error", "says"),
    [
        pytest.param(redirect("http://127.0.0.1/a"), ImportRefused, "names no host", id="to loopback"),
        pytest.param(redirect("http://[::ffff:127.0.0.1]/"), ImportRefused, "names no host", id="to mapped loopback"),
        pytest.param(redirect("http://2130706433/"), ImportRefused, "names no host", id="to a number"),
        pytest.param(redirect("http://evil.example/a"), ImportRefused, "does not name", id="to another host"),
        pytest.param(redirect(f"http://{NAME}:22/"), ImportRefused, "does not name", id="to another port"),
        pytest.param(redirect(f"https://{NAME}/"), ImportRefused, "does not name", id="to another scheme"),
        pytest.param(redirect("file:///etc/passwd"), ImportRefused, "no web address", id="to a file"),
        pytest.param(redirect("/a.jpg"), ImportRefused, "more than 5", id="in a circle"),
        pytest.param(answer(304), ImportRefused, "304", id="unchanged, and nobody asked"),
        pytest.param(answer(404, b"no"), ImportRefused, "404", id="not there"),
        pytest.param(answer(206, b"some"), ImportRefused, "206", id="a part"),
        pytest.param(answer(503), ImportAway, "503", id="away"),
        pytest.param(
            answer(200, gzip.compress(bytes(10**7)), Content_Encoding="gzip"), ImportRefused, "compressed", id="a bomb"
        ),
        pytest.param(
            lambda _: [HEAD + b"Content-Length: 100\r\n\r\nhalf\r\n"], ImportAway, "RemoteProtocolError", id="cut off"
        ),
        pytest.param(
            lambda _: [HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"],
            ImportAway,
            "Remote",
            id="no last chunk",
        ),
        pytest.param(lambda _: [b"HTTP/1.0 200 OK\r\n\r\nwhole?"], ImportRefused, "without a length", id="no length"),
        pytest.param(lambda _: [HEAD + b"Content-Length: 2000000\r\n\r\n"], TooLarge, "1000000", id="said to be large"),
        pytest.param(
            endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"400\r\n" + bytes(1024) + b"\r\n"),
            TooLarge,
            "1000000",
            id="endless",
        ),
        pytest.param(endless(HEAD, b"X-More: of it\r\n"), ImportAway, "RemoteProtocolError", id="endless headers"),
        pytest.param(endless(b"", b"HTTP/1.1 100 Go on\r\n\r\n"), ImportAway, "2 s", id="endless promises"),
        pytest.param(lambda _: [b"SSH-2.0-OpenSSH_9.2\r\n"], ImportAway, "RemoteProtocolError", id="no HTTP"),
        pytest.param(lambda _: [b""], ImportAway, "RemoteProtocolError", id="nothing"),
    ],
)
def test_what_is_no_whole_file_is_not_imported(
    world: World, page: Page, error: type[MedialinkError], says: str
) -> None:
    world.limits = ImportLimits(max_bytes=1_000_000, total_s=2.0)
    world.host.pages["/a.jpg"] = _closing(page)
    with pytest.raises(error, match=says):
        world.bring()
    nothing_is_left(world)
    assert set(world.host.paths()) == {"/a.jpg"}


def _closing(page: Page) -> Page:
    """Hang up at the end of an answer."""

    def answered(asked: Asked) -> Iterator[bytes]:
        yield from page(asked)
        raise ConnectionAbortedError

    return answered


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_an_open_host_is_followed_and_the_key_is_the_links(world: World, status: int) -> None:
    world.hosts = (f"http://{NAME}", "http://*.cdn.example.com")
    world.host.pages["/b.jpg"] = redirect("//a.cdn.example.com/a.jpg?x=1", status)
    assert world.bring(f"http://{NAME}/b.jpg") == KEY.replace("a.jpg", "b.jpg")
    assert world.resolver.names == [NAME, "a.cdn.example.com"], "the next host is looked at as the first"
    assert [asked.headers["host"] for asked in world.host.asked] == [NAME, "a.cdn.example.com"]


def test_a_host_that_drips_is_left(world: World) -> None:
    world.limits = ImportLimits(max_bytes=1_000_000, total_s=1.0)

    def drips(_: Asked) -> Iterator[bytes]:
        yield HEAD + b"Content-Length: 100000\r\n\r\n"
        while not world.host.gone.wait(0.05):
            yield b"x"

    world.host.pages["/a.jpg"] = drips
    with pytest.raises(ImportAway, match="more than 1 s"):
        world.bring()
    nothing_is_left(world)


def test_a_host_that_says_nothing_is_left(world: World) -> None:
    world.limits = ImportLimits(max_bytes=1_000_000, stall_s=0.3)

    def silent(_: Asked) -> Iterator[bytes]:
        world.host.gone.wait(60)
        yield b""

    world.host.pages["/a.jpg"] = silent
    with pytest.raises(ImportAway, match="ReadTimeout"):
        world.bring()


@pytest.mark.parametrize("failure", [OSError("no such name"), UnicodeError("a label too long"), TimeoutError()])
def test_a_name_without_an_address_is_away(world: World, failure: Exception) -> None:
    world.resolver = Resolver(failure)
    with pytest.raises(ImportAway, match="no address"):
        world.bring()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_the_systems_own_resolver_is_looked_at_too(
    host: ForeignHost, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def connect() -> None:
        assert set(await system_resolve("localhost", host.port)) & {"127.0.0.1", "::1"}
        await PublicNetwork(AnyIOBackend()).connect_tcp("localhost", host.port)

    with asyncio.Runner(loop_factory=new_loop) as runner, pytest.raises(ImportRefused, match="public internet"):
        runner.run(connect())
    assert host.asked == []


def test_a_resolver_that_says_nothing_is_left(world: World) -> None:
    world.resolve_s = 0.2
    world.resolver = Resolver(None)
    with pytest.raises(ImportAway, match="no address"):
        world.bring()


def test_a_host_that_cannot_be_reached_is_away(world: World) -> None:
    world.beyond.refuses = True
    world.resolver = Resolver([PUBLIC, PUBLIC, PUBLIC, PUBLIC])
    with pytest.raises(ImportAway, match="ConnectError"):
        world.bring()
    assert world.beyond.connected == [(PUBLIC, 80)] * 3, "so many addresses are tried, and no more"


def test_no_proxy_is_taken_from_the_environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert world.bring() == KEY


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.new(tmp_path)


def test_the_certificate_is_the_names_and_not_the_addresss(authority: Authority, tmp_path: Path) -> None:
    with foreign_host(authority.server(NAME)) as host:
        host.pages["/a.jpg"] = answer(200, BODY)
        world = World(folder=tmp_path, host=host, hosts=(NAME,), tls=authority.client)
        assert world.bring(f"https://{NAME}/a.jpg") == KEY
        assert world.beyond.connected == [(PUBLIC, 443)]


@pytest.mark.parametrize(
    "names", [("other.example.com", True), (NAME, False)], ids=["another's", "an unknown signer's"]
)
def test_a_certificate_that_does_not_hold_is_refused(
    authority: Authority, tmp_path: Path, names: tuple[str, bool]
) -> None:
    name, known = names
    with foreign_host(authority.server(name)) as host:
        tls = authority.client if known else ssl.create_default_context()
        world = World(folder=tmp_path, host=host, hosts=(NAME,), tls=tls)
        with pytest.raises(ImportRefused, match="certificate does not hold"):
            world.bring(f"https://{NAME}/a.jpg")
        assert host.asked == []


def test_a_redirect_from_https_to_http_is_refused(authority: Authority, tmp_path: Path) -> None:
    with foreign_host(authority.server(NAME)) as host:
        host.pages["/a.jpg"] = redirect(f"http://{NAME}/a.jpg")
        world = World(folder=tmp_path, host=host, hosts=(NAME, f"http://{NAME}"), tls=authority.client)
        with pytest.raises(ImportRefused, match="from https to http"):
            world.bring(f"https://{NAME}/a.jpg")


def test_every_failure_of_httpcore_is_one_of_ours() -> None:
    raised = {
        found
        for found in vars(httpcore2).values()
        if isinstance(found, type) and issubclass(found, Exception) and found is not httpcore2.ConnectionNotAvailable
    }
    assert len(raised) > 10
    assert all(issubclass(found, import_origin.FAILURES) for found in raised)


def conditional(asked: Asked) -> list[bytes]:
    """Answer as a server that knows its file."""
    if asked.headers.get("if-none-match") == '"1"':
        return list(answer(304, ETag='"1"')(asked))
    return list(answer(200, BODY, ETag='"1"')(asked))


def test_an_unchanged_file_is_not_fetched_again_and_keeps_its_key(world: World) -> None:
    async def twice() -> None:
        async with world.importing() as bring:
            first = await bring(LINK)
            world.clock.now += 60
            world.host.pages["/a.jpg"] = conditional
            assert await bring(LINK) == first == KEY

    asyncio.run(twice())
    _, again = world.host.asked
    assert again.headers["if-none-match"] == '"1"'
    assert again.headers["if-modified-since"] == "Sun, 06 Nov 1994 08:49:37 GMT"


def test_a_changed_file_gets_another_key_and_the_old_one_stays(world: World) -> None:
    async def twice() -> tuple[str, str]:
        async with world.importing() as bring:
            first = await bring(LINK)
            world.clock.now += 60
            world.host.pages["/a.jpg"] = answer(200, b"new", ETag='"2"')
            return first, await bring(LINK)

    first, second = asyncio.run(twice())
    assert first != second
    assert sorted(world.stored().values()) == sorted([BODY, b"new"])


def test_the_same_content_is_written_once_whoever_brings_it(world: World) -> None:
    assert world.bring() == world.bring() == KEY
    (file,) = (world.folder / "store" / "imported").rglob("*.jpg")
    written_ns = file.stat().st_mtime_ns
    world.bring()
    assert file.stat().st_mtime_ns == written_ns


def test_what_is_known_of_one_address_is_not_asked_of_the_next(world: World) -> None:
    """Else a redirect that leads elsewhere meanwhile, to a file with the same tag, would deliver the old one."""
    world.host.pages["/old.jpg"] = answer(200, BODY, ETag='"1"')
    world.host.pages["/new.jpg"] = lambda asked: (
        answer(304)(asked) if "if-none-match" in asked.headers else answer(200, b"new", ETag='"1"')(asked)
    )

    async def twice() -> None:
        async with world.importing() as bring:
            world.host.pages["/a.jpg"] = redirect("/old.jpg")
            first = await bring(LINK)
            world.clock.now += 60
            world.host.pages["/a.jpg"] = redirect("/new.jpg")
            assert await bring(LINK) != first

    asyncio.run(twice())


def test_what_the_store_lost_is_brought_again(world: World) -> None:
    async def twice() -> None:
        async with world.importing() as bring:
            await bring(LINK)
            (world.folder / "store" / KEY).unlink()
            world.clock.now += 60
            world.host.pages["/a.jpg"] = conditional
            assert await bring(LINK) == KEY

    asyncio.run(twice())
    assert list(world.stored().values()) == [BODY]


def test_a_host_that_went_away_is_told_and_nothing_old_is_sent(world: World) -> None:
    async def twice() -> None:
        async with world.importing() as bring:
            await bring(LINK)
            world.clock.now += 60
            world.host.pages["/a.jpg"] = answer(502)
            with pytest.raises(ImportAway, match="502"):
                await bring(LINK)
            world.host.pages["/a.jpg"] = conditional
            assert await bring(LINK) == KEY

    asyncio.run(twice())


def test_a_burst_of_sends_asks_once(world: World) -> None:
    async def burst() -> set[str]:
        async with world.importing() as bring:
            found = set(await asyncio.gather(*(bring(LINK) for _ in range(200))))
            world.clock.now += 1.9
            return found | {await bring(f"{LINK}#again")}

    assert asyncio.run(burst()) == {KEY}
    assert len(world.host.asked) == 1


def test_who_stops_waiting_stops_no_import(world: World) -> None:
    async def leave_and_return() -> None:
        arrived, go_on = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def slow(asked: Asked) -> Iterator[bytes]:
            loop.call_soon_threadsafe(arrived.set)
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(20)
            yield from answer(200, BODY)(asked)

        world.host.pages["/a.jpg"] = slow
        async with world.importing() as bring:
            waiting = asyncio.create_task(bring(LINK))
            await arrived.wait()
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            go_on.set()
            assert await bring(LINK) == KEY

    asyncio.run(leave_and_return())
    assert len(world.host.asked) == 1


def test_an_import_that_is_under_way_at_the_end_is_ended(world: World) -> None:
    async def leave() -> None:
        arrived = asyncio.Event()
        loop = asyncio.get_running_loop()

        def silent(_: Asked) -> Iterator[bytes]:
            loop.call_soon_threadsafe(arrived.set)
            world.host.gone.wait(60)
            yield b""

        world.host.pages["/a.jpg"] = silent
        async with world.importing() as bring:
            waiting = asyncio.create_task(bring(LINK))
            await arrived.wait()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(leave())
    nothing_is_left(world)


def test_unchanged_says_nothing_of_a_file_that_had_no_tag(world: World) -> None:
    async def twice() -> None:
        async with world.importing() as bring:
            world.host.pages["/a.jpg"] = answer(200, BODY)
            await bring(LINK)
            world.clock.now += 60
            world.host.pages["/a.jpg"] = answer(304)
            with pytest.raises(ImportRefused, match="304"):
                await bring(LINK)

    asyncio.run(twice())


def test_eight_go_on_at_once_and_the_others_wait_without_a_file(world: World) -> None:
    go_on, at_work = threading.Event(), threading.Semaphore(0)

    def held(asked: Asked) -> Iterator[bytes]:
        at_work.release()
        go_on.wait(20)
        yield from answer(200, BODY)(asked)

    async def burst() -> None:
        world.host.pages["/a.jpg"] = held
        async with world.importing() as bring:
            waiting = [asyncio.create_task(bring(f"{LINK}?{number}")) for number in range(12)]
            for _ in range(8):
                assert await asyncio.to_thread(at_work.acquire, timeout=20)
            drafts = world.drafts()
            go_on.set()
            assert set(await asyncio.gather(*waiting)) == {KEY}
            assert len(drafts) == 8

    asyncio.run(burst())


def test_no_more_wait_than_may(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MAX_WAITING", 2)

    async def burst() -> list[object]:
        async with world.importing() as bring:
            links = [f"{LINK}?{number}" for number in range(3)]
            return list(await asyncio.gather(*map(bring, links), return_exceptions=True))

    *brought, refused = asyncio.run(burst())
    assert brought == [KEY, KEY]
    assert isinstance(refused, Busy)


def test_what_is_remembered_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MAX_KNOWN", 2)

    async def work() -> None:
        async with world.importing() as bring:
            for number in (1, 2, 3, 2, 1):
                await bring(f"{LINK}?{number}")

    asyncio.run(work())
    assert world.host.paths() == [f"/a.jpg?{number}" for number in (1, 2, 3, 1)]


def test_a_host_that_is_not_open_is_not_even_looked_up(world: World) -> None:
    world.hosts = ("other.example.com",)
    with pytest.raises(ImportRefused, match="does not name"):
        world.bring()
    assert world.resolver.names == []
