"""The main job before a person's eyes: service, sandbox and store run here, and every step goes over real sockets."""

import asyncio
import hashlib
import json
import logging
import os
import secrets
import shlex
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx2
from dotenv import dotenv_values

from proxy import telemetry
from proxy.app import build_store, create_app
from proxy.console import out
from proxy.errors import Malformed, NotFound
from proxy.messaging.entries import LedgerMessage
from proxy.messaging_doors import build_ledger
from proxy.sandbox.app import create_sandbox
from proxy.sandbox.settings import SandboxSettings
from proxy.servers import ThreadedServer
from proxy.settings import Settings
from proxy.specimen import make_photograph
from proxy.storage.store import Source, parse_key

KEY = "demo/holiday.jpg"
NUMBER = "+49 170 1234567"
CAPTION = "Greetings from the lake"
BUCKET = "medialink-demo"
ENV_NAME = "demo.env"
PATIENCE_S = 60.0
MAX_PORT = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What runs: the service's settings, where it and the sandbox listen, and the key that may call the gateway."""

    settings: Settings
    service_url: str
    sandbox_url: str
    gateway_token: str


def run_demo(*, on_s3: bool, once: bool) -> None:
    """Deliver one heavy photograph from a folder, or from moto's S3, then serve on until Ctrl-C.

    Raises:
        Malformed: a port that the demo needs is taken, a folder cannot be written, or a step was refused.
    """
    telemetry.configure_logging("warning", "text")
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stopped.set())
    try:
        with _stage(on_s3=on_s3) as stage:
            _deliver(stage)
            _what_next(stage)
            if not once:
                out.print("\nServing on. Ctrl-C ends it.")
                stopped.wait()
    except OSError as error:
        raise Malformed(field="DATA_DIR", problem=f"{error.strerror} ({error.filename})") from error
    out.print("Ended.")


@contextmanager
def _stage(*, on_s3: bool) -> Iterator[Stage]:
    with ExitStack() as running:
        first = Settings.read()
        if not 0 < first.listen_port < MAX_PORT:
            raise Malformed(field="LISTEN_PORT", problem=f"must be 1 to {MAX_PORT - 1}: the sandbox takes the next one")
        data_dir = first.data_dir.absolute()
        env_path = data_dir / ENV_NAME
        kept = dotenv_values(env_path)
        token = kept.get("DEMO_GATEWAY_TOKEN") or secrets.token_urlsafe(24)
        secret = kept.get("WEBHOOK_SECRET") or secrets.token_urlsafe(24)
        service_url = f"http://127.0.0.1:{first.listen_port}"
        sandbox_url = running.enter_context(
            ThreadedServer(
                create_sandbox(
                    SandboxSettings(webhook_url=f"{service_url}/webhooks", webhook_headers={"X-Webhook-Secret": secret})
                ),
                port=first.listen_port + 1,
            )
        ).url
        values = {
            "DATA_DIR": str(data_dir),
            "STORE": f"file://{data_dir / 'media'}",
            "CACHE_DIR": str(data_dir / "cache"),
            "LEDGER_URL": f"sqlite:///{data_dir / 'ledger.sqlite3'}",
            "LISTEN_PORT": str(first.listen_port),
            "PUBLIC_URL": service_url,
            "PROVIDER_URL": sandbox_url,
            "D360_API_KEY": "sandbox",
            "WEBHOOK_SECRET": secret,
            "GATEWAY_KEYS": hashlib.sha256(token.encode()).hexdigest(),
            **(_start_s3(running) if on_s3 else {}),
        }
        _keep(env_path, {**values, "DEMO_GATEWAY_TOKEN": token})
        settings = Settings.read(serve_only=None, **{name.lower(): value for name, value in values.items()})
        running.enter_context(ThreadedServer(create_app(settings), port=first.listen_port))
        yield Stage(settings=settings, service_url=service_url, sandbox_url=sandbox_url, gateway_token=token)


def _start_s3(running: ExitStack) -> dict[str, str]:
    """Start moto's S3 server with one versioned bucket; it keeps everything in memory."""
    try:
        from moto.server import ThreadedMotoServer  # noqa: PLC0415 - a test dependency, here for this choice alone
    except ImportError as error:
        raise Malformed(field="--store", problem="s3 needs moto; make run STORE=s3 installs it") from error
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    running.callback(server.stop)
    host, port = server.get_host_and_port()
    values = {
        "S3_ENDPOINT_URL": f"http://{host}:{port}",
        "S3_REGION": "us-east-1",
        "S3_ACCESS_KEY_ID": "demo",
        "S3_SECRET_ACCESS_KEY": "demo-demo",
    }
    client = boto3.client(
        "s3",
        endpoint_url=values["S3_ENDPOINT_URL"],
        region_name=values["S3_REGION"],
        aws_access_key_id=values["S3_ACCESS_KEY_ID"],
        aws_secret_access_key=values["S3_SECRET_ACCESS_KEY"],
    )
    client.create_bucket(Bucket=BUCKET)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return {"STORE": f"s3://{BUCKET}", **values}


