"""Spans as a collector gets them: over real sockets, of a service that runs as it is run, and with nothing secret."""

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, TypeVar

import httpx2
import pytest
import structlog
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from proxy.telemetry.otel import INSTALL, are_wanted, find_mistakes
from proxy.telemetry.redaction import HIDDEN, Redaction
from proxy.telemetry.redaction import NUMBER as MASKED
from proxy.telemetry.traces import FLUSH_LIMIT_S, PAUSE_S, Complaints
from tests.conftest import API_KEY, NO_TLS, NUMBER, TOKEN, WEBHOOK_SECRET
from tests.s3_servers import free_ports

if TYPE_CHECKING:
    from tests.conftest import House

T = TypeVar("T")

PATIENCE_S = 60
HALF_OF_ITS_TIMEOUT_S = 5
"""The exporter waits 10 s for an answer."""
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the workers")
LINK = "/m/{tag}/{token}/{name}"
DIGITS = re.sub(r"\D", "", NUMBER)
KEY = "customer-4711/passport-scan.jpg"
COLLECTOR_SECRET = "secret-of-the-collector"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
GATEWAY = {"Authorization": f"Bearer {TOKEN}"}
PROBES = {"/healthz", "/readyz", "/metrics"}
TOLD = {
    "db.system.name": r"sqlite",
    "error.type": r"[a-z_]+|[A-Z][A-Za-z]+|5\d\d",
    "http.request.method": r"[A-Z]+",
    "http.response.status_code": r"\d{3}",
    "http.route": r"/[a-z]+|/m/\{tag\}/\{token\}/\{name\}|/[a-z]+/\{key:path\}",
    "medialink.bytes": r"\d+",
    "medialink.cache": r"hit|miss",
    "medialink.cache.detail": r"rendition|source",
    "medialink.error.code": r"[a-z_]+",
    "medialink.kind": r"image|document",
    "medialink.outcome": r"[a-z_]+",
    "medialink.provider.code": r"\d+",
    "medialink.request_id": r"[0-9a-f]{24}",
    "medialink.result": r"as_is|made|refused",
    "medialink.store.first": r"True|False",
    "medialink.store.object": r"own|source",
    "medialink.store.operation": r"[a-z_]+",
    "url.scheme": r"http",
}
"""All that a span may say, and how."""


@dataclass(frozen=True, kw_only=True)
class Span:
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    failed: bool
    began: int
    ended: int
    attributes: dict[str, Any]
    resource: dict[str, Any]


def values_of(attributes: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


def spans_in(body: bytes) -> Iterator[Span]:
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in group.scope_spans:
            for span in scope.spans:
                assert not span.events, "an event of an exception carries its text"
                assert not span.status.message
                yield Span(
                    name=span.name,
                    kind=type(span).SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    failed=span.status.code == span.status.STATUS_CODE_ERROR,
                    began=span.start_time_unix_nano,
                    ended=span.end_time_unix_nano,
                    attributes=values_of(span.attributes),
                    resource=values_of(group.resource.attributes),
                )


@dataclass
class World:
    """A collector and a provider at one port: what each was sent, and how the collector answers."""

    exports: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    posts: list[dict[str, str]] = field(default_factory=list)
    answer: int = 200
    awake: Event = field(default_factory=Event)
    url: str = ""

    @property
    def spans(self) -> list[Span]:
        return [span for body in tuple(self.exports) for span in spans_in(body)]

    def of(self, response: httpx2.Response) -> list[Span]:
        """Wait until the span of a request has come, and give all of its trace."""
        own = response.headers["x-request-id"]

        def found() -> list[Span]:
            spans = self.spans
            traces = {span.trace for span in spans if span.attributes.get("medialink.request_id") == own}
            return [span for span in spans if span.trace in traces]

        return wait_for(found)

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        if path == "/messages":
            self.posts.append(headers)
            return 200, json.dumps({"messages": [{"id": f"wamid.{DIGITS}"}]}).encode()
        assert path == "/v1/traces"
        self.awake.wait(PATIENCE_S)
        self.headers.append(headers)
        self.exports.append(body)
        return self.answer, b""


def wait_for(condition: Callable[[], T]) -> T:
    until = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    world.awake.set()

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            given = {name.lower(): value for name, value in self.headers.items()}
            status, answer = world.take(self.path, given, body)
            with suppress(BrokenPipeError, ConnectionResetError):
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        world.url = f"http://127.0.0.1:{server.server_address[1]}"
        Thread(target=server.serve_forever, daemon=True).start()
        yield world
        world.awake.set()
        server.shutdown()


@dataclass(frozen=True, kw_only=True)
class Served:
    process: subprocess.Popen[bytes]
    web: httpx2.Client
    log: Path

    def end(self) -> float:
        """End it as platforms do; gives the seconds that it took."""
        began_s = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE_S) in {0, -signal.SIGTERM}
        return time.monotonic() - began_s

    def said(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == event]


