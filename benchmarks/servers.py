"""Those that are compared, on the server's core: nginx with its proxy cache, medialink as it is shipped, a bare app."""

import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from benchmarks.load import SERVER_CORE

MEDIA = "BENCH_MEDIA"
"""Tells the bare app where the bodies are."""

TOKEN = "token-of-the-benchmark"  # noqa: S105 - lives as long as the run, on the loopback
START_LIMIT_S = 30.0
POLL_S = 0.05

NGINX_CONF = """
daemon off;
{user}
worker_processes 1;
pid {root}/pid;
error_log {root}/error.log warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  types {{ application/pdf pdf; }}
  client_body_temp_path {root}/body;
  fastcgi_temp_path {root}/fastcgi;
  scgi_temp_path {root}/scgi;
  uwsgi_temp_path {root}/uwsgi;
  proxy_temp_path {root}/temp;
  proxy_cache_path {root}/cache keys_zone=media:1m max_size=1g inactive=1h use_temp_path=off;
  server {{
    listen 127.0.0.1:{origin};
    root {media};
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://127.0.0.1:{origin};
      proxy_cache media;
      proxy_cache_valid 200 1h;
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; `urls` are where it has each medium, `pid` is the root of its processes."""

    pid: int
    urls: Mapping[str, str]


@contextmanager
def nginx(root: Path, media: Path) -> Iterator[Server]:
    root.mkdir()
    port, origin = _free_port(), _free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    conf = root / "nginx.conf"
    conf.write_text(NGINX_CONF.format(root=root, media=media, port=port, origin=origin, user=user))
    with _running(["nginx", "-p", str(root), "-c", str(conf)], {}, f"http://127.0.0.1:{port}/") as pid:
        yield Server(pid, {file.name: f"http://127.0.0.1:{port}/{file.name}" for file in media.iterdir()})


@contextmanager
def bare(media: Path) -> Iterator[Server]:
    port = _free_port()
    command = [sys.executable, "-m", "uvicorn", "benchmarks.bare:app", "--port", str(port), "--no-access-log"]
    quiet = ["--log-level", "warning", "--no-proxy-headers", "--loop", "uvloop", "--http", "httptools"]
    with _running([*command, *quiet], {MEDIA: str(media)}, f"http://127.0.0.1:{port}/") as pid:
        yield Server(pid, {file.name: f"http://127.0.0.1:{port}/{file.name}" for file in media.iterdir()})


@contextmanager
def medialink(root: Path, media: Path) -> Iterator[Server]:
    """Run `serve` with its defaults, and mint a real link for each medium."""
    root.mkdir()
    (root / "env").touch()
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {
        "ENV_FILE": str(root / "env"),
        "DATA_DIR": str(root),
        "STORE": f"file://{media}",
        "LISTEN_PORT": str(port),
        "PUBLIC_URL": url,
        "GATEWAY_KEYS": hashlib.sha256(TOKEN.encode()).hexdigest(),
    }
    with _running([sys.executable, "-m", "proxy", "serve"], settings, f"{url}/healthz") as pid:
        links = {}
        for file in media.iterdir():
            wish = {"kind": "document", "key": file.name}
            answer = httpx2.post(
                f"{url}/links", json=wish, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False, timeout=30
            )
            links[file.name] = answer.raise_for_status().json()["link"]
        yield Server(pid, links)


@contextmanager
def _running(command: list[str], settings: dict[str, str], url: str) -> Iterator[int]:
    """Run a server on its core until it is left; it is up when it answers."""
    environment = {"PATH": os.environ.get("PATH", os.defpath)} | settings
    process = subprocess.Popen(  # noqa: S603 - our own arguments
        ["taskset", "-c", SERVER_CORE, *command],  # noqa: S607 - where a machine has it
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + START_LIMIT_S
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{command[0]} did not start")
            time.sleep(POLL_S)
        yield process.pid
    finally:
        process.terminate()
        process.wait(START_LIMIT_S)


def _answers(url: str) -> bool:
    try:
        httpx2.get(url, trust_env=False, timeout=5)
    except httpx2.TransportError:
        return False
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])
