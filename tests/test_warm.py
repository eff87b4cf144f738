"""Links that are fetched before anyone asks: through the CDN, whole, at a pace, and what is wrong is told."""

import json
import subprocess
import sys
from asyncio import run
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from threading import Lock
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from proxy.prepare import Faults, Names
from proxy.warm import MAX_PAUSE_S, PAUSES_S, Pace, Warm, Warmed, cached_by
from tests.conftest import Command, picture
from tests.s3_servers import ACCESS_KEY, SECRET_KEY

if TYPE_CHECKING:
    from tests.conftest import House

BODY = b"x" * 1000
JPEG = {"Content-Type": "image/jpeg"}
Answers = dict[str, list[tuple[int, dict[str, str]]]]


def settings_of(house: "House") -> dict[str, str]:
    """Give a command the settings of a running house, and a disk of its own."""
    settings = house.settings
    secret = settings.s3_secret_access_key
    given = {
        "STORE": settings.store,
        "PUBLIC_URL": house.url,
        "LINK_KEYS": "1:" + "a" * 43,
        "DECODE_SLOTS": "1",
        "S3_ENDPOINT_URL": settings.s3_endpoint_url,
        "S3_REGION": settings.s3_region,
        "S3_ACCESS_KEY_ID": settings.s3_access_key_id,
        "S3_SECRET_ACCESS_KEY": secret.get_secret_value() if secret else None,
    }
    return {name: value for name, value in given.items() if value is not None}


@pytest.fixture(params=["folder", "moto", "seaweedfs"])
def any_house(request: pytest.FixtureRequest, build: Callable[..., "House"], new_bucket: Callable[..., str]) -> "House":
    if request.param == "folder":
        return build()
    url = request.getfixturevalue(f"{request.param}_url")
    return build(
        store=f"s3://{new_bucket(url)}/own",
        s3_endpoint_url=url,
        s3_region="us-east-1",
        s3_access_key_id=ACCESS_KEY,
        s3_secret_access_key=SECRET_KEY,
    )


def test_the_links_of_a_prefix_are_fetched_from_the_service(any_house: "House", medialink: Command) -> None:
    light = picture(200, 150)
    for key, body in {"p/a.jpg": light, "p/b.webp": picture(300, 200, form="WEBP"), "p/c.jpg": b"<html>"}.items():
        any_house.put(key, body)
    done = medialink("warm", "--prefix", "p/", "--kind", "image", "--json", **settings_of(any_house))
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert (told["links"], told["right"], told["statuses"], told["whole"]) == (3, 2, {"200": 2}, True)
    assert told["wrong"]["type_refused"]["first"] == ["p/c.jpg"]
    assert told["caches"] == {"unsaid": 2}
    assert told["bytes"] > len(light)
    assert any_house.web.get(any_house.link("p/a.jpg")).headers["cache-status"] == "medialink; hit"


