"""The soak, longer than CI: does a service under mixed traffic grow, leave things about, or keep its hits waiting?"""

import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import httpx2
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.tree import Held, Peak, held
from benchmarks.visits import (
    HEAVY_IMAGES,
    LARGE,
    LARGE_BYTES,
    PIECE_BYTES,
    TIMEOUT_S,
    Service,
    Visitors,
    lay_media,
    service,
)

VISITORS = 8
SAMPLE_EVERY = 500
FORGET_EVERY = 2000
LARGE_CLIENTS = 8
MANY_FILES, MANY_BYTES = 100_000, 6_000
SWEEP_LIMIT_S = 60.0
POLL_S = 0.05

MAX_SLOPE_KB = 256.0
"""Of the tree, each 1,000 requests, over the second half: a million requests may cost a quarter of a gigabyte."""
MAX_MORE_DESCRIPTORS = 32
MAX_LARGE_KB = 64 * 1024
MAX_P99_MS = 50.0
MAX_READY_MORE_S = 2.0
MAX_INDEX_KB = 40 * 1024

console = Console()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Something measured, and what it may be at most."""

    what: str
    measured: float
    bound: float
    unit: str

    @property
    def holds(self) -> bool:
        return self.measured <= self.bound


def main(
    requests: Annotated[int, typer.Option(min=4 * SAMPLE_EVERY, max=1_000_000, help="Mixed requests.")] = 20_000,
) -> None:
    """Soak a service of two workers, and say PASS or FAIL; the exit code is 1 when a bound does not hold."""
    with TemporaryDirectory(prefix="medialink-soak-") as scratch:
        root = Path(scratch)
        console.print("laying media ...")
        lay_media(root / "media")
        with service(root / "served", root / "media") as served:
            usual_kb = _first_fill(served, root / "served" / "log")
            claims = [*_mixed(served, requests), *_large(served), *_overload(served)]
        claims += _many(root, empty_ready_s=served.ready_s, usual_kb=usual_kb)
    table = Table("", "measured", "at most", "")
    for claim in claims:
        figures = (f"{figure:,.1f} {claim.unit}" for figure in (claim.measured, claim.bound))
        table.add_row(claim.what, *figures, "PASS" if claim.holds else "FAIL")
    console.print(table)
    raise typer.Exit(0 if all(claim.holds for claim in claims) else 1)


def _mixed(served: Service, requests: int) -> Iterator[Claim]:
    visitors = Visitors(served)
    samples: list[tuple[int, Held]] = []
    with _clients(served, VISITORS) as clients, ThreadPoolExecutor(VISITORS) as threads, Progress() as progress:
        task = progress.add_task("mixed requests", total=requests)
        for begun in range(0, requests, SAMPLE_EVERY):
            if begun % FORGET_EVERY == 0:
                served.forget()
            numbers = range(begun, begun + SAMPLE_EVERY)
            list(threads.map(lambda number: visitors.visit(clients[number % VISITORS], number), numbers))
            samples.append((begun + SAMPLE_EVERY, held(served.pid)))
            done, seen = samples[-1]
            progress.update(task, completed=done)
            progress.print(
                f"{done:>7,} requests: RSS {seen.rss_kb / 1024:6.1f} MB, PSS {seen.pss_kb / 1024:6.1f} MB, "
                f"own {seen.own_kb / 1024:6.1f} MB, {seen.descriptors} fds"
            )
    for wrong in visitors.wrong[:10]:
        console.print(f"wrong: {wrong}")
    late = samples[len(samples) // 2 :]
    counts, sizes = [count / 1000 for count, _ in late], [seen.own_kb for _, seen in late]
    slope, _ = statistics.linear_regression(counts, sizes)
    descriptors = [seen.descriptors for _, seen in samples]
    drafts = len(list((served.cache / "drafts").iterdir()))
    yield Claim(what="requests answered wrong", measured=len(visitors.wrong), bound=0, unit="")
    yield Claim(what="growth by 1,000 requests, second half", measured=slope, bound=MAX_SLOPE_KB, unit="KB")
    yield Claim(
        what=f"descriptors more at the end ({descriptors[0]} -> {descriptors[-1]})",
        measured=descriptors[-1] - descriptors[0],
        bound=MAX_MORE_DESCRIPTORS,
        unit="",
    )
    yield Claim(what="temporary files at the end", measured=drafts, bound=0, unit="")


def _large(served: Service) -> Iterator[Claim]:
    """Give a large document to several at once, cold and warm."""
    link = served.link(LARGE, "document")
    for state in ("cold", "warm"):
        if state == "cold":
            served.forget()
        before = held(served.pid).own_kb
        with ThreadPoolExecutor(LARGE_CLIENTS) as threads, Peak(served.pid) as peak:
            sizes = list(threads.map(_read, [served.url + link] * LARGE_CLIENTS))
        if sizes != [LARGE_BYTES] * LARGE_CLIENTS:
            raise RuntimeError(f"the large document came as {sizes}")
        yield Claim(
            what=f"{LARGE_BYTES // 1_000_000} MB to {LARGE_CLIENTS} clients, {state}: memory added",
            measured=max(0, peak.own_kb - before) / 1024,
            bound=MAX_LARGE_KB / 1024,
            unit="MB",
        )


def _overload(served: Service) -> Iterator[Claim]:
    """Let one client ask for hits while several heavy pictures are made."""
    heavy = [served.url + served.link(f"heavy-{number}.jpg", "image") for number in range(HEAVY_IMAGES)]
    hit = served.link("hit-20k.pdf", "document")
    for making in (False, True):
        served.forget()
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        asker = multiprocessing.get_context("spawn").Process(target=_ask_for_hits, args=(served.url, hit, theirs))
        asker.start()
        ours.recv()
        if making:
            with ThreadPoolExecutor(HEAVY_IMAGES) as threads:
                answers = threads.map(partial(httpx2.get, trust_env=False, timeout=TIMEOUT_S), heavy)
                console.print(f"heavy pictures answered {[answer.status_code for answer in answers]}")
        else:
            time.sleep(2)
        ours.send("enough")
        asked, p50_ms, p99_ms = ours.recv()
        asker.join()
        console.print(f"hits while {HEAVY_IMAGES if making else 0} heavy pictures are made: {asked} asked")
        console.print(f"p50 {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms")
        if making:
            yield Claim(what=f"p99 of hits beside {HEAVY_IMAGES} encodes", measured=p99_ms, bound=MAX_P99_MS, unit="ms")


def _ask_for_hits(url: str, link: str, told: Connection) -> None:
    """Ask again and again on one connection, in a process of its own, until told that it is enough."""
    spans_ms = []
    with httpx2.Client(base_url=url, trust_env=False, timeout=TIMEOUT_S) as client:
        client.get(link)
        told.send("begun")
        while not told.poll():
            begun_s = time.perf_counter()
            client.get(link).raise_for_status()
            spans_ms.append((time.perf_counter() - begun_s) * 1000)
    told.send((len(spans_ms), statistics.median(spans_ms), statistics.quantiles(spans_ms, n=100)[-1]))


def _first_fill(served: Service, log: Path, until_told: bytes = b"") -> int:
    """Ask a service that has done nothing yet for something cold; gives the memory that it takes for it, in KB."""
    before = held(served.pid).own_kb
    with Peak(served.pid) as peak:
        _read(served.url + served.link("cold-0.pdf", "document"))
        until_s = time.monotonic() + SWEEP_LIMIT_S
        while until_told not in log.read_bytes() and time.monotonic() < until_s:
            time.sleep(POLL_S)
    return max(0, peak.own_kb - before)


def _many(root: Path, *, empty_ready_s: float, usual_kb: int) -> Iterator[Claim]:
    """Start over a cache of very many files, and let it be swept; the first fill does that."""
    cache = root / "many"
    for number in range(256):
        folder = cache / "files" / f"{number:02x}"
        folder.mkdir(parents=True)
        (folder / f"{number:02x}").write_bytes(bytes(MANY_BYTES))
    for number in range(MANY_FILES):
        name = f"{number % 256:02x}"
        os.link(cache / "files" / name / name, cache / "files" / name / f"{name}{number:030}")
    limits = {"CACHE_DIR": str(cache), "CACHE_MAX_BYTES": str(MANY_FILES * MANY_BYTES // 2)}
    with service(root / "over-many", root / "media", **limits) as served:
        more_s = served.ready_s - empty_ready_s
        console.print(f"ready after {served.ready_s:.2f} s, {empty_ready_s:.2f} s with an empty cache")
        took_kb = _first_fill(served, root / "over-many" / "log", b"cache.swept")
        console.print(f"the first fill took {took_kb / 1024:.1f} MB, {usual_kb / 1024:.1f} MB with an empty cache")
    yield Claim(what=f"start over {MANY_FILES:,} files: later", measured=more_s, bound=MAX_READY_MORE_S, unit="s")
    yield Claim(
        what="sweep of them: memory added",
        measured=(took_kb - usual_kb) / 1024,
        bound=MAX_INDEX_KB / 1024,
        unit="MB",
    )


@contextmanager
def _clients(served: Service, number: int) -> Iterator[list[httpx2.Client]]:
    clients = [httpx2.Client(base_url=served.url, trust_env=False, timeout=TIMEOUT_S) for _ in range(number)]
    yield clients
    for client in clients:
        client.close()


def _read(url: str) -> int:
    with httpx2.stream("GET", url, trust_env=False, timeout=TIMEOUT_S) as answer:
        return sum(len(piece) for piece in answer.raise_for_status().iter_bytes(PIECE_BYTES))


if __name__ == "__main__":
    typer.run(main)
