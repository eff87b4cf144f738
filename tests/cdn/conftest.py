"""A shared cache that is not ours, nginx, in front of a whole service that writes down what it is asked."""

import hashlib
import os
import shutil
import socket
import string
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import httpx2
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.app import create_app
from proxy.delivery.links import Link, Links
from proxy.servers import ThreadedServer
from proxy.settings import Settings
from tests.conftest import NO_TLS, TOKEN, lint
from tests.s3_servers import ACCESS_KEY, SECRET_KEY, free_ports

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

PATIENCE_S = 30
TEMPLATE = Path("docker/cdn.conf.template")
AROUND = """
daemon off;
${user}
pid ${root}/pid;
error_log ${root}/error.log warn;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path ${root}/body;
    fastcgi_temp_path ${root}/fastcgi;
    scgi_temp_path ${root}/scgi;
    uwsgi_temp_path ${root}/uwsgi;
    proxy_temp_path ${root}/temp;
    include ${root}/cdn.conf;
}
"""


class Witness:
    """Writes down each path that the origin is asked for, and the status that it answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.seen: list[tuple[str, int]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.seen.append((scope["path"], message["status"]))
            await send(message)

        await self._app(scope, receive, note)


@dataclass(kw_only=True)
class Origin:
    """A service over a bucket; `kill` leaves nobody at its port."""

    settings: Settings
    bucket: str
    client: "S3Client"
    witness: Witness
    address: str
    kill: Callable[[], None]
    links: Links = field(init=False)

    def __post_init__(self) -> None:
        self.links = Links(self.settings.link_secrets())

    def put(self, key: str, body: bytes, cache_control: str | None = None) -> None:
        own = {} if cache_control is None else {"CacheControl": cache_control}
        self.client.put_object(Bucket=self.bucket, Key=key, Body=body, **own)  # type: ignore[arg-type] # a str

    def link(self, key: str, kind: str = "image") -> str:
        """Mint a link, and give its path."""
        answer = httpx2.post(
            f"http://{self.address}/links",
            json={"kind": kind, "key": key},
            headers={"Authorization": f"Bearer {TOKEN}"},
            trust_env=False,
            verify=NO_TLS,
            timeout=PATIENCE_S,
        )
        return str(answer.raise_for_status().json()["link"]).removeprefix(self.settings.public_url)

    def opened(self, path: str) -> Link:
        tag, token, name = path.split("/")[2:]
        return self.links.open(tag, token, name)

    def asked(self, path: str) -> list[int]:
        """Tell what was answered each time that a path was asked for."""
        return [status for seen, status in self.witness.seen if seen == path]


@pytest.fixture
def build_origin(
    moto_url: str, new_bucket: Callable[..., str], client_of: Callable[[str], "S3Client"], tmp_path: Path
) -> Iterator[Callable[..., Origin]]:
    with ExitStack() as running:

        def make(**values: str) -> Origin:
            bucket = new_bucket(moto_url)
            settings = Settings.read(
                data_dir=tmp_path / "origin",
                store=f"s3://{bucket}",
                s3_endpoint_url=moto_url,
                s3_region="us-east-1",
                s3_access_key_id=ACCESS_KEY,
                s3_secret_access_key=SECRET_KEY,
                gateway_keys=hashlib.sha256(TOKEN.encode()).hexdigest(),
                link_keys="1:" + "a" * 43,
                alias_prefixes="open/",
                **values,
            )
            witness = Witness(create_app(settings))
            server = ExitStack()
            running.push(server)
            url = server.enter_context(ThreadedServer(witness)).url
            return Origin(
                settings=settings,
                bucket=bucket,
                client=client_of(moto_url),
                witness=witness,
                address=url.removeprefix("http://"),
                kill=server.close,
            )

        yield make


@pytest.fixture
def origin(build_origin: Callable[..., Origin]) -> Origin:
    return build_origin()


@pytest.fixture
def nginx(need: Callable[[str], NoReturn]) -> str:
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found is None:
        need("nginx is not installed (Debian: nginx-light)")
    return found


@pytest.fixture
def run_cdn(nginx: str, tmp_path: Path) -> Iterator[Callable[[Origin], httpx2.Client]]:
    """Run nginx with the configuration that compose.yaml runs, and give a client that asks it."""
    with ExitStack() as running:

        def run(origin: Origin) -> httpx2.Client:
            root = tmp_path / "nginx"
            root.mkdir()
            (port,) = free_ports(1)
            filled = string.Template(TEMPLATE.read_text()).safe_substitute(
                LISTEN=f"127.0.0.1:{port}", ORIGIN=origin.address, CACHE_DIR=root / "cache"
            )
            (root / "cdn.conf").write_text(filled)
            around = string.Template(AROUND).substitute(root=root, user="user root;" if os.geteuid() == 0 else "")
            (root / "nginx.conf").write_text(around)
            process = running.enter_context(
                subprocess.Popen([nginx, "-p", str(root), "-c", str(root / "nginx.conf")])  # noqa: S603 - our arguments
            )
            running.callback(process.terminate)
            wait_until_it_listens(port, process)
            return running.enter_context(
                httpx2.Client(
                    base_url=f"http://127.0.0.1:{port}",
                    timeout=PATIENCE_S,
                    trust_env=False,
                    verify=NO_TLS,
                    event_hooks={"response": [lint]},
                )
            )

        yield run


@pytest.fixture
def cdn(run_cdn: Callable[[Origin], httpx2.Client], origin: Origin) -> httpx2.Client:
    return run_cdn(origin)


def wait_until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        with suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S).close()
        with suppress(subprocess.TimeoutExpired):
            pytest.fail(f"nginx ended with {process.wait(0.05)}")
    pytest.fail("nginx does not listen")


def ask_until(
    cdn: httpx2.Client, path: str, wanted: Callable[[httpx2.Response], bool]
) -> list[tuple[float, httpx2.Response]]:
    """Ask again and again until the answer is the wanted one; give all answers, each with the time it was asked for."""
    answers: list[tuple[float, httpx2.Response]] = []
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        asked_at = time.time()
        answers.append((asked_at, cdn.get(path)))
        if wanted(answers[-1][1]):
            return answers
    pytest.fail(f"{len(answers)} answers, the last of them {answers[-1][1].status_code} {answers[-1][1].headers}")