def test_links_come_from_a_file_or_from_standard_input(house: "House", medialink: Command, tmp_path: Path) -> None:
    house.put("a.jpg", picture(200, 150))
    link = house.link("a.jpg")
    (tmp_path / "links").write_text(f"{link}\n\n  {link}  \n")
    from_file = medialink("warm", "links", PUBLIC_URL=house.url)
    assert from_file.returncode == 0, from_file.stderr
    assert f"2 links through {house.url}" in from_file.stdout
    assert "2 fetches (2 x 200)" in from_file.stdout
    assert not (tmp_path / "data").exists()
    piped = subprocess.run(
        [sys.executable, "-m", "proxy", "warm", "-", "--json"],
        input=link,
        env={"PUBLIC_URL": house.url, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert json.loads(piped.stdout)["right"] == 1


@pytest.mark.parametrize(
    ("arguments", "settings", "says"),
    [
        pytest.param(("links",), {}, "PUBLIC_URL: must be set", id="no-public-url"),
        pytest.param((), {"PUBLIC_URL": "http://a"}, "FILE: give either a file of links, or", id="nothing"),
        pytest.param(
            ("links", "--prefix", "a", "--kind", "image"), {"PUBLIC_URL": "http://a"}, "FILE: give either", id="both"
        ),
        pytest.param(("--prefix", "a"), {"PUBLIC_URL": "http://a"}, "FILE: give either", id="no-kind"),
        pytest.param(("links",), {"PUBLIC_URL": "http://a"}, "FILE: links cannot be read (No such", id="no-file"),
        pytest.param(("/dev/null",), {"PUBLIC_URL": "http://a"}, "there is no link in /dev/null", id="empty"),
        pytest.param(
            ("--prefix", "a/", "--kind", "image"),
            {"PUBLIC_URL": "http://a"},
            "PREFIX: there is no key that begins with a/.",
            id="no-key",
        ),
    ],
)
def test_wrong_input_is_a_sentence_and_exit_2(
    medialink: Command, arguments: tuple[str, ...], settings: dict[str, str], says: str
) -> None:
    shown = medialink("warm", *arguments, **settings)
    assert shown.returncode == 2, shown.stderr
    assert says in shown.stderr
    assert "Traceback" not in shown.stderr


class Cdn:
    """Answers each path by its script, the last answer again and again, and counts who asks at once."""

    def __init__(self, url: str, seen: list[tuple[str, dict[str, str]]], most: Counter[str]) -> None:
        self.url, self.seen, self.most = url, seen, most


@pytest.fixture
def start_cdn(running: Callable[[TCPServer], str]) -> Callable[[Answers], Cdn]:
    def start(answers: Answers) -> Cdn:
        seen: list[tuple[str, dict[str, str]]] = []
        at_once: Counter[str] = Counter()
        lock = Lock()

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with lock:
                    at_once["now"] += 1
                    at_once["most"] = max(at_once["most"], at_once["now"])
                    seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                    script = answers[self.path]
                    status, headers = script.pop(0) if len(script) > 1 else script[0]
                self.send_response_only(status)
                for name, value in {"Content-Length": str(len(BODY)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(BODY)
                with lock:
                    at_once["now"] -= 1
                if headers.get("Content-Length"):
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the name is http.server's
                """Keep quiet."""

        return Cdn(running(ThreadingHTTPServer(("127.0.0.1", 0), Answer)), seen, at_once)

    return start


async def stream(links: list[str]) -> Names:
    for link in links:
        yield link


def warmed_by(url: str, links: list[str], **given: Any) -> tuple[Warmed, list[float]]:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async def as_it_is(link: str) -> str:
        return link

    async def work() -> Warmed:
        warmed = Warmed(faults=Faults(tell=lambda _: None))
        options: dict[str, Any] = {"at_once": 4, "pace": Pace(None), "to_url": as_it_is, "pause": pause}
        async with Warm(url, **options | given) as warm:
            await warm(stream(links), warmed)
        return warmed

    return run(work()), pauses


def test_hits_and_misses_are_told_apart(start_cdn: Callable[[Answers], Cdn]) -> None:
    cdn = start_cdn({"/m/a.jpg": [(200, JPEG | {"X-Cache": "MISS"}), (200, JPEG | {"X-Cache": "HIT"})]})
    warmed, _ = warmed_by(cdn.url, [f"{cdn.url}/m/a.jpg"] * 3, at_once=1)
    assert warmed.caches == {"miss": 1, "hit": 2}
    assert (warmed.right, warmed.body_bytes, sum(warmed.seconds)) == (3, 3 * len(BODY), 3)
    assert cdn.seen[0][1]["accept-encoding"] == "identity"
    assert "range" not in cdn.seen[0][1]


@pytest.mark.parametrize(
    ("status", "headers", "code", "says"),
    [
        (404, JPEG, "status_404", "HTTP 404"),
        (410, JPEG, "status_410", "HTTP 410"),
        (302, JPEG | {"Location": "/m/b.jpg"}, "status_302", "follows no redirect"),
        (206, JPEG, "status_206", "HTTP 206"),
        (200, {"Content-Type": "image/png"}, "wrong_type", "image/png"),
        (200, {"Content-Type": "text/html"}, "wrong_type", "text/html"),
        (200, {}, "wrong_type", "not said"),
    ],
)
def test_what_never_will_be_right_is_told_and_not_asked_again(
    start_cdn: Callable[[Answers], Cdn], status: int, headers: dict[str, str], code: str, says: str
) -> None:
    cdn = start_cdn({"/m/a.jpg": [(status, headers)], "/m/b.jpg": [(200, JPEG)]})
    warmed, pauses = warmed_by(cdn.url, [f"{cdn.url}/m/a.jpg"])
    ((told, reason),) = warmed.faults.lasting.items()
    assert (told, warmed.right, warmed.done, pauses) == (code, 0, 1, [])
    assert says in reason.message
    assert [path for path, _ in cdn.seen] == ["/m/a.jpg"]


def test_what_passes_is_asked_again_when_it_says_so(start_cdn: Callable[[Answers], Cdn]) -> None:
    busy = [(503, {"Retry-After": "3"}), (429, {"Retry-After": "9999"}), (200, JPEG)]
    cdn = start_cdn({"/m/a.jpg": list(busy), "/m/b.jpg": [(502, {})]})
    warmed, pauses = warmed_by(cdn.url, [f"{cdn.url}/m/a.jpg"])
    assert (warmed.right, pauses) == (1, [3.0, MAX_PAUSE_S])
    warmed, pauses = warmed_by(cdn.url, [f"{cdn.url}/m/b.jpg"])
    assert (warmed.faults.again["status_502"].count, pauses) == (1, list(PAUSES_S))


def test_a_body_that_breaks_off_is_no_success(start_cdn: Callable[[Answers], Cdn]) -> None:
    cdn = start_cdn({"/m/a.jpg": [(200, JPEG | {"Content-Length": "2000"})]})
    warmed, _ = warmed_by(cdn.url, [f"{cdn.url}/m/a.jpg"])
    assert warmed.right == 0
    assert warmed.faults.again["not_fetched"].first == [f"{cdn.url}/m/a.jpg"]


def test_nobody_at_public_url_is_told() -> None:
    warmed, pauses = warmed_by("http://127.0.0.1:9", ["http://127.0.0.1:9/m/a.jpg"])
    assert "ConnectError" in warmed.faults.again["not_fetched"].message
    assert pauses == list(PAUSES_S)


def test_only_links_through_public_url_are_fetched(start_cdn: Callable[[Answers], Cdn]) -> None:
    cdn = start_cdn({"/m/a.jpg": [(200, JPEG)]})
    links = ["https://example.com/m/a.jpg", f"{cdn.url}.example.com/m/a.jpg", "file:///etc/passwd", "a.jpg"]
    warmed, _ = warmed_by(cdn.url, links)
    assert warmed.faults.lasting["lies_elsewhere"].count == len(links)
    assert cdn.seen == []


def test_no_more_are_fetched_at_once_than_was_asked(start_cdn: Callable[[Answers], Cdn]) -> None:
    cdn = start_cdn({"/m/a.jpg": [(200, JPEG)]})
    warmed, _ = warmed_by(cdn.url, [f"{cdn.url}/m/a.jpg"] * 60, at_once=3)
    assert warmed.right == 60
    assert cdn.most["most"] <= 3


def test_the_pace_is_kept() -> None:
    now_s, begun = 0.0, []

    async def pause(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    async def work() -> None:
        pace = Pace(4, pause, lambda: now_s)
        for number in range(8):
            await pace.turn()
            begun.append(now_s)
            if number == 3:
                await pause(10)

    run(work())
    assert begun == [0, 0.25, 0.5, 0.75, 10.75, 11.0, 11.25, 11.5]


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({}, "unsaid"),
        ({"Cache-Status": "medialink; hit"}, "unsaid"),
        ({"Cache-Status": "medialink; hit, Edge; fwd=uri-miss; stored"}, "miss"),
        ({"Cache-Status": "medialink; fwd=miss; stored; detail=source, Shield; fwd=miss, Edge; hit; ttl=30"}, "hit"),
        ({"Cache-Status": "Edge; hit, medialink; hit"}, "hit"),
        ({"X-Cache": "Hit from cloudfront"}, "hit"),
        ({"X-Cache": "RefreshHit from cloudfront"}, "hit"),
        ({"X-Cache": "Miss from cloudfront", "Cache-Status": "medialink; hit"}, "miss"),
        ({"X-Cache": "MISS, HIT"}, "hit"),
        ({"X-Cache": "HIT, MISS"}, "miss"),
        ({"X-Cache": "TCP_MEM_HIT from a.akamai.net"}, "hit"),
        ({"X-Cache": "EXPIRED"}, "miss"),
        ({"X-Cache": "REVALIDATED"}, "hit"),
        ({"CF-Cache-Status": "DYNAMIC"}, "miss"),
        ({"CF-Cache-Status": "HIT"}, "hit"),
        ({"X-Cache": "NONE"}, "unsaid"),
    ],
    ids=str,
)
def test_caches_say_in_many_ways_whether_they_had_it(headers: dict[str, str], says: str) -> None:
    assert cached_by(httpx2.Headers(headers)) == says