Serve = Callable[..., Any]


def environment_of(house: "House", folder: Path, **given: str) -> dict[str, str]:
    """Give the house's store and keys, a cache of its own, and what OpenTelemetry is told."""
    settings = house.settings
    assert settings.link_keys is not None
    own = {
        "DATA_DIR": str(folder / "served"),
        "STORE": settings.store,
        "LINK_KEYS": settings.link_keys.get_secret_value(),
        "GATEWAY_KEYS": settings.gateway_keys.get_secret_value() if settings.gateway_keys else "",
        "WEBHOOK_SECRET": WEBHOOK_SECRET,
        "D360_API_KEY": API_KEY,
        "PROVIDER_URL": "http://127.0.0.1:9",
        "DECODE_SLOTS": "1",
        "ALIAS_PREFIXES": "customer-4711/",
        "LOG_FORMAT": "json",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    return os.environ | own | given


@pytest.fixture
def serve(house: "House", world: World, tmp_path: Path) -> Serve:
    @contextmanager
    def run(workers: int = 1, **given: str) -> Iterator[Served]:
        (port,) = free_ports(1)
        url = f"http://127.0.0.1:{port}"
        told = {"LISTEN_PORT": str(port), "PUBLIC_URL": url, "PROVIDER_URL": world.url}
        told |= {"OTEL_EXPORTER_OTLP_ENDPOINT": world.url} | given
        log = tmp_path / "log"
        command = [sys.executable, "-m", "proxy", "serve", "--workers", str(workers)]
        with (
            log.open("wb") as stderr,
            httpx2.Client(base_url=url, timeout=PATIENCE_S, trust_env=False, verify=NO_TLS) as web,
            subprocess.Popen(command, env=environment_of(house, tmp_path, **told), stderr=stderr) as process,  # noqa: S603 - ours
        ):
            try:
                wait_for(lambda: process.poll() is not None or is_alive(web))
                assert process.poll() is None, log.read_text()
                yield Served(process=process, web=web, log=log)
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
                    process.wait(PATIENCE_S)
                assert "Traceback" not in log.read_text()
            finally:
                process.kill()

    return run


def is_alive(web: httpx2.Client) -> bool:
    try:
        return web.get("/healthz").is_success
    except httpx2.TransportError:
        return False


def cold_link(house: "House", key: str, body: bytes) -> str:
    """Make a link whose rendition is nowhere any more."""
    house.put(key, body)
    link = house.link(key).removeprefix(house.url)
    for kept in Path(house.settings.store.removeprefix("file://")).glob(".medialink/renditions/*"):
        kept.unlink()
    return link


def ask_anew(served: Served) -> str:
    """Ask over a connection of its own; gives the request's id."""
    with httpx2.Client(base_url=served.web.base_url, timeout=PATIENCE_S, trust_env=False, verify=NO_TLS) as web:
        return str(web.get("/m/a/b/c").headers["x-request-id"])


def each_alone(served: Served) -> Iterator[int]:
    """Let one worker after the other be the only one that takes connections."""
    own = served.process.pid
    children = Path(f"/proc/{own}/task/{own}/children")
    workers = [int(child) for child in children.read_text().split()] if children.exists() else []
    workers = workers or [own]
    for worker in workers:
        for other in workers:
            os.kill(other, signal.SIGCONT if other == worker else signal.SIGSTOP)
        yield worker
    for worker in workers:
        os.kill(worker, signal.SIGCONT)


def only(spans: list[Span], name: str) -> Span:
    (found,) = [span for span in spans if span.name == name]
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_a_miss_shows_its_steps_and_a_hit_is_one_span(
    house: "House", serve: Serve, world: World, heavy_jpeg: bytes, workers: int
) -> None:
    link = cold_link(house, KEY, heavy_jpeg)
    with serve(workers) as served:
        missed = served.web.get(link)
        spans = world.of(missed)
        hits = [world.of(served.web.get(link)) for _ in range(3)]
    server = only(spans, f"GET {LINK}")
    assert (server.kind, server.parent, server.failed) == ("SERVER", "", False)
    assert server.attributes == {
        "http.request.method": "GET",
        "http.route": LINK,
        "http.response.status_code": 200,
        "medialink.cache": "miss",
        "medialink.cache.detail": "source",
        "medialink.request_id": missed.headers["x-request-id"],
        "url.scheme": "http",
    }
    steps = sorted((span for span in spans if span.parent == server.id), key=lambda span: span.began)
    assert [span.name for span in steps] == ["store fetch", "store fetch", "make", "store put_new"]
    looked, fetched, made, kept = steps
    assert looked.attributes["medialink.error.code"] == "not_found"
    assert looked.attributes["medialink.store.object"] == "own"
    assert not looked.failed
    assert fetched.attributes["medialink.bytes"] == len(heavy_jpeg)
    assert made.attributes == {
        "medialink.kind": "image",
        "medialink.result": "made",
        "medialink.bytes": len(missed.content),
    }
    assert kept.attributes["medialink.store.first"] is True
    decoded = only(spans, "decode")
    assert decoded.parent == made.id
    assert {span.kind for span in (*steps, decoded)} == {"INTERNAL"}
    assert server.began <= looked.began < looked.ended <= fetched.began < fetched.ended <= made.began
    assert made.began <= decoded.began < decoded.ended <= made.ended <= kept.began < kept.ended <= server.ended
    for (hit,) in hits:
        assert (hit.name, hit.attributes["medialink.cache"], hit.parent) == (f"GET {LINK}", "hit", "")
    assert len({hit.trace for (hit,) in hits} | {server.trace}) == 4


def test_a_send_shows_the_provider_and_the_ledger_and_tells_the_provider_nothing(
    house: "House", serve: Serve, world: World, light_jpeg: bytes
) -> None:
    house.put(KEY, light_jpeg)
    with serve() as served:
        message = {"to": NUMBER, "kind": "image", "key": KEY, "caption": f"for {NUMBER}"}
        sent = served.web.post("/messages", json=message, headers=GATEWAY | TRACEPARENT)
        assert sent.status_code == 202
        spans = world.of(sent)
        status = {"id": f"wamid.{DIGITS}", "status": "delivered", "recipient_id": DIGITS, "timestamp": "1700000000"}
        told = {"entry": [{"changes": [{"value": {"statuses": [status]}}]}]}
        received = served.web.post("/webhooks", json=told, headers={"X-Webhook-Secret": WEBHOOK_SECRET} | TRACEPARENT)
        webhook = world.of(received)
    server = only(spans, "POST /messages")
    assert (server.trace, server.parent) == (TRACE, PARENT), "who has a gateway key goes on with a trace of his own"
    steps = sorted((span for span in spans if span.parent == server.id), key=lambda span: span.began)
    names = [span.name for span in steps]
    assert names[0] == "store find"
    assert names[-3:] == ["ledger begin", "provider post", "ledger finish"]
    posted = only(spans, "provider post")
    assert (posted.kind, posted.attributes["medialink.outcome"]) == ("CLIENT", "accepted")
    assert only(webhook, "POST /webhooks").parent == ""
    assert only(webhook, "ledger record").parent == only(webhook, "POST /webhooks").id
    assert len(world.posts) == 1
    assert {"traceparent", "tracestate", "baggage", "b3"}.isdisjoint(world.posts[0])


def test_nothing_secret_is_exported(house: "House", serve: Serve, world: World, heavy_jpeg: bytes) -> None:
    link = cold_link(house, KEY, heavy_jpeg)
    house.put("customer-4711/page.html", b"<html></html>")
    _, _, tag, token, name = link.split("/")
    with serve() as served:
        web = served.web
        asked = [
            web.get(link),
            web.get(link),
            web.head(link),
            web.get(link, headers={"Range": "bytes=0-9"}),
            web.get(f"{link[:-5]}x.jpg"),
            web.get(f"/image/{KEY}"),
            web.get("/image/customer-4711/nowhere.jpg"),
            web.get("/document/customer-4711/page.html"),
            web.get(f"/{DIGITS}?key={KEY}", headers={"User-Agent": f"spy {NUMBER}"}),
            web.delete(link),
            web.post("/messages", json={"to": NUMBER}, headers={"Authorization": f"Bearer wrong-{TOKEN}"}),
            web.post("/messages", json={"to": NUMBER, "kind": "image", "key": KEY, "caption": NUMBER}, headers=GATEWAY),
            web.post("/messages", json={"to": NUMBER, "kind": "image", "key": "customer-4711/no"}, headers=GATEWAY),
            web.post("/links", content=f'{{"key": "{KEY}"', headers=GATEWAY),
            web.post("/webhooks", json={}, headers={"X-Webhook-Secret": f"wrong-{WEBHOOK_SECRET}"}),
        ]
        for response in asked:
            world.of(response)
    codes = {span.attributes.get("medialink.error.code") for span in world.spans if span.kind == "SERVER"}
    assert {"not_found", "type_refused", "method_not_allowed", "unauthorized", "malformed"} <= codes
    for span in world.spans:
        for about, value in span.attributes.items():
            assert re.fullmatch(TOLD[about], str(value)), (span.name, about, value)
        assert re.fullmatch(r"[A-Z]+( /\S*)?|[a-z]+( [a-z_]+)?", span.name)
    raw = b"".join(world.exports)
    link_key = house.settings.link_keys
    assert link_key is not None
    secrets = (tag, token, name, KEY, "customer", "4711", "passport", "nowhere", NUMBER, DIGITS, DIGITS[2:], "wamid")
    for secret in (*secrets, TOKEN, API_KEY, WEBHOOK_SECRET, link_key.get_secret_value(), "127.0.0.1", "spy"):
        assert secret.encode() not in raw, secret


def test_a_store_that_is_away_is_a_failure_that_the_span_tells(
    house: "House", serve: Serve, world: World, heavy_jpeg: bytes, tmp_path: Path
) -> None:
    link = cold_link(house, KEY, heavy_jpeg)
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "takedowns.json").write_text("[]")
    away = {"STORE": "s3://bucket", "S3_ENDPOINT_URL": "http://127.0.0.1:9", "S3_REGION": "x"}
    with serve(S3_ACCESS_KEY_ID="a", S3_SECRET_ACCESS_KEY="b", **away) as served:
        answer = served.web.get(link)
        assert answer.status_code == 503
        spans = world.of(answer)
    for name, kind in ((f"GET {LINK}", "SERVER"), ("store fetch", "CLIENT")):
        span = only(spans, name)
        assert (span.kind, span.failed, span.attributes["error.type"]) == (kind, True, "store_away")


