"""What a shared cache does with our headers: nginx keeps what they allow, for as long as they say, and no longer."""

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from proxy.delivery.newest import FRESH_S
from tests.cdn.conftest import Origin, ask_until
from tests.conftest import picture

ASKERS = 40
EXPIRES_IN_S = 3
WHOLE_SECOND_S = 1.0
"""nginx counts whole seconds, from the one in which the answer came."""

Cdn = Callable[[Origin], httpx2.Client]


def cache_control_in_the_readme(column: int) -> str:
    (row,) = re.findall(r"^\| `Cache-Control` \|.*$", Path("README.md").read_text(), re.MULTILINE)
    return str(row.split(" | ")[column].split("`")[1])


def fetch_together(cdn: httpx2.Client, path: str) -> list[httpx2.Response]:
    with ThreadPoolExecutor(ASKERS) as threads:
        return list(threads.map(lambda _: cdn.get(path), range(ASKERS)))


def expiring(origin: Origin, path: str, expires_at: int) -> str:
    return origin.links.mint(replace(origin.opened(path), expires_at=expires_at))


def test_the_origin_is_asked_once_for_a_link_however_many_fetch_it(
    origin: Origin, cdn: httpx2.Client, heavy_jpeg: bytes
) -> None:
    origin.put("a.jpg", heavy_jpeg)
    path = origin.link("a.jpg")
    answers = fetch_together(cdn, path)
    assert [answer.status_code for answer in answers] == [200] * ASKERS
    assert len({answer.content for answer in answers}) == 1
    assert {answer.headers["cache-control"] for answer in answers} == {cache_control_in_the_readme(1)}
    part = cdn.get(path, headers={"Range": "bytes=0-99"})
    assert (part.status_code, part.content) == (206, answers[0].content[:100])
    assert cdn.get(f"{path}?utm_source=x").content == answers[0].content
    assert cdn.head(path).headers["content-length"] == str(len(answers[0].content))
    assert origin.asked(path) == [200]


def test_who_has_a_link_already_gets_304_from_the_cache(origin: Origin, cdn: httpx2.Client, light_jpeg: bytes) -> None:
    origin.put("a.jpg", light_jpeg)
    path = origin.link("a.jpg")
    first = cdn.get(path)
    for condition in ({"If-None-Match": first.headers["etag"]}, {"If-Modified-Since": first.headers["last-modified"]}):
        assert cdn.get(path, headers=condition).status_code == 304
    assert origin.asked(path) == [200]


def test_the_cache_revalidates_what_has_not_changed_with_a_304(
    origin: Origin, cdn: httpx2.Client, light_jpeg: bytes
) -> None:
    origin.put("open/a.jpg", light_jpeg, "public, max-age=1")
    answers = ask_until(cdn, "/image/open/a.jpg", lambda answer: answer.headers["x-cache"] == "REVALIDATED")
    assert origin.asked("/image/open/a.jpg") == [200, 304]
    assert {answer.content for _, answer in answers} == {light_jpeg}


@pytest.mark.parametrize("origin_is_up", [True, False], ids=["the origin is up", "the origin is killed"])
def test_an_expiring_link_is_never_served_past_its_time(
    origin: Origin, cdn: httpx2.Client, light_jpeg: bytes, *, origin_is_up: bool
) -> None:
    origin.put("a.jpg", light_jpeg)
    forever = origin.link("a.jpg")
    expires_at = int(time.time()) + 1 + EXPIRES_IN_S
    path = expiring(origin, forever, expires_at)
    assert cdn.get(path).status_code == 200
    if not origin_is_up:
        origin.kill()
    answers = ask_until(cdn, path, lambda answer: answer.status_code != 200)
    served = [asked_at for asked_at, answer in answers if answer.status_code == 200]
    assert answers[-1][1].status_code == (410 if origin_is_up else 502)
    assert expires_at - WHOLE_SECOND_S - 1 < served[-1] < expires_at + WHOLE_SECOND_S
    assert origin.asked(path) == ([200, 410] if origin_is_up else [200])


@pytest.mark.parametrize("path_of", [Origin.link, lambda _, key: f"/image/{key}"], ids=["link", "alias"])
@pytest.mark.parametrize("sharing", ["private", "no-store"])
def test_what_is_private_or_not_to_be_stored_is_never_kept(
    build_origin: Callable[..., Origin],
    run_cdn: Cdn,
    light_jpeg: bytes,
    path_of: Callable[[Origin, str], str],
    sharing: str,
) -> None:
    origin = build_origin(prefix_rules=f"open/ruled/={sharing}")
    cdn = run_cdn(origin)
    for key, own in (("open/ruled/a.jpg", None), ("open/own/a.jpg", sharing)):
        origin.put(key, light_jpeg, own)
        path = path_of(origin, key)
        answers = [cdn.get(path) for _ in range(3)]
        assert {(answer.content, answer.headers["x-cache"]) for answer in answers} == {(light_jpeg, "MISS")}
        assert all(sharing in answer.headers["cache-control"] for answer in answers)
        assert origin.asked(path) == [200] * 3


