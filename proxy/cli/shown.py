"""How a command that works through many shows it: a bar while it works, and a picture of what became of them."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from proxy.console import err, out
from proxy.errors import Malformed
from proxy.prepare import Fault, Faults, Reason

PLAIN_EVERY_S: Final = 10.0
"""How often a line is written where there is no terminal."""
BAR_CHARS: Final = 32
LABEL_CHARS: Final = 18
MB: Final = 1_000_000


class Watch:
    """Shows how far it is: a bar on a terminal, else a line now and then; both on standard error."""

    def __init__(self, doing: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._doing = doing
        self._clock = clock
        self._told_s = clock()
        self._total: int | None = None
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[said]}"),
            console=err.console,
            transient=True,
            disable=not err.is_terminal,
        )
        self._task = self._bar.add_task(doing, total=None, said="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def expect(self, total: int) -> None:
        self._total = total
        self._bar.update(self._task, total=total)

    def see(self, done: int, faults: Faults) -> None:
        wrong = faults.lasting_count + faults.again_count
        said = f"{wrong:,} not right" if wrong else ""
        self._bar.update(self._task, completed=done, said=said)
        if not err.is_terminal and self._clock() - self._told_s >= PLAIN_EVERY_S:
            self._told_s = self._clock()
            of = "" if self._total is None else f" of {self._total:,}"
            err.print(f"{self._doing}: {done:,}{of}{', ' if said else ''}{said}", markup=False)


@contextmanager
def report_to(file: Path | None) -> Iterator[Callable[[Mapping[str, object]], None]]:
    """Write JSON Lines as they come, so that a run which is killed leaves what it knew.

    Raises:
        Malformed: the file cannot be written.
    """
    if file is None:
        yield lambda _: None
        return
    with ExitStack() as opened:
        with _writing(file):
            lines = opened.enter_context(file.open("w", encoding="utf-8", buffering=1))

        def write(line: Mapping[str, object]) -> None:
            with _writing(file):
                lines.write(json.dumps(line) + "\n")

        yield write


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Malformed(field="--report", problem=f"{file} cannot be written ({error.strerror})") from error


def fault_in_json(fault: Fault) -> Mapping[str, object]:
    return {"name": fault.name, "code": fault.code, "message": fault.message, "again": fault.again}


def reasons_in_json(reasons: Mapping[str, Reason]) -> Mapping[str, object]:
    return {
        code: {"count": reason.count, "first": [*map(printable, reason.first)], "message": printable(reason.message)}
        for code, reason in reasons.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One line of a picture: a part of a whole, said in words beside it."""

    label: str
    part: int
    whole: int
    said: str
    colour: str = "cyan"


def parts(rows: Sequence[tuple[str, int, str]]) -> Iterator[Bar]:
    """Make a bar of each label, count and colour; what is nought has none."""
    whole = sum(count for _, count, _ in rows)
    for label, count, colour in rows:
        if count:
            said = f"{count:,} ({count / whole:.0%})"
            yield Bar(label=label, part=count, whole=whole, said=said, colour=colour)


def weights(before_bytes: int, after_bytes: int) -> Iterator[Bar]:
    """Show the bytes before and after to one scale."""
    if before_bytes:
        heavier = max(before_bytes, after_bytes)
        change = f" ({(after_bytes - before_bytes) / before_bytes:+.0%})"
        for label, size_bytes, more in (("before", before_bytes, ""), ("after", after_bytes, change)):
            said = f"{size_bytes / MB:,.1f} MB{more}"
            yield Bar(label=label, part=size_bytes, whole=heavier, said=said, colour="blue")


def show_bars(*bars: Bar) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(min_width=LABEL_CHARS, justify="right")
    for bar in bars:
        drawn = ProgressBar(bar.whole, bar.part, width=BAR_CHARS, complete_style=bar.colour, finished_style=bar.colour)
        table.add_row(bar.label, drawn, bar.said)
    out.print(table)


def show_reasons(title: str, reasons: Mapping[str, Reason]) -> None:
    """Name the codes, the most frequent first, with the first names of each."""
    for code, reason in sorted(reasons.items(), key=lambda item: -item[1].count):
        out.print(f"[bold]{title} {escape(code)}[/]: {reason.count:,}")
        out.print(Padding(Text(printable(reason.message), style="dim"), (0, 0, 0, 2)), soft_wrap=False)
        for name in reason.first:
            out.print(f"    {printable(name)}", markup=False)
        if reason.count > len(reason.first):
            out.print(f"    and {reason.count - len(reason.first):,} more", style="dim")


def printable(text: str) -> str:
    """Escape what would move the cursor, turn the line around, or break the terminal's encoding."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
