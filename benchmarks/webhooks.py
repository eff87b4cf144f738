"""Webhooks at a steady rate over real sockets: how long each waits for its 200, and whether all are passed on.

The load is open: a webhook goes out when its time has come, whether the others were answered or not, and what it waits
for a connection counts.
"""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Annotated, Any

import httpx2
import typer

from proxy.media.kinds import Kind
from proxy.messaging.entries import Entry, LedgerMedium
from proxy.messaging.ledger import Ledger
from proxy.messaging.outcomes import Accepted
from proxy.settings import parse_ledger_keys

ours = ModuleType("tests")  # sniffpy 1.0 installs a package of this name, which is found before a folder without a file
ours.__path__ = [str(Path(__file__).parents[1] / "tests")]
sys.modules[ours.__name__] = ours

from tests.messaging.postgres_server import find_binaries, running_postgres  # noqa: E402 - ours only from here on

CONNECTIONS = 32
START_LIMIT_S, DRAIN_LIMIT_S, POLL_S = 30.0, 120.0, 0.05
SECRET, KEY = "secret-of-the-benchmark", "a" * 43
STEPS = ("sent", "delivered", "read")
TARGET_MS = 200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    waits_ms: Sequence[float]
    drained_s: float | None

    def row(self, name: str) -> str:
        ordered = sorted(self.waits_ms)
        p50, p99 = (ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
        late = sum(wait > TARGET_MS for wait in ordered)
        drained = "" if self.drained_s is None else f"{self.drained_s:.2f}"
        return f"| {name} | {len(ordered)} | {p50:.1f} | {p99:.1f} | {ordered[-1]:.0f} | {late} | {drained} |"


async def taker(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
    """Take a webhook as the owner's system would; an ASGI app."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


def main(
    rate: Annotated[int, typer.Option(min=1, max=1000, help="Webhooks a second.")] = 100,
    seconds: Annotated[int, typer.Option(min=1, max=600, help="Seconds of load in each row.")] = 20,
) -> None:
    """Measure SQLite and PostgreSQL, with and without passing on; print a table."""
    with ExitStack() as running:
        ledgers = {"SQLite": ""}
        if binaries := find_binaries():
            server = running.enter_context(running_postgres(binaries))
            server.stop()
            server.start(fsync="on", default_transaction_isolation="read committed")
            ledgers["PostgreSQL"] = server.url(server.new_database())
        say("| ledger | webhooks | p50 ms | p99 ms | max ms | over 200 ms | passed on, s after the last |")
        say("|---|---|---|---|---|---|---|")
        for name, url in ledgers.items():
            for forwards in (False, True):
                with TemporaryDirectory(prefix="medialink-webhooks-") as root:
                    measured = measure(Path(root), url, forwards=forwards, rate=rate, seconds=seconds)
                say(measured.row(f"{name}, passed on" if forwards else name))


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def measure(root: Path, ledger_url: str, *, forwards: bool, rate: int, seconds: int) -> Measured:
    bodies = asyncio.run(begun(ledger_url or f"sqlite:///{root / 'ledger.sqlite3'}", rate * seconds))
    (root / "env").touch()
    with ExitStack() as running:
        forward_to = "none"
        if forwards:
            port = free_port()
            quiet = ["--log-level", "warning", "--no-access-log", "--port", str(port)]
            command = [sys.executable, "-m", "uvicorn", "benchmarks.webhooks:taker", *quiet]
            forward_to = f"http://127.0.0.1:{port}/"
            running.enter_context(up(command, {}, forward_to))
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        settings = {
            "ENV_FILE": str(root / "env"),
            "DATA_DIR": str(root),
            "LISTEN_PORT": str(port),
            "LEDGER_KEY": KEY,
            "WEBHOOK_SECRET": SECRET,
            "FORWARD_WEBHOOKS_TO": forward_to,
        } | ({"LEDGER_URL": ledger_url} if ledger_url else {})
        serve = [sys.executable, "-m", "proxy", "serve", "--only", "messaging"]
        running.enter_context(up(serve, settings, f"{url}/healthz"))
        waits_ms = asyncio.run(load(port, bodies, rate))
        return Measured(waits_ms=waits_ms, drained_s=drained(url, len(bodies)) if forwards else None)


async def begun(url: str, webhooks: int) -> list[bytes]:
    """Write messages into the ledger as sends would, and give the webhooks that will come of them."""
    ledger = Ledger(url, keys=parse_ledger_keys(KEY), now=lambda: datetime.now(UTC))
    await ledger.open()
    run = os.urandom(4).hex()
    names = [f"{run}-{number}" for number in range(-(-webhooks // len(STEPS)))]
    for name in names:
        medium = LedgerMedium(kind=Kind.IMAGE, link="https://media.example.com/m/a/b/c.jpg")
        await ledger.begin(Entry(id=name, type="image", recipient="491701234567", media=(medium,)))
        await ledger.finish(name, Accepted(message_id=f"wamid.{name}"))
    await ledger.close()
    return [webhook(name, step) for step in STEPS for name in names][:webhooks]


def webhook(name: str, step: str) -> bytes:
    status = {
        "id": f"wamid.{name}",
        "status": step,
        "timestamp": str(int(time.time())),
        "recipient_id": "491701234567",
        "conversation": {"id": "c" * 32, "origin": {"type": "utility"}},
        "pricing": {"billable": True, "pricing_model": "PMP", "category": "utility", "type": "regular"},
    }
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550100", "phone_number_id": "106540352242922"},
        "statuses": [status],
    }
    entry = {"id": "102290129340398", "changes": [{"value": value, "field": "messages"}]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


async def load(port: int, bodies: Sequence[bytes], rate: int) -> list[float]:
    """Post each body at its time; gives how long after that time each was answered."""
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    began_s = time.perf_counter()

    async def post(number: int, body: bytes) -> float:
        due_s = began_s + number / rate
        await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
        reader, writer = await free.get()
        head = f"POST /webhooks HTTP/1.1\r\nHost: a\r\nX-Webhook-Secret: {SECRET}\r\nContent-Type: application/json"
        writer.write(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(answer.decode())
        free.put_nowait((reader, writer))
        return (time.perf_counter() - due_s) * 1000

    waits_ms = await asyncio.gather(*(post(number, body) for number, body in enumerate(bodies)))
    while not free.empty():
        free.get_nowait()[1].close()
    return waits_ms


def drained(url: str, webhooks: int) -> float:
    """Wait until all are passed on; gives the seconds."""
    began_s = time.perf_counter()
    while time.perf_counter() - began_s < DRAIN_LIMIT_S:
        page = httpx2.get(f"{url}/metrics", trust_env=False).text
        taken = re.search(r'^medialink_webhooks_forwarded_total\{result="taken"\} (\S+)', page, re.MULTILINE)
        if taken and float(taken[1]) >= webhooks:
            return time.perf_counter() - began_s
        time.sleep(POLL_S)
    raise RuntimeError("not all was passed on")


@contextmanager
def up(command: Sequence[str], settings: Mapping[str, str], url: str) -> Iterator[None]:
    environment: MutableMapping[str, str] = {"PATH": os.environ.get("PATH", os.defpath), **settings}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - our own
    try:
        until_s = time.monotonic() + START_LIMIT_S
        while not answers(url):
            if process.poll() is not None or time.monotonic() > until_s:
                raise RuntimeError(f"{command} did not start")
            time.sleep(POLL_S)
        yield
    finally:
        process.terminate()
        process.wait(START_LIMIT_S)


def answers(url: str) -> bool:
    try:
        httpx2.get(url, trust_env=False, timeout=5)
    except httpx2.TransportError:
        return False
    return True


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


if __name__ == "__main__":
    typer.run(main)
