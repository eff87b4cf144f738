"""A takedown on every way out of a running house."""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from proxy.delivery.renditions import Origin, Renditions
from proxy.media.kinds import Kind
from proxy.storage.store import Source
from tests.conftest import NO_TLS
from tests.delivery.takedown_desk import take_down, undo

if TYPE_CHECKING:
    from proxy.delivery.links import Link
    from proxy.delivery.renditions import Rendition
    from proxy.delivery.verdicts import Verdict
    from tests.conftest import House

YEAR_2020 = 1_577_836_800
HEARD_S = 15.0
"""Shorter than a hit is kept in memory (KEEP_S), so that it is the takedown which ends it."""

Ask = Callable[[], httpx2.Response]


@pytest.fixture(autouse=True)
def _quick_ears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.delivery.takedowns.REREAD_EVERY_S", 0.02)


@pytest.fixture
def open_house(build: Callable[..., "House"]) -> "House":
    return build(alias_prefixes="open/")


def await_status(ask: Ask, status: int) -> None:
    until = time.monotonic() + HEARD_S
    while ask().status_code != status:
        assert time.monotonic() < until, f"{status} did not come"


def put_of_old(house: "House", key: str, body: bytes) -> Source:
    """Put what is older than a second: only that is kept in memory."""
    source = house.put(key, body)
    os.utime(Path(house.settings.store.removeprefix("file://")) / key, (YEAR_2020, YEAR_2020))
    return source


def assert_taken_down(answer: httpx2.Response) -> None:
    assert answer.status_code == 410
    assert answer.headers["cache-control"] == "no-store"
    if answer.request.method != "HEAD":
        assert answer.json()["error"]["code"] == "taken_down"


@pytest.mark.parametrize("kind", ["as-is", "made"])
def test_it_is_heard_on_every_way_and_so_is_its_undoing(
    open_house: "House", light_jpeg: bytes, heavy_jpeg: bytes, kind: str
) -> None:
    house = open_house
    put_of_old(house, "open/a.jpg", light_jpeg if kind == "as-is" else heavy_jpeg)
    link = house.link("open/a.jpg")
    etag = house.web.get(link).headers["etag"]
    alias = f"{house.url}/image/open/a.jpg"
    ways: dict[str, tuple[int, Ask]] = {
        "get": (200, lambda: house.web.get(link)),
        "head": (200, lambda: house.web.head(link)),
        "range": (206, lambda: house.web.get(link, headers={"Range": "bytes=0-9"})),
        "tag": (304, lambda: house.web.get(link, headers={"If-None-Match": etag})),
        "tag by head": (304, lambda: house.web.head(link, headers={"If-None-Match": etag})),
        "date": (304, lambda: house.web.get(link, headers={"If-Modified-Since": "Wed, 01 Jan 2025 00:00:00 GMT"})),
        "no match": (412, lambda: house.web.get(link, headers={"If-Match": '"x"'})),
        "alias": (200, lambda: house.web.get(alias)),
        "alias by head": (200, lambda: house.web.head(alias)),
        "alias by tag": (304, lambda: house.web.get(alias, headers={"If-None-Match": etag})),
        "alias by its type": (200, lambda: house.web.get(f"{house.url}/image/open/a.jpg.jpg")),
        "link asked for": (201, lambda: house.api.post("/links", json={"kind": "image", "key": "open/a.jpg"})),
        "message by key": (202, lambda: house.send(key="open/a.jpg")),
        "message by link": (202, lambda: house.send(link=link)),
    }
    before = {name: ask().status_code for name, (_, ask) in ways.items()}
    assert before == {name: status for name, (status, _) in ways.items()}
    take_down(house, "open/a.jpg")
    await_status(ways["get"][1], 410)
    posted = len(house.whatsapp.get("/sandbox/messages").json())
    for _, ask in ways.values():
        assert_taken_down(ask())
    assert len(house.whatsapp.get("/sandbox/messages").json()) == posted
    undo(house, "open/a.jpg")
    await_status(ways["get"][1], 200)
    assert {name: ask().status_code for name, (_, ask) in ways.items()} == before


