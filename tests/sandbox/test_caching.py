from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.sandbox.conftest import Origin, Sandbox

OLD = b"\xff\xd8\xffold"
NEW = b"\xff\xd8\xffnew"
MONDAY, TUESDAY = "Mon, 06 Nov 2023 10:00:00 GMT", "Tue, 07 Nov 2023 10:00:00 GMT"


def send_twice(sandbox: Sandbox, link: str, after_s: float) -> tuple[int, list[str]]:
    """Send a link, wait, send it again; tell how often its origin was asked, and how each use went."""
    sandbox.deliver(link)
    sandbox.clock.now_s += after_s
    sandbox.deliver(link)
    seen = sandbox.seen(link)
    return seen["count"], [use["cache"] for use in seen["fetches"]]


@pytest.mark.parametrize(
    ("after_s", "uses"),
    [(0, ["miss", "hit"]), (599, ["miss", "hit"]), (600, ["miss", "miss"])],
)
def test_fixed_keeps_ten_minutes_whatever_the_headers(
    sandbox: Sandbox, origin: Origin, after_s: float, uses: list[str]
) -> None:
    link = origin.give(headers={"cache-control": "no-store, max-age=1"})
    assert send_twice(sandbox, link, after_s) == (uses.count("miss"), uses)
    assert len(origin.requests) == uses.count("miss")


def test_the_key_is_the_exact_link(sandbox: Sandbox, origin: Origin) -> None:
    link = origin.give()
    for variant in (link, f"{link}?v=1", f"{link}?v=2", link):
        sandbox.deliver(variant)
    assert [str(request.url).removeprefix(link) for request in origin.requests] == ["", "?v=1", "?v=2"]


def test_a_hit_shows_what_is_kept_and_delivers_the_old_bytes(sandbox: Sandbox, origin: Origin) -> None:
    link = origin.give(body=OLD)
    sandbox.deliver(link)
    origin.give(body=NEW)
    assert [status["status"] for status in sandbox.deliver(link)["statuses"]] == ["sent", "delivered"]
    hit = sandbox.seen(link)["fetches"][1]
    assert hit["sha256"] == hashlib.sha256(OLD).hexdigest()
    assert (hit["request_headers"], hit["status"], hit["ms"], sandbox.seen(link)["hits"]) == ({}, 200, 0, 1)


def test_a_failure_is_not_kept(sandbox: Sandbox, origin: Origin) -> None:
    link = origin.give(status=404)
    assert sandbox.deliver(link)["statuses"][0]["status"] == "failed"
    origin.give()
    assert sandbox.deliver(link)["statuses"][-1]["status"] == "delivered"


def test_what_is_kept_is_judged_anew_for_another_kind(sandbox: Sandbox, origin: Origin) -> None:
    link = origin.give("/a.txt", body=b"text", content_type="text/plain")
    sandbox.deliver(link, "document")
    assert "Unsupported Image mime type" in sandbox.deliver(link, "image")["statuses"][0]["details"]
    assert sandbox.seen(link)["count"] == 1


def test_those_who_send_one_link_at_once_share_one_fetch(sandbox: Sandbox, origin: Origin) -> None:
    link = origin.give()
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(sandbox.deliver, [link] * 8))
    assert {message["statuses"][-1]["status"] for message in told} == {"delivered"}
    assert (sandbox.seen(link)["count"], sandbox.seen(link)["hits"], len(origin.requests)) == (1, 7, 1)


@pytest.mark.parametrize(
    ("headers", "after_s", "uses"),
    [
        pytest.param({"cache-control": "max-age=60"}, 59, ["miss", "hit"], id="max-age fresh"),
        pytest.param({"cache-control": "max-age=60"}, 60, ["miss", "miss"], id="max-age over"),
        pytest.param(
            {"cache-control": "public, Max-Age=604800"}, 604_799, ["miss", "hit"], id="a week, spelt otherwise"
        ),
        pytest.param({"cache-control": "max-age=0"}, 0, ["miss", "miss"], id="max-age 0"),
        pytest.param({"cache-control": "max-age=soon"}, 0, ["miss", "miss"], id="max-age is a word"),
        pytest.param({"cache-control": "s-maxage=60"}, 0, ["miss", "miss"], id="s-maxage only"),
        pytest.param({"cache-control": "no-store, max-age=60"}, 0, ["miss", "miss"], id="no-store"),
        pytest.param({"cache-control": "private, max-age=60"}, 0, ["miss", "miss"], id="private"),
        pytest.param({"cache-control": "no-cache"}, 0, ["miss", "miss"], id="no-cache without a date"),
        pytest.param(
            {"cache-control": "no-cache, max-age=60", "last-modified": MONDAY},
            0,
            ["miss", "revalidated"],
            id="no-cache",
        ),
        pytest.param(
            {"cache-control": "no-cache", "last-modified": "möndäy"},
            0,
            ["miss", "miss"],
            id="no-cache with half a date",
        ),
        pytest.param({"last-modified": MONDAY}, 0, ["miss", "miss"], id="a date only"),
        pytest.param({"etag": '"v1"'}, 0, ["miss", "miss"], id="an ETag only"),
        pytest.param({}, 0, ["miss", "miss"], id="none of the three"),
    ],
)
def test_headers_decide_in_the_older_regime(
    sandbox: Sandbox, origin: Origin, headers: dict[str, str], after_s: float, uses: list[str]
) -> None:
    sandbox.http.put("/sandbox/caching", json={"caching": "headers"})
    link = origin.give(headers=headers)
    assert send_twice(sandbox, link, after_s) == (2 - uses.count("hit"), uses)


@pytest.mark.parametrize(
    ("status", "modified", "delivered"),
    [
        pytest.param(304, MONDAY, OLD, id="304"),
        pytest.param(200, MONDAY, OLD, id="whole answer of the same date"),
        pytest.param(200, TUESDAY, NEW, id="whole answer of another date"),
        pytest.param(200, None, NEW, id="whole answer without a date"),
    ],
)
def test_no_cache_replaces_what_is_kept_only_if_the_date_differs(
    sandbox: Sandbox, origin: Origin, status: int, modified: str | None, delivered: bytes
) -> None:
    sandbox.http.put("/sandbox/caching", json={"caching": "headers"})
    link = origin.give(body=OLD, headers={"cache-control": "no-cache", "last-modified": MONDAY})
    sandbox.deliver(link)
    headers = {"cache-control": "no-cache"} | ({"last-modified": modified} if modified else {})
    origin.give(body=b"" if status == 304 else NEW, status=status, headers=headers)
    assert sandbox.deliver(link)["statuses"][-1]["status"] == "delivered"
    assert origin.requests[1].headers["if-modified-since"] == MONDAY
    assert sandbox.seen(link)["fetches"][1]["sha256"] == hashlib.sha256(delivered).hexdigest()


def test_no_cache_fails_when_the_origin_no_longer_has_it(sandbox: Sandbox, origin: Origin) -> None:
    sandbox.http.put("/sandbox/caching", json={"caching": "headers"})
    link = origin.give(headers={"cache-control": "no-cache", "last-modified": MONDAY})
    sandbox.deliver(link)
    origin.forget()
    assert "http code 404" in sandbox.deliver(link)["statuses"][0]["details"]