def test_a_stranger_can_neither_force_a_sample_nor_join_a_trace(serve: Serve, world: World) -> None:
    with serve(OTEL_TRACES_SAMPLER="parentbased_always_off") as served:
        for headers in ({}, {"Authorization": "Bearer a-guess"}, {"D360-API-KEY": "a-guess"}):
            assert served.web.get("/m/a/b/c", headers=TRACEPARENT | headers).status_code == 404
            assert served.web.post("/links", json={}, headers=TRACEPARENT | headers).status_code == 401
        known = served.web.post("/links", json={}, headers=TRACEPARENT | {"D360-API-KEY": TOKEN})
        assert known.status_code == 400
        world.of(known)
        served.end()
    (span,) = world.spans
    assert (span.trace, span.parent) == (TRACE, PARENT)
    assert span.attributes["medialink.error.code"] == "malformed"


def test_each_of_two_pipelined_requests_is_a_trace_of_its_own(serve: Serve, world: World) -> None:
    with serve() as served:
        url = served.web.base_url
        ask = b"GET /m/a/b/c HTTP/1.1\r\nHost: here\r\n\r\n"
        with socket.create_connection((url.host, url.port or 80), timeout=PATIENCE_S) as reader:
            reader.sendall(3 * ask)
            answers = b""
            while answers.count(b"not_found") < 3:
                answers += reader.recv(65_536)
        spans = wait_for(lambda: found if len(found := world.spans) == 3 else [])
    assert {span.parent for span in spans} == {""}
    assert len({span.trace for span in spans}) == 3


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=LINUX)])
def test_every_worker_hands_over_its_last_spans_when_it_ends(serve: Serve, world: World, workers: int) -> None:
    with serve(workers, OTEL_BSP_SCHEDULE_DELAY="3600000", OTEL_SERVICE_NAME="media-of-ours") as served:
        asked = {ask_anew(served) for _ in each_alone(served) for _ in range(5)}
        assert world.exports == []
        served.end()
    assert {span.attributes["medialink.request_id"] for span in world.spans} == asked
    assert {span.resource["service.name"] for span in world.spans} == {"media-of-ours"}
    assert len({span.resource["service.instance.id"] for span in world.spans}) == workers


