"""The sums of what was prepared and warmed: for a person a picture, for a script JSON, for both an exit code."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from proxy.cli.shown import MB, parts, printable, reasons_in_json, show_bars, show_reasons, weights
from proxy.console import EXIT_AWAY, EXIT_OK, EXIT_REFUSED, exit_code, out, show_json
from proxy.errors import MedialinkError
from proxy.media.kinds import Kind
from proxy.prepare import Faults, Shard, Tally
from proxy.telemetry import metrics
from proxy.warm import BOUNDS_S, Warmed

EXIT_INTERRUPTED: Final = 128 + signal.SIGINT


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command's work ended, and after how long: whole, by an error, or by Ctrl-C."""

    seconds: float
    error: MedialinkError | None = None
    interrupted: bool = False

    @property
    def whole(self) -> bool:
        return self.error is None and not self.interrupted


class Summary(Protocol):
    @property
    def faults(self) -> Faults: ...

    @property
    def done(self) -> int: ...

    def in_json(self) -> Mapping[str, object]: ...

    def show(self, seconds: float) -> None: ...


async def ended_by(work: Awaitable[None], clock: Callable[[], float] = time.monotonic) -> Ended:
    """Do it, and say how it ended. Ctrl-C, by which asyncio cancels a command, is an end like others here."""
    began_s = clock()
    try:
        await work
    except MedialinkError as error:
        return Ended(seconds=clock() - began_s, error=error)
    except asyncio.CancelledError:
        return Ended(seconds=clock() - began_s, interrupted=True)
    return Ended(seconds=clock() - began_s)


def tell(summary: Summary, ended: Ended, write: Callable[[Mapping[str, object]], None], *, as_json: bool) -> int:
    """Show what was done, whatever ended it; gives the exit code.

    Raises:
        MedialinkError: what ended it, where nothing was done yet or a person is to be told.
    """
    if ended.error is not None and not summary.done:
        raise ended.error
    told = {**summary.in_json(), "seconds": round(ended.seconds, 1), "whole": ended.whole}
    if ended.error is not None:
        told["error"] = {"code": ended.error.code, "message": ended.error.message}
    if as_json:
        show_json(told)
    else:
        summary.show(ended.seconds)
        if not ended.whole:
            out.print("It ended before its time: this is what was done. Run it again to go on.", style="yellow")
    write({"sum": told})
    if ended.error is not None and not as_json:
        raise ended.error
    return _code(summary.faults, ended)


def _code(faults: Faults, ended: Ended) -> int:
    if ended.interrupted:
        return EXIT_INTERRUPTED
    if ended.error is not None:
        return exit_code(ended.error)
    if faults.again:
        return EXIT_AWAY
    return EXIT_REFUSED if faults.lasting else EXIT_OK


def judged(kind: Kind) -> int:
    """Count what this process has judged itself, and not found judged."""
    counts = (
        metrics.REGISTRY.get_sample_value("medialink_renditions_total", {"kind": kind, "result": result})
        for result in metrics.RESULTS
    )
    return int(sum(count or 0 for count in counts))


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedSummary:
    """`new` were judged, and made where need be, by this run; the others had been before."""

    prefix: str
    kind: Kind
    shard: Shard
    tally: Tally
    new: int

    @property
    def faults(self) -> Faults:
        return self.tally.faults

    @property
    def done(self) -> int:
        return self.tally.done

    def in_json(self) -> Mapping[str, object]:
        tally = self.tally
        return {
            "prefix": self.prefix,
            "kind": self.kind,
            "shard": str(self.shard),
            "keys": tally.done,
            "as_is": tally.as_is,
            "made": tally.made,
            "refused": reasons_in_json(tally.faults.lasting),
            "failed": reasons_in_json(tally.faults.again),
            "gone": tally.gone,
            "new": self.new,
            "before_bytes": tally.before_bytes,
            "after_bytes": tally.after_bytes,
        }

    def show(self, seconds: float) -> None:
        tally = self.tally
        part = "" if self.shard.of == 1 else f", shard {self.shard}"
        out.print(
            f"{tally.done:,} keys under {printable(self.prefix) or '/'} as {self.kind}{part}",
            style="bold",
            markup=False,
        )
        rows = (
            ("as they are", tally.as_is, "green"),
            ("made to fit", tally.made, "cyan"),
            ("refused", tally.faults.lasting_count, "red"),
            ("failed", tally.faults.again_count, "yellow"),
            ("deleted meanwhile", tally.gone, "dim"),
        )
        show_bars(*parts(rows), *weights(tally.before_bytes, tally.after_bytes))
        show_reasons("refused", tally.faults.lasting)
        show_reasons("failed", tally.faults.again)
        found = "" if self.new >= tally.as_is + tally.made else "; what was judged before was found"
        out.print(f"{seconds:,.1f} s; {self.new:,} judged by this run{found}", markup=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmedSummary:
    public_url: str
    warmed: Warmed

    @property
    def faults(self) -> Faults:
        return self.warmed.faults

    @property
    def done(self) -> int:
        return self.warmed.done

    def in_json(self) -> Mapping[str, object]:
        warmed = self.warmed
        return {
            "public_url": self.public_url,
            "links": warmed.done,
            "right": warmed.right,
            "caches": dict(warmed.caches),
            "statuses": {str(status): count for status, count in sorted(warmed.statuses.items())},
            "wrong": reasons_in_json(warmed.faults.lasting),
            "failed": reasons_in_json(warmed.faults.again),
            "bytes": warmed.body_bytes,
            "slowest_s": round(warmed.slowest_s, 3),
            "fetches_within_s": dict(zip([*map(str, BOUNDS_S), "more"], warmed.seconds, strict=True)),
        }

    def show(self, seconds: float) -> None:
        warmed = self.warmed
        out.print(f"{warmed.done:,} links through {self.public_url}", style="bold", markup=False)
        rows = (
            ("hits", warmed.caches["hit"], "green"),
            ("misses", warmed.caches["miss"], "cyan"),
            ("no cache told", warmed.caches["unsaid"], "blue"),
            ("wrong", warmed.faults.lasting_count, "red"),
            ("failed", warmed.faults.again_count, "yellow"),
        )
        show_bars(*parts(rows))
        labels = [*(f"within {bound:g} s" for bound in BOUNDS_S), "longer"]
        fetches = sum(warmed.seconds)
        show_bars(*parts([(label, count, "blue") for label, count in zip(labels, warmed.seconds, strict=True)]))
        show_reasons("wrong", warmed.faults.lasting)
        show_reasons("failed", warmed.faults.again)
        statuses = ", ".join(f"{count:,} x {status}" for status, count in sorted(warmed.statuses.items()))
        out.print(
            f"{seconds:,.1f} s; {fetches:,} fetches ({statuses}), {warmed.body_bytes / MB:,.1f} MB, "
            f"the slowest {warmed.slowest_s:.2f} s",
            markup=False,
        )
