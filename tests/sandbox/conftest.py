import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from proxy.sandbox.app import create_sandbox
from proxy.sandbox.settings import SandboxSettings
from tests.conftest import NO_TLS

STARTED_WITHIN_S = 10
KEY = "key-of-the-test"
SECRET = "secret-of-the-test"
VERIFY_TOKEN = "token of the test & more"
META = {"Authorization": f"Bearer {KEY}"}
JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 100


class _Server(uvicorn.Server):
    def __init__(self, app: ASGIApp) -> None:
        config = uvicorn.Config(app, port=0, log_level=60, ws="none", timeout_graceful_shutdown=5)
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@contextmanager
def _serve(app: ASGIApp) -> Iterator[str]:
    server = _Server(app)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert server.ready.wait(STARTED_WITHIN_S)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@dataclass
class Clock:
    now_s: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass(kw_only=True)
class Served:
    body: bytes = JPEG
    status: int = 200
    content_type: str | None = "image/jpeg"
    headers: Mapping[str, str] = field(default_factory=dict)
    chunked: bool = False
    hangs: bool = False

    def response(self) -> Response:
        type_header = {} if self.content_type is None else {"content-type": self.content_type}
        headers = {**type_header, **self.headers}
        if self.chunked:
            return StreamingResponse(_chunks(self.body), self.status, headers)
        return Response(self.body, self.status, headers)


class Origin:
    """Serves what a test gave it, and keeps the requests that it got."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Request] = []
        self.asked = threading.Event()
        self._served: dict[str, Served] = {}

    def give(self, path: str = "/offer.jpg", **served: Any) -> str:
        self._served[unquote(path)] = Served(**served)
        return self.url + path

    def forget(self) -> None:
        self.requests.clear()
        self.asked.clear()
        self._served.clear()

    async def answer(self, request: Request) -> Response:
        self.requests.append(request)
        self.asked.set()
        served = self._served.get(request.scope["path"])
        if served is None:
            return Response("nothing here", 404)
        while served.hangs and (await request.receive())["type"] != "http.disconnect":
            pass
        return served.response()


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 1 << 20):
        yield body[start : start + (1 << 20)]


@dataclass
class Receiver:
    """Takes webhooks; `answers` are spent one a webhook, then it is 200."""

    url: str = ""
    got: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    def forget(self) -> None:
        for kept in (self.got, self.bodies, self.headers, self.answers):
            kept.clear()

    def statuses(self) -> list[dict[str, Any]]:
        return [status for body in self.values() for status in body["statuses"]]

    def values(self) -> list[dict[str, Any]]:
        return [payload["entry"][0]["changes"][0]["value"] for payload in self.got]

    async def answer(self, request: Request) -> Response:
        self.headers.append(dict(request.headers))
        self.bodies.append(await request.body())
        self.got.append(await request.json())
        return Response(status_code=self.answers.pop(0) if self.answers else 200)

    async def shake(self, request: Request) -> Response:
        """Give the challenge to who knows the token, as Meta's page on webhooks asks for."""
        asked = request.query_params
        knows = (asked["hub.mode"], asked["hub.verify_token"]) == ("subscribe", VERIFY_TOKEN)
        return Response(asked["hub.challenge"] if knows else "", 200 if knows else 403)


@dataclass
class Sandbox:
    """A sandbox under test, as its callers meet it."""

    http: httpx2.Client
    clock: Clock

    def post(self, body: Any, **headers: str) -> httpx2.Response:
        return self.http.post("/messages", json=body, headers={"D360-API-KEY": KEY, **headers})

    def send(self, link: str, kind: str = "image", **medium: Any) -> httpx2.Response:
        return self.post(message(kind, {"link": link, **medium}))

    def deliver(self, link: str, kind: str = "image", **medium: Any) -> dict[str, Any]:
        """Send and wait for the message's end."""
        answer = self.send(link, kind, **medium)
        assert answer.status_code == 200, answer.text
        return self.ended(answer.json()["messages"][0]["id"])

    def ended(self, wamid: str) -> dict[str, Any]:
        told: dict[str, Any] = self.http.get(f"/sandbox/messages/{wamid}", params={"wait": 10}).json()
        assert told["ended"]
        return told

    def upload(
        self, body: bytes = JPEG, media_type: str = "image/jpeg", path: str = "/media", **form: str
    ) -> httpx2.Response:
        return self.http.post(
            path,
            data=form or {"messaging_product": "whatsapp"},
            files={"file": ("Größe.jpg", body, media_type)},
            headers=META if path != "/media" else {"D360-API-KEY": KEY},
        )

    def messages(self) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = self.http.get("/sandbox/messages", params={"wait": 10}).json()
        assert all(message["ended"] for message in told)
        return told

    def seen(self, link: str) -> dict[str, Any]:
        by_link = {seen["link"]: seen for seen in self.http.get("/sandbox/fetches").json()}
        found: dict[str, Any] = by_link[link]
        return found

    def behave(self, behaviour: str, **order: Any) -> httpx2.Response:
        return self.http.put("/sandbox/behaviour", json={"behaviour": behaviour, **order})


def message(kind: str, content: Any, **rest: Any) -> dict[str, Any]:
    return {"messaging_product": "whatsapp", "to": "+49 170 1234567", "type": kind, kind: content, **rest}


RunSandbox = Callable[..., Sandbox]


@pytest.fixture(scope="session")
def _running_origin() -> Iterator[Origin]:
    origin = Origin()
    with _serve(Starlette(routes=[Route("/{path:path}", origin.answer, methods=["GET", "POST"])])) as url:
        origin.url = url
        yield origin


@pytest.fixture
def origin(_running_origin: Origin) -> Origin:
    _running_origin.forget()
    return _running_origin


@pytest.fixture(scope="session")
def _running_receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    with _serve(Starlette(routes=[Route("/", receiver.answer, methods=["POST"]), Route("/", receiver.shake)])) as url:
        receiver.url = url
        yield receiver


@pytest.fixture
def receiver(_running_receiver: Receiver) -> Receiver:
    _running_receiver.forget()
    return _running_receiver


@pytest.fixture(scope="session")
def _running_clock() -> Clock:
    return Clock()


@pytest.fixture
def clock(_running_clock: Clock) -> Clock:
    _running_clock.now_s = Clock.now_s
    return _running_clock


@contextmanager
def _run(settings: SandboxSettings, clock: Clock) -> Iterator[Sandbox]:
    with (
        _serve(create_sandbox(settings, clock=clock)) as url,
        httpx2.Client(base_url=url, timeout=15, trust_env=False, verify=NO_TLS) as http,
    ):
        yield Sandbox(http=http, clock=clock)


@pytest.fixture
def run_sandbox(clock: Clock) -> Iterator[RunSandbox]:
    """Run a sandbox of the test's own."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(_run(SandboxSettings(**settings), clock))


@pytest.fixture(scope="session")
def _running_sandbox(_running_clock: Clock, _running_receiver: Receiver) -> Iterator[Sandbox]:
    settings = SandboxSettings(webhook_url=_running_receiver.url, webhook_headers={"X-Secret": SECRET})
    with _run(settings, _running_clock) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_running_sandbox: Sandbox, clock: Clock, receiver: Receiver) -> Sandbox:  # noqa: ARG001 -- made fresh too
    """The sandbox of the session, reset: it posts to the receiver."""
    assert _running_sandbox.http.delete("/sandbox").status_code == 200
    receiver.forget()
    return _running_sandbox


@pytest.fixture
def make_message() -> Callable[..., dict[str, Any]]:
    return message
