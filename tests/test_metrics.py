"""What is counted is what happened, whichever process is asked; and the platform has a door of its own."""

import asyncio
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.app import create_app
from proxy.delivery.renditions import Origin
from proxy.errors import MedialinkError
from proxy.media.kinds import Kind
from proxy.messaging.outcomes import Outcome
from proxy.messaging.statuses import State
from proxy.servers import ThreadedServer, listen
from proxy.storage.store import Store
from proxy.telemetry import metrics
from tests.conftest import NO_TLS

if TYPE_CHECKING:
    from tests.conftest import House

Build = Callable[..., "House"]
Counts = dict[tuple[str, frozenset[str]], float]
PATIENCE_S = 60
POLL_S = 0.05
YEAR_2020 = 1_577_836_800
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc, and forks on Linux only")
LABELS = {
    "origin": {*metrics.ORIGINS},
    "turn": {*metrics.TURNS},
    "kind": {*metrics.KINDS},
    "result": {*metrics.RESULTS, *metrics.CALL_RESULTS, *metrics.FORWARDS},
    "code": {*metrics.codes()},
    "call": {*metrics.CALLS},
    "outcome": {*metrics.OUTCOMES},
    "status": {*metrics.STATES},
}


def counts(page: str) -> Counts:
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def counted(before: Counts, after: Counts, name: str, *labels: str) -> float:
    series = (f"medialink_{name}", frozenset(labels))
    return after[series] - before[series]


def test_the_values_of_labels_are_those_of_the_rooms() -> None:
    assert {*metrics.KINDS} == {*Kind}
    assert {*metrics.OPENED} == {*Origin}
    assert {*metrics.ORIGINS} == {*Origin, "memory", "link"}
    assert {*metrics.STATES} == {*State}
    assert {name.replace("_", "") for name in metrics.OUTCOMES} == {
        shape.__name__.lower() for shape in get_args(Outcome)
    }
    assert {*metrics.CALLS} == {name for name in vars(Store) if not name.startswith("_")} - {"close"}
    assert {"internal", "busy", "store_away", "too_heavy"} < {*metrics.codes()}
    assert len(metrics.codes()) == len({*metrics.codes()}) < len(every(MedialinkError))


def every(kind: type) -> set[type]:
    return {kind}.union(*map(every, kind.__subclasses__()))


def test_no_series_has_another_label_or_value(house: "House") -> None:
    house.send(key="nowhere.jpg")
    house.web.get("/m/a/b/c")
    families = list(text_string_to_metric_families(house.web.get("/metrics").text))
    assert len(families) > 10
    for family in families:
        assert re.fullmatch(r"medialink_[a-z_]+", family.name)
        assert family.documentation.endswith(".")
        assert family.type != "histogram" or family.name.endswith("_seconds")
        for sample in family.samples:
            assert family.type != "counter" or sample.name.endswith("_total")
            for label, value in sample.labels.items():
                assert label == "le" or value in LABELS[label], sample


