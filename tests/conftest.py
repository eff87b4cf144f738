"""The house itself, run as its users run it: real sockets, a real store, and the sandbox as provider and fetcher."""

import asyncio
import hashlib
import io
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from typing import Any

import httpx2
import pytest
from httplint import HttpRequestLinter, HttpResponseLinter, levels
from httplint.status import STATUS_BAD_REQUEST
from PIL import Image

from proxy.app import build_store, create_app
from proxy.messaging.receive import SECRET_HEADER
from proxy.sandbox.app import create_sandbox
from proxy.sandbox.settings import SandboxSettings
from proxy.servers import ThreadedServer
from proxy.settings import Settings
from proxy.storage.store import Source, parse_key

pytest_plugins = ["tests.s3_servers"]

NO_TLS = SSLContext(PROTOCOL_TLS_CLIENT)
"""Trusts nobody: what the tests ask has no TLS, and each client of its own would read the authorities for 57 ms."""

Command = Callable[..., subprocess.CompletedProcess[str]]

TOKEN = "gateway-token-of-the-test"
WEBHOOK_SECRET = "webhook-secret-of-the-test"
API_KEY = "provider-key-of-the-test"
NUMBER = "+49 (170) 123-45 67"


@pytest.fixture(scope="session")
def no_settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("settings") / "empty.env"
    path.touch()
    return path


@pytest.fixture(autouse=True)
def _own_environment(no_settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no setting of the machine, and no .env of the checkout, into a test."""
    for name in [*Settings.model_fields, *(each for each in os.environ if each.startswith("OTEL_"))]:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("ENV_FILE", str(no_settings))


@pytest.fixture
def medialink(tmp_path: Path) -> Command:
    """Run a command in a folder of its own; settings come by name."""

    def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "proxy", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path.cwd()), **settings},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    return run


def picture(width: int, height: int, *, seed: int = 0, form: str = "JPEG", mode: str = "RGB", **options: Any) -> bytes:
    """Draw something that is no flat colour, so that its weight is a photograph's."""
    small = Image.frombytes("RGB", (32, 32), bytes((seed * 7 + i * i * 31) % 256 for i in range(32 * 32 * 3)))
    noise = Image.effect_noise((width, height), 60).convert("RGB")
    drawn = Image.blend(small.resize((width, height), Image.Resampling.BICUBIC), noise, 0.25)
    out = io.BytesIO()
    drawn.convert(mode).save(out, form, **options)
    return out.getvalue()


@pytest.fixture(scope="session")
def heavy_jpeg() -> bytes:
    return picture(4000, 3000, quality=90)


@pytest.fixture(scope="session")
def light_jpeg() -> bytes:
    return picture(640, 480, quality=70)


def lint(response: httpx2.Response) -> None:
    """Hold every response of the suite to HTTP's own rules; that a 400 is one is no fault of the answer."""
    response.read()
    request = response.request
    asked = HttpRequestLinter()
    asked.process_request_topline(request.method.encode(), str(request.url).encode(), b"HTTP/1.1")
    asked.process_headers(request.headers.raw)
    asked.finish_content(complete=True)
    answered = HttpResponseLinter()
    answered.request = asked
    answered.process_response_topline(b"HTTP/1.1", str(response.status_code).encode(), response.reason_phrase.encode())
    answered.process_headers(response.headers.raw)
    if request.method != "HEAD":
        answered.feed_content(response.content)
        answered.finish_content(complete=True)
    bad = [
        f"{note.summary} ({note.subject})"
        for note in answered.notes
        if note.level is levels.BAD and not isinstance(note, STATUS_BAD_REQUEST)
    ]
    assert bad == [], f"{request.method} {request.url.path} {response.status_code}: {bad}"


@dataclass(kw_only=True)
class House:
    """A running service with its sandbox; `api` carries the gateway key, `web` is anybody, `whatsapp` the sandbox."""

    settings: Settings
    url: str
    api: httpx2.Client
    web: httpx2.Client
    whatsapp: httpx2.Client

    def put(self, key: str, body: bytes) -> Source:
        file = self.settings.data_dir / "to-put"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)

        async def work() -> Source:
            store = build_store(self.settings)
            try:
                return await store.put(parse_key(key), file, media_type="application/octet-stream")
            finally:
                await store.close()

        return asyncio.run(work())

    def link(self, key: str, kind: str = "image", **wish: object) -> str:
        answer = self.api.post("/links", json={"kind": kind, "key": key, **wish})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["link"])

    def send(self, **wish: object) -> httpx2.Response:
        return self.api.post("/messages", json={"to": NUMBER, "kind": "image", **wish})

    def story(self, wamid: str) -> dict[str, Any]:
        """Wait until the sandbox is through with a message."""
        answer = self.whatsapp.get(f"/sandbox/messages/{wamid}", params={"wait": "20"})
        assert answer.status_code == 200
        return dict(answer.json())

    def fetches(self) -> list[dict[str, Any]]:
        return list(self.whatsapp.get("/sandbox/fetches").json())


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Build houses; each gets its settings by name. Two of them in one test share keys, not disks."""
    with ExitStack() as running:
        count = iter(range(100))

        def make(*, sandbox: Mapping[str, Any] | None = None, **values: Any) -> House:
            data_dir = values.pop("data_dir", tmp_path / f"house-{next(count)}")
            own_port = _Port()
            running.callback(own_port.release)
            url = f"http://127.0.0.1:{own_port.number}"
            pretend = create_sandbox(
                SandboxSettings(
                    api_key=API_KEY,
                    webhook_url=f"{url}/webhooks",
                    webhook_headers={SECRET_HEADER: WEBHOOK_SECRET},
                    **(sandbox or {}),
                )
            )
            sandbox_url = running.enter_context(ThreadedServer(pretend)).url
            given: dict[str, Any] = {
                "data_dir": data_dir,
                "store": f"file://{tmp_path / 'store'}",
                "public_url": url,
                "provider_url": sandbox_url,
                "d360_api_key": API_KEY,
                "gateway_keys": hashlib.sha256(TOKEN.encode()).hexdigest(),
                "webhook_secret": WEBHOOK_SECRET,
                "link_keys": "1:" + "a" * 43,
                "decode_slots": 1,
            }
            settings = Settings.read(**(given | values))
            own_port.release()
            running.enter_context(ThreadedServer(create_app(settings, settings.serve_only), port=own_port.number))
            clients = [
                running.enter_context(
                    httpx2.Client(
                        base_url=base,
                        headers=headers,
                        timeout=60,
                        trust_env=False,
                        verify=NO_TLS,
                        event_hooks={"response": hooks},
                    )
                )
                for base, headers, hooks in (
                    (url, {"Authorization": f"Bearer {TOKEN}"}, [lint]),
                    (url, {}, [lint]),
                    (sandbox_url, {}, []),
                )
            ]
            return House(settings=settings, url=url, api=clients[0], web=clients[1], whatsapp=clients[2])

        yield make


class _Port:
    """A free port, held until its server takes it over: the address must be known before the server stands."""

    def __init__(self) -> None:
        self._held = socket.create_server(("127.0.0.1", 0))
        self.number: int = self._held.getsockname()[1]

    def release(self) -> None:
        self._held.close()


@pytest.fixture
def house(build: Callable[..., House]) -> House:
    return build()