def forged(origin: Origin, path: str) -> str:
    tag, token, name = path.split("/")[2:]
    assert origin.opened(path)
    return f"/m/{tag}/{token[:-2]}AA/{name}"


@pytest.mark.parametrize(
    ("status", "path_of"),
    [
        pytest.param(404, forged, id="forged link"),
        pytest.param(404, lambda *_: "/image/open/b.jpg", id="unknown key"),
        pytest.param(404, lambda *_: "/image/shut/a.jpg", id="closed key"),
        pytest.param(422, lambda *_: "/video/open/a.jpg", id="refused medium"),
        pytest.param(410, lambda origin, path: expiring(origin, path, int(time.time()) - 1), id="expired link"),
    ],
)
def test_errors_are_never_kept(
    origin: Origin, cdn: httpx2.Client, light_jpeg: bytes, status: int, path_of: Callable[[Origin, str], str]
) -> None:
    origin.put("open/a.jpg", light_jpeg)
    path = path_of(origin, origin.link("open/a.jpg"))
    assert [cdn.get(path).status_code for _ in range(3)] == [status] * 3
    assert origin.asked(path) == [status] * 3


def test_a_medium_that_was_not_there_is_served_as_soon_as_it_is(
    origin: Origin, cdn: httpx2.Client, light_jpeg: bytes
) -> None:
    assert cdn.get("/image/open/a.jpg").status_code == 404
    origin.put("open/a.jpg", light_jpeg)
    answers = ask_until(cdn, "/image/open/a.jpg", lambda answer: answer.status_code == 200)
    assert answers[-1][0] - answers[0][0] < FRESH_S + WHOLE_SECOND_S


def test_an_alias_is_kept_for_the_time_that_it_says(origin: Origin, cdn: httpx2.Client, light_jpeg: bytes) -> None:
    origin.put("open/a.jpg", light_jpeg)
    answers = fetch_together(cdn, "/image/open/a.jpg")
    assert {answer.content for answer in answers} == {light_jpeg}
    assert {answer.headers["cache-control"] for answer in answers} == {cache_control_in_the_readme(2)}
    assert origin.asked("/image/open/a.jpg") == [200]


def test_a_replaced_object_is_seen_under_its_alias_once_its_time_is_over(
    origin: Origin, cdn: httpx2.Client, light_jpeg: bytes
) -> None:
    """The object says one second where an alias says sixty by itself; the look at the store adds its own two."""
    newer = picture(640, 480, seed=5)
    origin.put("open/a.jpg", light_jpeg, "public, max-age=1")
    assert cdn.get("/image/open/a.jpg").content == light_jpeg
    origin.put("open/a.jpg", newer, "public, max-age=1")
    replaced_at = time.time()
    answers = ask_until(cdn, "/image/open/a.jpg", lambda answer: answer.content != light_jpeg)
    assert answers[-1][1].content == newer
    still = max((asked_at for asked_at, answer in answers if answer.content == light_jpeg), default=replaced_at)
    assert still - replaced_at < 1 + FRESH_S + WHOLE_SECOND_S


def test_a_stale_alias_is_served_while_the_origin_is_killed_where_it_says_so(
    origin: Origin, cdn: httpx2.Client, light_jpeg: bytes
) -> None:
    origin.put("open/lasting.jpg", light_jpeg, "public, max-age=1, stale-if-error=60")
    origin.put("open/strict.jpg", light_jpeg, "public, max-age=1")
    origin.put("a.jpg", light_jpeg)
    link = origin.link("a.jpg")
    for path in ("/image/open/lasting.jpg", "/image/open/strict.jpg", link):
        assert cdn.get(path).status_code == 200
    origin.kill()
    stale = ask_until(cdn, "/image/open/lasting.jpg", lambda answer: answer.headers["x-cache"] == "STALE")
    assert {(answer.status_code, answer.content) for _, answer in stale} == {(200, light_jpeg)}
    strict = ask_until(cdn, "/image/open/strict.jpg", lambda answer: answer.status_code != 200)
    assert strict[-1][1].status_code == 502
    assert cdn.get(link).content == light_jpeg


def test_a_little_staleness_spares_the_visitor_the_wait_where_it_is_allowed(
    origin: Origin, cdn: httpx2.Client, light_jpeg: bytes
) -> None:
    newer = picture(640, 480, seed=6)
    told = "public, max-age=1, stale-while-revalidate=60"
    origin.put("open/a.jpg", light_jpeg, told)
    assert cdn.get("/image/open/a.jpg").content == light_jpeg
    origin.put("open/a.jpg", newer, told)
    answers = ask_until(cdn, "/image/open/a.jpg", lambda answer: answer.content == newer)
    assert "STALE" in {answer.headers["x-cache"] for _, answer in answers}