def test_a_run_is_counted(house: "House", heavy_jpeg: bytes, light_jpeg: bytes) -> None:
    def page() -> Counts:
        return counts(house.web.get("/metrics").text)

    run = secrets.token_hex(4)
    house.put(heavy := f"{run}/heavy.jpg", heavy_jpeg)
    house.put(light := f"{run}/light.jpg", light_jpeg)
    house.put(f"{run}/no.html", b"<html></html>")
    for key in (light, heavy):
        os.utime(Path(house.settings.store.removeprefix("file://")) / key, (YEAR_2020, YEAR_2020))
    before = page()
    link = house.link(heavy)
    etag = house.web.get(link).headers["etag"]
    for _ in range(2):
        size = len(house.web.get(link).content)
    house.web.get(link, headers={"If-None-Match": etag})
    house.web.get(link, headers={"Range": "bytes=0-9"})
    assert house.api.post("/links", json={"kind": "document", "key": f"{run}/no.html"}).status_code == 422
    sent = house.send(key=light)
    house.story(sent.json()["provider_message_id"])
    after = page()
    assert counted(before, after, "renditions_total", "image", "made") == 1
    assert counted(before, after, "renditions_total", "image", "as_is") == 1
    assert counted(before, after, "renditions_total", "document", "refused") == 1
    assert counted(before, after, "rendition_saved_bytes_total", "image") == len(heavy_jpeg) - size
    assert counted(before, after, "refusals_total", "type_refused") == 1
    assert counted(before, after, "media_answers_total", "memory") >= 3
    assert counted(before, after, "media_answers_total", "disk") >= 2
    assert counted(before, after, "media_open_seconds_count", "disk") >= 2
    assert counted(before, after, "rendition_fetches_total", "first") == 2, "the link's, and WhatsApp's own"
    assert counted(before, after, "rendition_fetches_total", "second") == 1
    assert counted(before, after, "rendition_fetches_total", "third_to_ninth") == 1
    assert counted(before, after, "store_calls_total", "find", "ok") == 3
    assert counted(before, after, "store_calls_total", "fetch", "absent") == 3
    assert counted(before, after, "store_call_seconds_count", "find") == 3
    assert counted(before, after, "making_seconds_count", "image") == 2
    assert counted(before, after, "sends_total", "accepted") == 1
    assert counted(before, after, "send_seconds_count") == 1
    assert counted(before, after, "statuses_total", "delivered") == 1
    assert after["medialink_makings", frozenset()] == 0
    assert after["medialink_making_places", frozenset()] == house.settings.decode_slots + house.settings.decode_queue


def test_a_link_that_is_still_fresh_is_counted_as_such(house: "House", light_jpeg: bytes) -> None:
    house.put("a.jpg", light_jpeg)
    link = house.link("a.jpg")
    etag = house.web.get(link, headers={"Range": "bytes=0-0"}).headers["etag"]
    before = counts(house.web.get("/metrics").text)
    assert house.web.get(link, headers={"If-None-Match": etag}).status_code == 304
    assert counted(before, counts(house.web.get("/metrics").text), "media_answers_total", "link") == 1


def test_renditions_that_are_known_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MAX_KNOWN", 2)
    before = counts(metrics.exposition().decode())
    fetches = metrics.Fetches()
    for rendition in ("a1", "a2", "a3", "a1", *["a3"] * 12):
        fetches.fetched(rendition, "disk")
    fetches.hand_over()
    after = counts(metrics.exposition().decode())
    turns = [counted(before, after, "rendition_fetches_total", turn) for turn in metrics.TURNS]
    assert turns == [4, 1, 7, 4]


def test_what_is_counted_is_handed_over_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "HAND_OVER_S", 0.01)

    def seen() -> float | None:
        return metrics.REGISTRY.get_sample_value("medialink_media_answers_total", {"origin": "disk"})

    async def work() -> None:
        before = seen()
        async with asyncio.timeout(PATIENCE_S), metrics.handed_over():
            metrics.answered("disk")
            while seen() == before:  # noqa: ASYNC110 - a counter has no event to wait for
                await asyncio.sleep(0.01)

    asyncio.run(work())


def test_the_platform_has_a_port_of_its_own(build: Build) -> None:
    house = build()
    with listen("127.0.0.1", 0) as platform:
        own = f"http://127.0.0.1:{platform.getsockname()[1]}"
        settings = house.settings.model_copy(update={"ledger_url": ""})
        with ThreadedServer(create_app(settings, "delivery", platform)) as public:
            for path in ("/healthz", "/readyz", "/metrics"):
                answer = httpx2.get(own + path, trust_env=False, verify=NO_TLS, timeout=PATIENCE_S)
                assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
                assert answer.headers["x-request-id"]
                assert (
                    httpx2.get(public.url + path, trust_env=False, verify=NO_TLS, timeout=PATIENCE_S).status_code == 404
                )
            assert httpx2.get(own + "/m/a/b/c", trust_env=False, verify=NO_TLS, timeout=PATIENCE_S).status_code == 404
            assert (
                len(
                    httpx2.get(own + "/metrics", trust_env=False, verify=NO_TLS, timeout=PATIENCE_S)
                    .headers["content-type"]
                    .split(";")
                )
                > 1
            )
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(own + "/healthz", trust_env=False, verify=NO_TLS, timeout=PATIENCE_S)