def test_what_the_platform_asks_has_no_span_and_headers_reach_the_collector(serve: Serve, world: World) -> None:
    with serve(OTEL_EXPORTER_OTLP_HEADERS=f"authorization=Basic%20{COLLECTOR_SECRET}") as served:
        for path in PROBES:
            assert served.web.get(path).status_code == 200
        world.of(served.web.get("/nowhere"))
        served.end()
    (span,) = world.spans
    assert (span.name, span.resource["service.name"]) == ("GET", "medialink")
    assert world.headers[0]["authorization"] == f"Basic {COLLECTOR_SECRET}"


@pytest.mark.parametrize("collector", ["away", "refusing", "hanging"])
def test_a_collector_that_fails_costs_no_request_and_one_line(serve: Serve, world: World, collector: str) -> None:
    world.answer = 400
    with socket.create_server(("127.0.0.1", 0)) as held:
        nowhere = f"http://127.0.0.1:{held.getsockname()[1]}"
    if collector == "hanging":
        world.awake.clear()
    url = nowhere if collector == "away" else world.url
    small = {"OTEL_BSP_MAX_QUEUE_SIZE": "4", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2"}
    with serve(OTEL_EXPORTER_OTLP_ENDPOINT=url, **small) as served:
        slowest_s = 0.0
        for _ in range(100):
            began_s = time.monotonic()
            assert served.web.get("/m/a/b/c").status_code == 404
            slowest_s = max(slowest_s, time.monotonic() - began_s)
        wait_for(lambda: served.said("traces.trouble"))
        if collector == "refusing":
            wait_for(lambda: len(world.exports) > 3)
        assert slowest_s < HALF_OF_ITS_TIMEOUT_S
        assert served.end() < FLUSH_LIMIT_S + HALF_OF_ITS_TIMEOUT_S
        (line,) = served.said("traces.trouble")
    assert line["level"] == "warning"
    assert sum("opentelemetry" in told for told in served.log.read_text().splitlines()) == 1


BUILD = "from pathlib import Path; from proxy.telemetry.otel import build_traces; build_traces(Path('none.env'))"


def test_a_header_that_cannot_be_read_is_not_shown() -> None:
    given = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_HEADERS": COLLECTOR_SECRET}
    shown = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", BUILD], env=os.environ | given, capture_output=True, text=True, check=True, timeout=100
    )
    assert "traces.trouble" in shown.stdout
    assert HIDDEN in shown.stdout
    assert COLLECTOR_SECRET not in shown.stdout + shown.stderr


