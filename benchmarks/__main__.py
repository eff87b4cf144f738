"""Measures, prints the table and writes it down beside this file."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Annotated

import httpx2
import typer

from benchmarks.load import CONNECTIONS, Cost, measure
from benchmarks.servers import Server, bare, medialink, nginx

RESULTS = Path(__file__).with_name("RESULTS.md")
NEEDED = ("nginx", "wrk", "taskset")
PACKAGES = ("starlette", "uvicorn", "uvloop", "httptools")
WARM_REQUESTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One question, asked of both; `target` is the multiple of nginx's CPU that issue 3 asks for."""

    name: str
    size_bytes: int
    target: float
    revalidates: bool = False


ROWS = (
    Row(name="20 KB", size_bytes=20_000, target=3.5),
    Row(name="200 KB", size_bytes=200_000, target=2.0),
    Row(name="5 MB", size_bytes=5_000_000, target=3.0),
    Row(name="304", size_bytes=20_000, target=3.5, revalidates=True),
)


def main(
    seconds: Annotated[int, typer.Option(min=1, max=30, help="Seconds of load in each round.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Rounds of each row; the least of them counts.")] = 10,
) -> None:
    """Measure a hit's CPU in medialink and in nginx, print the table and write RESULTS.md."""
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        sys.stderr.write(f"The benchmark needs {', '.join(missing)}: install it and say make bench again.\n")
        raise typer.Exit(2)
    with TemporaryDirectory(prefix="medialink-bench-") as scratch:
        root, media = Path(scratch), Path(scratch) / "media"
        media.mkdir()
        for row in ROWS:
            noise = Random(row.size_bytes).randbytes(row.size_bytes)  # noqa: S311 - a body that does not compress
            (media / f"{row.size_bytes}.pdf").write_bytes((b"%PDF-1.7\n" + noise)[: row.size_bytes])
        with nginx(root / "nginx", media) as first, bare(media) as floor, medialink(root / "medialink", media) as ours:
            table = "\n".join(_table((first, floor, ours), seconds=seconds, rounds=rounds))
    command = f"python -m benchmarks --seconds {seconds} --rounds {rounds}"
    RESULTS.write_text(f"# A hit, in multiples of nginx\n\n{_circumstances(command)}\n\n{table}\n")
    sys.stdout.write(f"{table}\n")


def _table(servers: tuple[Server, ...], *, seconds: int, rounds: int) -> Iterator[str]:
    yield "| hit | nginx us | bare us | medialink us | bare | medialink | target | p99 nginx ms | p99 medialink ms |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in ROWS:
        measured = [[_cost(server, row, seconds) for server in servers] for _ in range(rounds)]
        first, floor, own = (min(costs, key=lambda cost: cost.cpu_us) for costs in zip(*measured, strict=True))
        yield (
            f"| {row.name} | {first.cpu_us:.1f} | {floor.cpu_us:.1f} | {own.cpu_us:.1f} "
            f"| {floor.cpu_us / first.cpu_us:.2f} | **{own.cpu_us / first.cpu_us:.2f}** | {row.target} "
            f"| {first.p99_ms:.1f} | {own.p99_ms:.1f} |"
        )


def _cost(server: Server, row: Row, seconds: int) -> Cost:
    url = server.urls[f"{row.size_bytes}.pdf"]
    with httpx2.Client(trust_env=False) as client:
        warm = [client.get(url) for _ in range(WARM_REQUESTS)][-1]
        if len(warm.raise_for_status().content) != row.size_bytes:
            raise RuntimeError(f"{url} gave {len(warm.content)} bytes")
        headers = {"If-None-Match": warm.headers["etag"]} if row.revalidates else {}
        if row.revalidates and client.get(url, headers=headers).status_code != httpx2.codes.NOT_MODIFIED:
            raise RuntimeError(f"{url} does not answer 304")
    return measure(server.pid, url, headers, seconds=seconds)


def _circumstances(command: str) -> str:
    told = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True)  # noqa: S607 - where it is
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    cores = sum(line.startswith("processor") for line in Path("/proc/cpuinfo").read_text().splitlines())
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {cores} shared cores ({_model()}), {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, {versions}; {told.stderr.strip().removeprefix('nginx version: ')} with "
        f"proxy_cache and sendfile. Command: `{command}` (`make bench`).\n\n"
        f"CPU (user and system) of the server's processes by request, and its multiples of nginx's. They are measured "
        f"in turn; the least of the rounds counts, because what else runs on the machine only adds. One worker on one "
        f"core, wrk with {CONNECTIONS} kept-alive connections on the other, all on the loopback. medialink runs as "
        f"`serve` with its defaults: a folder store, a warm cache, the expiry check, the bounds on requests and the "
        f"request ids in force, logging at `info`. `bare` is an ASGI app on the same uvicorn that sends the same bytes "
        f"from memory with two headers and does nothing else: the floor under any app."
    )


def _model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


typer.run(main)