def test_what_lies_in_memory_hears_it(house: "House", light_jpeg: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    put_of_old(house, "a.jpg", light_jpeg)
    link = house.link("a.jpg")
    etag = house.web.get(link).headers["etag"]
    with monkeypatch.context() as patched:
        patched.setattr(Renditions, "open", None)
        assert house.web.get(link).content == light_jpeg
    take_down(house, "a.jpg")
    await_status(lambda: house.web.get(link), 410)
    assert house.web.get(link, headers={"If-None-Match": etag}).status_code == 410


def test_who_reads_a_copy_on_the_disk_slowly_does_not_get_the_rest(house: "House") -> None:
    pdf = b"%PDF-1.7\n" + bytes(40_000_000)
    house.put("a.pdf", pdf)
    link = house.link("a.pdf", "document")
    with httpx2.stream("GET", link, trust_env=False, verify=NO_TLS, timeout=60) as answer:
        pieces = answer.iter_raw()
        next(pieces)
        take_down(house, "a.pdf")
        await_status(lambda: house.web.head(link), 410)
        with pytest.raises(httpx2.RemoteProtocolError):
            deque(pieces, maxlen=0)
        assert answer.num_bytes_downloaded < len(pdf)


def test_a_version_goes_and_the_next_one_stays(house: "House", light_jpeg: bytes, heavy_jpeg: bytes) -> None:
    first = house.put("a.jpg", light_jpeg)
    old = house.link("a.jpg")
    house.put("a.jpg", heavy_jpeg)
    new = house.link("a.jpg")
    take_down(house, "a.jpg", first.version)
    await_status(lambda: house.web.get(old), 410)
    assert house.web.get(new).status_code == 200
    assert house.link("a.jpg") == new
    house.put("a.jpg", light_jpeg)
    assert_taken_down(house.api.post("/links", json={"kind": "image", "key": "a.jpg"}))


def test_every_kind_of_a_key_goes_and_its_neighbours_stay(house: "House", light_jpeg: bytes) -> None:
    house.put("a.jpg", light_jpeg)
    house.put("b.jpg", light_jpeg)
    image, document, other = house.link("a.jpg"), house.link("a.jpg", "document"), house.link("b.jpg")
    take_down(house, "a.jpg")
    await_status(lambda: house.web.get(image), 410)
    assert_taken_down(house.web.get(document))
    assert house.web.get(other).content == light_jpeg


def test_a_taken_down_link_with_an_expiry_says_so(house: "House", light_jpeg: bytes) -> None:
    house.put("a.jpg", light_jpeg)
    link = house.link("a.jpg", expires_in_s=60)
    take_down(house, "a.jpg")
    await_status(lambda: house.web.get(link), 410)
    assert_taken_down(house.web.get(link))


def test_a_forged_link_of_what_is_taken_down_is_still_not_found(house: "House", light_jpeg: bytes) -> None:
    house.put("a.jpg", light_jpeg)
    link = house.link("a.jpg")
    take_down(house, "a.jpg")
    await_status(lambda: house.web.get(link), 410)
    assert house.web.get(link.replace("/a.jpg", "/b.jpg")).status_code == 404


@pytest.mark.parametrize("way", ["link", "alias", "mint", "reopen"])
def test_who_waits_for_a_rendition_meanwhile_hears_it(
    open_house: "House", heavy_jpeg: bytes, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    house, waiting, over = open_house, Event(), Event()
    house.put("open/a.jpg", heavy_jpeg)
    link = house.link("open/a.jpg")
    other = house.link("open/a.jpg", "document")
    really_open, really_judge = Renditions.open, Renditions.judge

    async def hold() -> None:
        waiting.set()
        await asyncio.to_thread(over.wait, HEARD_S)

    async def open_late(self: Renditions, link: "Link", origin: Origin = Origin.DISK) -> "Rendition":
        rendition = await really_open(self, link, origin)
        if link.kind is Kind.IMAGE:
            await hold()
        return rendition

    async def judge_late(self: Renditions, kind: Kind, source: Source) -> "Verdict":
        verdict = await really_judge(self, kind, source)
        if way == "mint":
            await hold()
        return verdict

    monkeypatch.setattr(Renditions, "open", open_late)
    monkeypatch.setattr(Renditions, "judge", judge_late)
    ways: dict[str, Ask] = {
        "link": lambda: house.web.get(link),
        "alias": lambda: house.web.get(f"{house.url}/image/open/a.jpg"),
        "mint": lambda: house.api.post("/links", json={"kind": "image", "key": "open/a.jpg"}),
        "reopen": lambda: house.send(link=link),
    }
    answers: list[Any] = []
    asking = Thread(target=lambda: answers.append(ways[way]()))
    asking.start()
    assert waiting.wait(HEARD_S)
    take_down(house, "open/a.jpg")
    await_status(lambda: house.web.head(other), 410)
    over.set()
    asking.join()
    assert_taken_down(answers[0])