def test_a_store_that_is_away_takes_no_node_out(build: Build, tmp_path: Path) -> None:
    (tmp_path / "known").mkdir()
    (tmp_path / "known" / "takedowns.json").write_text("[]")
    nowhere = {"store": "s3://bucket", "s3_endpoint_url": "http://127.0.0.1:9", "s3_region": "x"}
    away = build(s3_access_key_id="a", s3_secret_access_key="b", data_dir=tmp_path / "known", **nowhere)
    ready = away.web.get("/readyz")
    assert ready.status_code == 200
    assert "does not answer" in ready.json()["store"]
    assert "since the start" in ready.json()["takedowns"]
    drafts = away.settings.data_dir / "cache" / "drafts"
    drafts.rmdir()
    drafts.touch()
    ready = away.web.get("/readyz")
    assert ready.status_code == 503
    assert "CACHE_DIR" in ready.json()["cache"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


@contextmanager
def served(data_dir: Path, *arguments: str, **settings: str) -> Iterator[tuple[subprocess.Popen[bytes], str, str]]:
    """Serve with two workers; gives the process, its public address and the platform's."""
    ports = {"LISTEN_PORT": str(free_port()), "METRICS_PORT": str(free_port())}
    environment = os.environ | {"DATA_DIR": str(data_dir)} | ports | settings
    command = [sys.executable, "-m", "proxy", "serve", "--only", "delivery", "--workers", "2", *arguments]
    with subprocess.Popen(command, env=environment) as server:  # noqa: S603 - our own program
        try:
            public, platform = (f"http://127.0.0.1:{port}" for port in ports.values())
            until = time.monotonic() + PATIENCE_S
            while not answers(f"{platform}/healthz"):
                assert time.monotonic() < until
                with suppress(subprocess.TimeoutExpired):
                    assert server.wait(POLL_S) is None
            yield server, public, platform
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(PATIENCE_S) in {0, -signal.SIGTERM}


def answers(url: str) -> bool:
    try:
        return httpx2.get(url, trust_env=False, verify=NO_TLS, timeout=PATIENCE_S).is_success
    except httpx2.TransportError:
        return False


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def not_found(platform: str) -> float:
    page = counts(httpx2.get(f"{platform}/metrics", trust_env=False, verify=NO_TLS, timeout=PATIENCE_S).text)
    return page["medialink_refusals_total", frozenset({"not_found"})]


@LINUX
def test_whoever_is_asked_answers_for_all_and_the_dead_are_remembered(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with served(tmp_path / "data", TMPDIR=str(scratch), DECODE_SLOTS="1", DECODE_QUEUE="4") as (
        server,
        public,
        platform,
    ):
        until = time.monotonic() + PATIENCE_S
        places = ("medialink_making_places", frozenset[str]())
        while (
            counts(httpx2.get(f"{platform}/metrics", trust_env=False, verify=NO_TLS, timeout=PATIENCE_S).text).get(
                places
            )
            != 10
        ):
            assert time.monotonic() < until, "each of two has five places"
        for _ in range(30):  # a connection each, so that both workers get some
            assert (
                httpx2.get(f"{public}/m/a/b/c", trust_env=False, verify=NO_TLS, timeout=PATIENCE_S).status_code == 404
            )
        assert {not_found(platform) for _ in range(10)} == {30}
        victim = children_of(server.pid)[0]
        os.kill(victim, signal.SIGKILL)
        until = time.monotonic() + PATIENCE_S
        while victim in (children := children_of(server.pid)) or len(children) < 2:
            assert time.monotonic() < until
        while (
            counts(httpx2.get(f"{platform}/metrics", trust_env=False, verify=NO_TLS, timeout=PATIENCE_S).text)[places]
            != 10
        ):
            assert time.monotonic() < until
        assert not_found(platform) == 30
        assert not list(scratch.glob(f"medialink-metrics-*/gauge_*_{victim}.db"))
        assert list(scratch.glob("medialink-metrics-*/counter_*.db"))
    assert not list(scratch.glob("medialink-metrics-*"))


@LINUX
def test_hits_of_every_process_are_there_within_seconds(house: "House", light_jpeg: bytes, tmp_path: Path) -> None:
    house.put("a.jpg", light_jpeg)
    path = house.link("a.jpg").removeprefix(house.url)
    shared = {"STORE": house.settings.store, "LINK_KEYS": "1:" + "a" * 43}
    with served(tmp_path / "data", **shared) as (_, public, platform):
        for _ in range(30):
            assert httpx2.get(public + path, trust_env=False, verify=NO_TLS, timeout=PATIENCE_S).content == light_jpeg
        until = time.monotonic() + PATIENCE_S
        while True:
            page = counts(httpx2.get(f"{platform}/metrics", trust_env=False, verify=NO_TLS, timeout=PATIENCE_S).text)
            seen = sum(page["medialink_media_answers_total", frozenset({origin})] for origin in metrics.ORIGINS)
            if seen == 30:
                break
            assert seen < 30
            assert time.monotonic() < until


def medialink(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "proxy", *arguments],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@LINUX
def test_health_asks_the_port_of_the_platform(tmp_path: Path) -> None:
    with served(tmp_path / "data") as (_, public, platform):
        port = platform.rpartition(":")[2]
        asked = medialink("health", "--json", METRICS_PORT=port, LISTEN_PORT=public.rpartition(":")[2])
        assert (asked.returncode, json.loads(asked.stdout)["cache"]) == (0, "ok")
        assert medialink("health", METRICS_PORT=port, METRICS_HOST="127.0.0.9").returncode == 3


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_that_is_taken_is_a_sentence(tmp_path: Path, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = str(held.getsockname()[1])
        shown = medialink("serve", "--workers", workers, METRICS_PORT=port, DATA_DIR=str(tmp_path))
    assert shown.returncode == 2
    assert f"METRICS_PORT: 127.0.0.1 port {port} cannot be listened on" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_a_port_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    shown = medialink("serve", METRICS_PORT="70000", DATA_DIR=str(tmp_path))
    assert shown.returncode == 2
    assert "METRICS_PORT: Input should be less than or equal to 65535" in shown.stderr


def test_who_decodes_counts_nothing_and_carries_nothing_for_it() -> None:
    code = "import sys, proxy.media.checker, proxy.media.workers; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603 - our own program


def test_the_dashboard_asks_for_what_is_there() -> None:
    board = json.loads(Path("operations/grafana.json").read_text())
    names = {
        sample.name
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len({panel["title"] for panel in panels}) == len(panels) >= 8
    used = set()
    for panel in panels:
        assert panel["description"].endswith((".", "?"))
        for target in panel["targets"]:
            asked = set(re.findall(r"medialink_\w+", target["expr"]))
            assert asked, panel["title"]
            used |= asked
            for label, value in re.findall(r"(\w+)=~?\"([^\"$]+)\"", target["expr"]):
                assert set(value.split("|")) <= LABELS[label], target["expr"]
    assert used <= names
    families = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in names}
    shown = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in used}
    assert shown == families, "what is counted and never shown is counted for nobody"


def test_an_image_that_asks_every_half_minute_imports_next_to_nothing() -> None:
    code = """
import sys
from proxy.__main__ import main
sys.argv = ["medialink", "health"]
try:
    main()
except SystemExit as end:
    heavy = {"pydantic", "typer", "rich", "httpx2", "structlog", "starlette"} & set(sys.modules)
    sys.exit(f"imported {heavy}" if heavy else end.code)
"""
    asked = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", code],
        env=os.environ | {"METRICS_PORT": "9"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (asked.returncode, asked.stderr) == (3, "")
    assert "http://127.0.0.1:9 does not answer" in asked.stdout