def _keep(path: Path, values: dict[str, str]) -> None:
    """Write what is in force where ENV_FILE can name it; it holds keys, so only its owner reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def _deliver(stage: Stage) -> None:
    with httpx2.Client(timeout=PATIENCE_S, trust_env=False) as client:
        _step(1, "A heavy photograph lies in the store")
        source = asyncio.run(_put_photograph(stage.settings))
        _say(
            f"{source.key}, {source.size_bytes:,} bytes",
            f"in {stage.settings.store}",
        )

        _step(2, "The verdict, the rendition and the link")
        started = time.perf_counter()
        made = _posted(client, stage, "/links", {"kind": "image", "key": KEY})
        ms = (time.perf_counter() - started) * 1000
        verdict = made["verdict"]
        _say(
            f"made to fit: {', '.join(verdict['steps'])}",
            f"bytes    {verdict['source_size_bytes']:,} -> {verdict['size_bytes']:,}",
            "pixels   {source_width} x {source_height} -> {width} x {height}".format(**verdict),
            f"quality  {verdict['quality']}, after {verdict['encodes']} encoding{'s' * (verdict['encodes'] != 1)}",
            f"time     {ms:,.0f} ms",
            f"link     {made['link']}",
        )

        _step(3, "The message, posted to the provider (here: the sandbox)")
        sent = _posted(client, stage, "/messages", {"to": NUMBER, "kind": "image", "key": KEY, "caption": CAPTION})
        wamid = sent["provider_message_id"]
        message = client.get(f"{stage.sandbox_url}/sandbox/messages/{wamid}", params={"wait": "30"}).json()
        _say(json.dumps(message["posted"], indent=2, ensure_ascii=False), f"taken as {wamid}")

        _step(4, "WhatsApp's fetcher came for the link, and got")
        seen = client.get(f"{stage.sandbox_url}/sandbox/fetches").json()
        fetch = next(entry for entry in seen if entry["link"] == sent["link"])["fetches"][-1]
        _say(f"HTTP {fetch['status']}, {fetch['size']:,} bytes in {fetch['ms']:.0f} ms")
        _say(*(f"{name}: {value}" for name, value in fetch["response_headers"].items()))

        _step(5, "What became of it, by webhook")
        _say(*(f"{status['status']:<10} {status['details'] or ''}".rstrip() for status in message["statuses"]))
        kept = asyncio.run(_look_up(stage.settings, sent["id"]))
        _say(f"the ledger says: {kept.outcome}, {kept.status}" if kept else "the ledger does not know it")


async def _put_photograph(settings: Settings) -> Source:
    """Make the picture once; a second run finds it where it is."""
    store = build_store(settings)
    key = parse_key(KEY)
    try:
        try:
            return await store.find(key)
        except NotFound:
            picture = settings.data_dir / "holiday.jpg"
            make_photograph(picture)
            try:
                return await store.put(key, picture, media_type="image/jpeg")
            finally:
                picture.unlink()
    finally:
        await store.close()


async def _look_up(settings: Settings, message_id: str) -> LedgerMessage | None:
    ledger = build_ledger(settings)
    try:
        await ledger.open()
        return await ledger.message(message_id)
    finally:
        await ledger.close()


def _posted(client: httpx2.Client, stage: Stage, path: str, body: dict[str, str]) -> Any:
    answer = client.post(
        f"{stage.service_url}{path}", json=body, headers={"Authorization": f"Bearer {stage.gateway_token}"}
    )
    if not answer.is_success:
        raise Malformed(field=path, problem=f"answered {answer.status_code}: {answer.json()['error']['message']}")
    return answer.json()


def _what_next(stage: Stage) -> None:
    env = f"ENV_FILE={shlex.quote(str(stage.settings.data_dir / ENV_NAME))}"
    medialink = f"{env} .venv/bin/medialink"
    _step(6, "Now your own file, in this folder from another terminal")
    _say(
        f"{medialink} check ~/photo.jpg --kind image",
        f"{medialink} send '{NUMBER}' ~/photo.jpg --kind image --caption Hello",
        f"{medialink} settings",
        "",
        "or as your system would:",
        f"curl -H 'Authorization: Bearer {stage.gateway_token}' {stage.service_url}/links \\",
        f"     -d '{json.dumps({'kind': 'image', 'key': KEY})}'",
        "",
        f"what the sandbox saw:  {stage.sandbox_url}/sandbox/fetches  {stage.sandbox_url}/sandbox/messages",
    )


def _step(number: int, title: str) -> None:
    out.print(f"\n[bold cyan]{number}[/]  [bold]{title}[/]")


def _say(*lines: str) -> None:
    for line in "\n".join(lines).splitlines():
        out.print(f"   {line}", markup=False)
