"""The store breaks: what is cached is served, what is not is refused with a reason, and no part passes for a whole."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.faults.faulty_s3 import Fault, FaultyS3

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import House

Build = Callable[..., "House"]

AWAY = [Fault.STALLED, Fault.TRUNCATED, Fault.UNMEASURED, Fault.SHORT, Fault.SLOW_DOWN, Fault.FORBIDDEN, Fault.REFUSED]


def cached(house: "House") -> list["Path"]:
    return list((house.settings.data_dir / "cache" / "files").glob("*/*"))


def drafts(house: "House") -> list["Path"]:
    return list((house.settings.data_dir / "cache" / "drafts").iterdir())


def forget(house: "House") -> None:
    """Empty the cache, as anybody may at any time."""
    for file in cached(house):
        file.unlink()


def refuses(answer: httpx2.Response, code: str) -> bool:
    """Say whether an answer is a 503 of that code that tells when to come back, and is kept by nobody."""
    return (
        answer.status_code == 503
        and answer.json()["error"]["code"] == code
        and int(answer.headers["retry-after"]) > 0
        and answer.headers["cache-control"] == "no-store"
    )


def refused_or_cut(house: "House", link: str) -> bool:
    """Ask for what cannot come whole: it is refused, or, where its head was out before that was known, cut off."""
    try:
        return refuses(house.web.get(link), "store_away")
    except httpx2.RemoteProtocolError:
        return True


def test_what_is_cached_is_served_and_the_store_is_not_even_asked(
    house: "House", s3: FaultyS3, pdf: bytes, webp: bytes
) -> None:
    s3.put("a.pdf", pdf)
    s3.put("a.webp", webp)
    links = [house.link("a.pdf", "document"), house.link("a.webp")]
    before = [house.web.get(link).content for link in links]
    assert before[0] == pdf
    for fault in Fault:
        with s3.breaking(fault):
            answers = [house.web.get(link) for link in links]
            part = house.web.get(links[0], headers={"Range": "bytes=1000-1999"})
            head = house.web.head(links[0])
            assert s3.calls == [], fault
        assert [answer.content for answer in answers] == before, fault
        assert [answer.headers["cache-status"] for answer in answers] == ["medialink; hit"] * 2, fault
        assert part.content == pdf[1000:2000], fault
        assert head.headers["content-length"] == str(len(pdf)), fault


@pytest.mark.parametrize("fault", AWAY)
def test_what_is_not_cached_is_refused_with_a_reason_and_never_half(
    house: "House", s3: FaultyS3, pdf: bytes, webp: bytes, fault: Fault
) -> None:
    for key, body in (("a.pdf", pdf), ("a.webp", webp), ("b.webp", webp)):
        s3.put(key, body)
    document, image = house.link("a.pdf", "document"), house.link("a.webp")
    forget(house)
    with s3.breaking(fault), ThreadPoolExecutor() as threads:
        of_a_source = threads.submit(refused_or_cut, house, document)
        of_a_rendition = threads.submit(house.web.get, image)
        of_a_message = threads.submit(house.send, key="b.webp")
        assert of_a_source.result()
        assert refuses(of_a_rendition.result(), "store_away")
        assert refuses(of_a_message.result(), "store_away")
        assert house.whatsapp.get("/sandbox/messages").json() == []
        assert (cached(house), drafts(house)) == ([], [])
    assert house.web.get(document).content == pdf
    assert house.web.get(document).headers["cache-status"] == "medialink; hit"
    sent = house.send(key="b.webp")
    assert (sent.status_code, sent.json()["verdict"]["outcome"]) == (202, "made")
    assert house.web.get(image).content == house.web.get(sent.json()["link"]).content


def test_many_who_ask_for_a_body_that_breaks_are_all_told(house: "House", s3: FaultyS3, pdf: bytes) -> None:
    s3.put("a.pdf", pdf)
    link = house.link("a.pdf", "document")
    forget(house)
    with s3.breaking(Fault.TRUNCATED), ThreadPoolExecutor(10) as threads:
        assert all(threads.map(lambda _: refused_or_cut(house, link), range(10)))
    assert house.web.get(link).content == pdf


def test_a_slow_store_makes_late_answers_and_right_ones(house: "House", s3: FaultyS3, pdf: bytes) -> None:
    s3.put("a.pdf", pdf)
    with s3.breaking(Fault.SLOW):
        link = house.link("a.pdf", "document")
        forget(house)
        assert house.web.get(link).content == pdf


def test_a_wait_has_a_limit_and_the_work_goes_on(build_over: Build, s3: FaultyS3, pdf: bytes) -> None:
    house = build_over(s3, wait_limit_s=0.3, store_read_timeout_s=30)
    s3.put("a.pdf", pdf)
    link = house.link("a.pdf", "document")
    forget(house)
    with s3.breaking(Fault.HELD):
        assert [refuses(house.web.get(link), "busy") for _ in range(2)] == [True, True]
        asked = [call for call in s3.calls if call.endswith("/a.pdf")]
        assert len(asked) == 1
        assert cached(house) == []
    while (answer := house.web.get(link)).status_code != 200:
        assert refuses(answer, "busy")
    assert answer.content == pdf


def test_a_store_that_never_answers_is_given_up(house: "House", s3: FaultyS3, pdf: bytes) -> None:
    s3.put("a.pdf", pdf)
    with s3.breaking(Fault.HELD), ThreadPoolExecutor() as threads:
        asked_ready = threads.submit(house.web.get, "/readyz")
        answer = house.api.post("/links", json={"kind": "document", "key": "a.pdf"})
        assert refuses(answer, "store_away")
        ready = asked_ready.result()
        assert (ready.status_code, ready.json()["cache"]) == (200, "ok")
        assert "does not answer" in ready.json()["store"]
        assert house.web.get("/healthz").status_code == 200
    assert house.web.get("/readyz").status_code == 200


def test_an_alias_outlives_the_credentials(
    house: "House", s3: FaultyS3, webp: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put("open/a.webp", webp)
    before = house.web.get("/image/open/a.webp").content
    monkeypatch.setattr("proxy.delivery.newest.FRESH_S", 0)
    with s3.breaking(Fault.FORBIDDEN):
        assert house.web.get("/image/open/a.webp").content == before
        assert s3.calls != []
        assert refuses(house.web.get("/image/open/b.jpg"), "store_away")


def test_one_object_that_may_not_be_read_is_not_missing(house: "House", s3: FaultyS3, pdf: bytes) -> None:
    s3.put("a.pdf", pdf)
    with s3.breaking(Fault.FORBIDDEN, only=f"GET /{s3.bucket}/a.pdf"):
        answer = house.api.post("/links", json={"kind": "document", "key": "a.pdf"})
        assert refuses(answer, "store_away")


@pytest.mark.parametrize("fault", [Fault.READ_ONLY, Fault.SLOW_DOWN])
def test_a_bucket_that_takes_no_writes_is_served_from_disk_and_health_says_so(
    house: "House", s3: FaultyS3, webp: bytes, fault: Fault
) -> None:
    s3.put("a.webp", webp)
    s3.put("b.webp", webp)
    with s3.breaking(fault, only="PUT"):
        link = house.link("a.webp")
        ready = house.web.get("/readyz")
        assert (ready.status_code, ready.json()["store"]) == (200, "ok")
        assert "refuses writes" in ready.json()["renditions"]
        s3.calls.clear()
        served = house.web.get(link)
        assert (served.status_code, served.headers["cache-status"]) == (200, "medialink; hit")
        assert s3.calls == []
    house.link("b.webp")
    assert "renditions" not in house.web.get("/readyz").json()


def test_what_is_replaced_between_head_and_get_is_minted_as_it_is_now(house: "House", s3: FaultyS3, pdf: bytes) -> None:
    s3.put("a.pdf", pdf)
    s3.before_get("a.pdf", lambda: s3.put("a.pdf", pdf + b"newer"))
    assert house.web.get(house.link("a.pdf", "document")).content == pdf + b"newer"


def test_what_is_replaced_whenever_it_is_looked_at_is_gone(house: "House", s3: FaultyS3, pdf: bytes) -> None:
    s3.put("a.pdf", pdf)
    for newer in (b"1", b"2"):
        s3.before_get("a.pdf", partial(s3.put, "a.pdf", pdf + newer))
    answer = house.api.post("/links", json={"kind": "document", "key": "a.pdf"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "source_replaced")
    assert cached(house) == []


def test_what_is_deleted_between_head_and_get_is_not_there(house: "House", s3: FaultyS3, pdf: bytes) -> None:
    for key in ("a.pdf", "open/a.pdf"):
        s3.put(key, pdf)
        s3.before_get(key, partial(s3.delete, key))
    answer = house.api.post("/links", json={"kind": "document", "key": "a.pdf"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    alias = house.web.get("/document/open/a.pdf")
    assert (alias.status_code, alias.json()["error"]["code"]) in {(404, "not_found"), (410, "source_replaced")}
    assert cached(house) == []


@pytest.mark.parametrize("versioned", [False, True], ids=["unversioned", "versioned"])
def test_a_link_gives_its_own_version_or_nothing(
    build_over: Build, open_faulty_s3: Callable[..., FaultyS3], pdf: bytes, *, versioned: bool
) -> None:
    s3 = open_faulty_s3(versioned=versioned)
    house = build_over(s3)
    keys = ("replaced.pdf", "deleted.pdf")
    for key in keys:
        s3.put(key, pdf)
    links = [house.link(key, "document") for key in keys]
    forget(house)
    s3.put("replaced.pdf", pdf[::-1])
    s3.delete("deleted.pdf")
    for answer in [house.web.get(link) for link in links]:
        if versioned:
            assert answer.content == pdf
        else:
            assert (answer.status_code, answer.json()["error"]["code"]) == (410, "source_replaced")
    assert len(cached(house)) == (2 if versioned else 0)


def test_an_alias_that_is_replaced_between_two_looks_shows_the_new_content(
    house: "House", s3: FaultyS3, pdf: bytes
) -> None:
    s3.put("open/a.pdf", pdf)
    s3.before_get("open/a.pdf", lambda: s3.put("open/a.pdf", pdf + b"newer"))
    assert house.web.get("/document/open/a.pdf").content == pdf + b"newer"


def test_an_alias_that_is_known_does_not_wait_for_a_store_that_hangs(
    house: "House", s3: FaultyS3, webp: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look is begun, and nobody waits for its end: the store answers only when the fault is over."""
    s3.put("open/a.webp", webp)
    before = house.web.get("/image/open/a.webp").content
    monkeypatch.setattr("proxy.delivery.newest.FRESH_S", 0)
    with s3.breaking(Fault.HELD):
        assert house.web.get("/image/open/a.webp").content == before
        assert len(s3.calls) == 1