def test_complaints_are_counted_while_they_are_not_told() -> None:
    told = structlog.testing.LogCapture()
    structlog.configure(processors=[told])
    now_s = 1000.0
    complaints = Complaints(Redaction(), lambda: now_s)
    for seconds in (0.0, 1.0, PAUSE_S - 1.5, 1.0, 1.0):
        now_s += seconds
        complaints.handle(logging.makeLogRecord({"name": "opentelemetry.x", "msg": "lost %s", "args": (DIGITS,)}))
    structlog.reset_defaults()
    assert [(line["event"], line["untold"]) for line in told.entries] == [("traces.trouble", 0), ("traces.trouble", 2)]
    assert told.entries[0]["problem"] == f"lost {MASKED}"


SHOW = """
import sys
from proxy.app import from_environment
print(type(from_environment()).__name__, sorted(name for name in sys.modules if name.startswith("opentelemetry"))[:3])
"""


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "True"},
    ],
    ids=["unset", "disabled"],
)
def test_unless_asked_for_nothing_stands_in_the_way(house: "House", tmp_path: Path, given: dict[str, str]) -> None:
    shown = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", SHOW],
        env=environment_of(house, tmp_path, **given),
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    assert shown.stdout == "RequestIds []\n"


WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, *_):
        if name.startswith("opentelemetry"):
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Absent())
"""
RUN = "from proxy.__main__ import main; main()"


@pytest.mark.parametrize(
    ("code", "given", "sentence"),
    [
        (WITHOUT + RUN, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, INSTALL),
        (
            RUN,
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "many"},
            "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT must be a non-negative integer",
        ),
        (
            RUN,
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_PROPAGATORS": "owl"},
            "Propagator owl not found",
        ),
    ],
    ids=["extra", "limit", "propagator"],
)
def test_a_service_that_could_not_export_does_not_start(
    house: "House", tmp_path: Path, code: str, given: dict[str, str], sentence: str
) -> None:
    ended = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", code, "serve"],
        env=environment_of(house, tmp_path, **given),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert ended.returncode == 2
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_file_of_settings_may_ask_for_traces_too(house: "House", tmp_path: Path) -> None:
    file = tmp_path / "own.env"
    file.write_text("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318\nOTEL_EXPORTER_OTLP_PROTOCOL=grpc\n")
    ended = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", RUN, "serve"],
        env=environment_of(house, tmp_path, ENV_FILE=str(file)),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert ended.returncode == 2
    assert "OTEL_EXPORTER_OTLP_PROTOCOL: must be http/protobuf" in ended.stderr


@pytest.mark.parametrize(
    ("environment", "wanted", "mistakes"),
    [
        ({}, False, 1),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector"}, True, 0),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False, 1),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a", "OTEL_EXPORTER_OTLP_ENDPOINT": "b"}, True, 0),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://a"}, False, 1),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_SDK_DISABLED": "false"}, True, 0),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_TRACES_EXPORTER": "otlp"}, True, 0),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_TRACES_EXPORTER": "None"}, False, 1),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_TRACES_EXPORTER": "zipkin"}, True, 1),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "127.0.0.1:4318"}, True, 1),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, True, 1),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "grpc://a", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, True, 2),
    ],
)
def test_the_environment_is_read_as_opentelemetry_reads_it(
    environment: dict[str, str], *, wanted: bool, mistakes: int
) -> None:
    assert are_wanted(environment) is wanted
    assert len(find_mistakes(environment)) == mistakes
