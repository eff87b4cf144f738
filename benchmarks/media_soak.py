"""The soak of the decoders: thousands of whole and broken files through the real pool, as images and as stickers.

Does the pool or its parent grow, has every file an answer, and does anybody notice a worker that hangs or is killed?
"""

import asyncio
import os
import re
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.soak import Claim
from benchmarks.tree import held
from proxy.errors import DecodeLimit, MedialinkError
from proxy.media.checker import check
from proxy.media.kinds import Kind, Made, Rules
from proxy.media.workers import Workers
from proxy.specimen import make_photograph

ours = ModuleType("tests")  # sniffpy 1.0 installs a package of this name, which is found before a folder without a file
ours.__path__ = [str(Path(__file__).parents[1] / "tests")]
sys.modules[ours.__name__] = ours

from tests.media.mutations import mutate, seeds  # noqa: E402 - ours only from here on

KINDS = (Kind.IMAGE, Kind.STICKER)
SLOTS = 2
TIME_LIMIT_S = 10.0
MEMORY_BYTES = 1 << 30
SAMPLE_EVERY = 50
PHOTOGRAPHS = ((1600, 1200), (4032, 3024))
PHOTOGRAPH_EVERY = 50
TROUBLED_FILES = 200
TROUBLE_EVERY = 20

MAX_POOL_SLOPE_KB = 4096.0
MAX_PARENT_SLOPE_KB = 512.0
"""By 1,000 files, over the second half. Of the parent 244 were measured; its tasks alone leave nothing behind."""
MAX_POOL_KB = 400 * 1024
MAX_MORE_DESCRIPTORS = 4

Work = Callable[[], Any]
console = Console()


@dataclass(kw_only=True)
class Answers:
    """What was told of the first files as each kind, how often what of all; `wrong` is what was no answer."""

    told: dict[tuple[int, Kind], str] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    files: int
    pool_kb: int
    parent_kb: int
    descriptors: int


def main(
    files: Annotated[int, typer.Option(min=4 * SAMPLE_EVERY, max=1_000_000, help="Files, each as two kinds.")] = 2000,
) -> None:
    """Soak the decoders, and say PASS or FAIL; the exit code is 1 when a bound does not hold."""
    with TemporaryDirectory(prefix="medialink-media-soak-") as scratch:
        claims = asyncio.run(_soak(Path(scratch), files))
    table = Table("", "measured", "at most", "")
    for claim in claims:
        figures = (f"{figure:,.1f} {claim.unit}" for figure in (claim.measured, claim.bound))
        table.add_row(claim.what, *figures, "PASS" if claim.holds else "FAIL")
    console.print(table)
    raise typer.Exit(0 if all(claim.holds for claim in claims) else 1)


async def _soak(root: Path, files: int) -> list[Claim]:
    workers = Workers(
        slots=SLOTS,
        queue=SAMPLE_EVERY * len(KINDS) * 2,
        time_limit_s=TIME_LIMIT_S,
        memory_bytes=MEMORY_BYTES,
        slots_dir=root / "slots",
    )
    try:
        photographs = [root / f"{width}.jpg" for width, _ in PHOTOGRAPHS]
        for path, (width, height) in zip(photographs, PHOTOGRAPHS, strict=True):
            make_photograph(path, width=width, height=height)
        sources = [*seeds().values(), *(path.read_bytes() for path in photographs)]
        calm, samples = Answers(), []
        begun_s = time.monotonic()
        with Progress() as progress:
            task = progress.add_task("files", total=files)
            for begun in range(0, files, SAMPLE_EVERY):
                numbers = range(begun, min(files, begun + SAMPLE_EVERY))
                await asyncio.gather(*(_ask(workers, root, sources, number, calm) for number in numbers))
                samples.append(_sample(numbers.stop))
                progress.update(task, completed=numbers.stop)
                progress.print(_line(samples[-1]))
        console.print(f"{calm.outcomes.total():,} answers in {time.monotonic() - begun_s:.0f} s: {dict(calm.outcomes)}")
        troubled, unharmed = await _trouble(workers, root, sources, min(files, TROUBLED_FILES))
    finally:
        workers.close()
    return [*_of_answers(calm, files), *_of_memory(samples), *_of_trouble(calm, troubled, unharmed)]


async def _ask(workers: Workers, root: Path, sources: list[bytes], number: int, answers: Answers) -> None:
    source = root / str(number)
    source.write_bytes(_file(sources, number))
    for kind in KINDS:
        target = source.with_suffix(f".{kind}")
        try:
            verdict = await workers.run(check, kind, source, target, Rules())
        except MedialinkError as refused:
            outcome, told = refused.code, refused.message
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what this run looks for
            outcome, told = "wrong", repr(error)
            answers.wrong.append(f"file {number} as {kind}: {error!r}")
        else:
            outcome, told = type(verdict).__name__, repr(verdict)
            if isinstance(verdict, Made) and target.stat().st_size != verdict.size_bytes:
                answers.wrong.append(f"file {number} as {kind}: {target.stat().st_size} bytes, told {verdict}")
        if number < TROUBLED_FILES:
            answers.told[number, kind] = told
        answers.outcomes[f"{kind} {outcome}"] += 1
        target.unlink(missing_ok=True)
    source.unlink()


