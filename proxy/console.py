"""How commands speak: to a person in sentences and tables, to a script in JSON, and in exit codes to both."""

# ruff: noqa: PLC0415 - rich comes with the first word: who answers a script does without
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from proxy.delivery.verdicts import Refused, Verdict
from proxy.errors import (
    Malformed,
    MedialinkError,
    NotFound,
    ProviderBusy,
    RefusedMedium,
    SettingsInvalid,
    TooLarge,
    Unavailable,
)
from proxy.media.kinds import AsIs, Kind, Made

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

EXIT_OK = 0
EXIT_REFUSED = 1
EXIT_WRONG_INPUT = 2
EXIT_AWAY = 3


class Voice:
    """One of the two standard streams, as a person reads it."""

    def __init__(self, *, stderr: bool = False) -> None:
        self._stderr = stderr

    @cached_property
    def console(self) -> "Console":
        from rich.console import Console

        return Console(stderr=self._stderr, highlight=False, soft_wrap=True, emoji=False)

    @property
    def is_terminal(self) -> bool:
        return self.console.is_terminal

    def print(self, *objects: object, **how: Any) -> None:
        self.console.print(*objects, **how)

    def status(self, doing: str) -> "Status":
        return self.console.status(doing)


out = Voice()
err = Voice(stderr=True)


def exit_code(error: MedialinkError) -> int:
    match error:
        case RefusedMedium() | TooLarge():
            return EXIT_REFUSED
        case Malformed() | NotFound() | SettingsInvalid():
            return EXIT_WRONG_INPUT
        case Unavailable() | ProviderBusy():
            return EXIT_AWAY
        case _:
            return EXIT_REFUSED


def show_json(value: Mapping[str, object]) -> None:
    """Print for scripts: one object, no colours, no wrapping."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


@contextmanager
def told(*, as_json: bool) -> Iterator[None]:
    """Turn an error of ours into a sentence and an exit code."""
    try:
        yield
    except MedialinkError as error:
        if as_json:
            show_json({"error": {"code": error.code, "message": error.message, **error.evidence}})
        else:
            err.print(error.message, style="red", markup=False)
            if error.__cause__ is not None and isinstance(error, Unavailable):
                err.print(f"  because: {error.__cause__!r}", markup=False)
        raise SystemExit(exit_code(error)) from None


def show_verdict(name: str, kind: Kind, verdict: Verdict) -> None:
    """Say in a few lines what becomes of a medium."""
    from rich.markup import escape
    from rich.table import Table

    out.print(f"[bold]{escape(name)}[/] as {kind}: {_headline(verdict)}")
    if isinstance(verdict, Refused):
        out.print(f"  {verdict.error().message}", markup=False)
        return
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    for label, text in _rows(verdict):
        table.add_row(f"[dim]{label}[/]", text)
    out.print(table)


def _headline(verdict: Verdict) -> str:
    match verdict:
        case AsIs():
            return "[green]deliverable as it is[/]"
        case Made():
            return "[green]made to fit[/]"
        case Refused():
            return f"[red]refused[/] ({verdict.code})"


def _rows(verdict: AsIs | Made) -> Iterator[tuple[str, str]]:
    if isinstance(verdict, Made):
        change = (verdict.size_bytes - verdict.source_size_bytes) / verdict.source_size_bytes
        yield "type", f"{verdict.source_media_type} -> {verdict.media_type}"
        yield "bytes", f"{verdict.source_size_bytes:,} -> {verdict.size_bytes:,} ({change:+.0%})"
        yield "pixels", f"{verdict.source_width} x {verdict.source_height} -> {verdict.width} x {verdict.height}"
        if verdict.quality is not None:
            yield "quality", f"{verdict.quality}, after {verdict.encodes} encoding{'s' * (verdict.encodes != 1)}"
        yield "done", ", ".join(verdict.steps)
    else:
        yield "type", verdict.media_type
        yield "bytes", f"{verdict.size_bytes:,}"
        if verdict.width is not None:
            yield "pixels", f"{verdict.width} x {verdict.height}"
    for warning in verdict.warnings:
        yield "[yellow]note[/]", f"{warning}: {warning.sentence}"