def _file(sources: list[bytes], number: int) -> bytes:
    """Give every second file whole, the others broken; the same number gives the same file."""
    random = Random(number)  # noqa: S311 - no secret
    photographs = len(PHOTOGRAPHS)
    few, many = sources[-photographs:], sources[:-photographs]
    data = few[number // PHOTOGRAPH_EVERY % photographs] if not number % PHOTOGRAPH_EVERY else random.choice(many)
    return mutate(data, random.choice(many), random) if number // 2 % 2 else data


async def _trouble(workers: Workers, root: Path, sources: list[bytes], files: int) -> tuple[Answers, list[str]]:
    """Ask for the same files again while workers hang in C or are killed; gives what became of those, where wrong."""
    troubles: list[Work] = [
        partial(workers.run, re.match, "(a+)+$", "a" * 60 + "b"),
        partial(workers.run, signal.raise_signal, signal.SIGKILL),
    ]
    answers, unharmed = Answers(), []

    async def disturb(trouble: Work) -> None:
        try:
            unharmed.append(f"nothing: {await trouble()}")
        except DecodeLimit:
            answers.outcomes["hung or killed"] += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what this run looks for
            unharmed.append(repr(error))

    for begun in range(0, files, SAMPLE_EVERY):
        numbers = range(begun, min(files, begun + SAMPLE_EVERY))
        works = [_ask(workers, root, sources, number, answers) for number in numbers]
        works += [disturb(troubles[number // TROUBLE_EVERY % 2]) for number in numbers if not number % TROUBLE_EVERY]
        await asyncio.gather(*works)
    console.print(f"the same files while workers hang and are killed: {dict(answers.outcomes)}")
    return answers, unharmed


def _sample(files: int) -> Sample:
    seen, parent_kb = held(os.getpid()), _own_kb()
    return Sample(files=files, pool_kb=seen.own_kb - parent_kb, parent_kb=parent_kb, descriptors=seen.descriptors)


def _own_kb() -> int:
    return int(Path("/proc/self/status").read_text(encoding="ascii").partition("RssAnon:")[2].split()[0])


def _line(seen: Sample) -> str:
    pool_mb, parent_mb = seen.pool_kb / 1024, seen.parent_kb / 1024
    return f"{seen.files:>7,} files: pool {pool_mb:6.1f} MB, parent {parent_mb:6.1f} MB, {seen.descriptors} fds"


def _of_answers(calm: Answers, files: int) -> Iterator[Claim]:
    for wrong in calm.wrong[:10]:
        console.print(f"wrong: {wrong}")
    yield Claim(what="neither a verdict nor a typed refusal", measured=len(calm.wrong), bound=0, unit="")
    yield Claim(what="without an answer", measured=files * len(KINDS) - calm.outcomes.total(), bound=0, unit="")
    busy = sum(count for outcome, count in calm.outcomes.items() if outcome.endswith(" busy"))
    yield Claim(what="turned away", measured=busy, bound=0, unit="")


def _of_memory(samples: list[Sample]) -> Iterator[Claim]:
    late = samples[len(samples) // 2 :]
    counts = [seen.files / 1000 for seen in late]
    for who, sizes_kb, bound_kb in (
        ("pool", [seen.pool_kb for seen in late], MAX_POOL_SLOPE_KB),
        ("parent", [seen.parent_kb for seen in late], MAX_PARENT_SLOPE_KB),
    ):
        slope, _ = statistics.linear_regression(counts, sizes_kb)
        what = f"growth of the {who} by 1,000 files, second half"
        yield Claim(what=what, measured=slope, bound=bound_kb, unit="KB")
    most_kb = max(seen.pool_kb for seen in samples)
    yield Claim(what="most that the idle pool held", measured=most_kb / 1024, bound=MAX_POOL_KB / 1024, unit="MB")
    more = samples[-1].descriptors - samples[0].descriptors
    yield Claim(what="descriptors more at the end", measured=more, bound=MAX_MORE_DESCRIPTORS, unit="")


def _of_trouble(calm: Answers, troubled: Answers, unharmed: list[str]) -> Iterator[Claim]:
    noticed = [name for name, told in troubled.told.items() if told != calm.told[name]]
    for name in noticed[:10]:
        console.print(f"file {name}: {calm.told[name]}, and beside trouble: {troubled.told[name]}")
    for each in unharmed[:10]:
        console.print(f"trouble that came to something else: {each}")
    yield Claim(what="hung or killed and not refused as such", measured=len(unharmed), bound=0, unit="")
    yield Claim(what="answers that others' trouble changed", measured=len(noticed), bound=0, unit="")


if __name__ == "__main__":
    typer.run(main)
