"""How a report is shown: bars in a terminal, and JSON."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from proxy.cli.services import PIPE_COLUMNS
from proxy.cli.shown import Bar, show_bars
from proxy.console import out
from proxy.messaging.sums import Count, Report

SHARES: Final = {"median": 0.5, "p95": 0.95}


def show_report(report: Report) -> None:
    whole = report.whole
    if not out.is_terminal:
        out.console.width = PIPE_COLUMNS
    out.print(f"{whole.posted:,} message{'s' * (whole.posted != 1)}, {report.span}", style="bold", markup=False)
    if not whole.posted:
        out.print("Nothing was sent in this time, or another ledger knows of it (LEDGER_URL).")
        return
    steps = whole.funnel.items()
    show_bars(*(_bar(step, count, of=whole.posted, whole=whole.posted) for step, count in steps))
    out.print(in_time(whole), markup=False)
    wrong = tuple(wrongs(whole))
    if wrong:
        out.print("What did not arrive, and why", style="bold")
        most = max(count for _, count in wrong)
        bars = (_bar(name, count, of=whole.posted, whole=most, colour="red") for name, count in wrong)
        show_bars(*bars)
    parts = [(report.span.label(span), count) for span, count in report.parts if count.posted]
    out.print(f"By the {'hour' if report.span.by_hours else 'day'}: posted, and how many of them arrived", style="bold")
    most = max(count.posted for _, count in parts)
    show_bars(
        *(
            Bar(
                label=label,
                part=count.posted,
                whole=most,
                said=f"{count.posted:,}, {_share(count.arrived, count.posted)}",
            )
            for label, count in parts
        )
    )


def wrongs(count: Count) -> Iterator[tuple[str, int]]:
    """Name what did not arrive, by cause, the most frequent first; then what is not known, or never left."""
    failures = [(f"failed: {cause}", number) for cause, number in count.failures.items()]
    refusals = [(f"refused: {_code(code)}", number) for code, number in count.refusals.items()]
    yield from sorted([*failures, *refusals], key=lambda item: (-item[1], item[0]))
    if count.uncertain:
        yield "uncertain", count.uncertain
    if count.not_sent:
        yield "not sent", count.not_sent


def in_time(count: Count) -> str:
    """Say how soon messages arrived. The clock of the arrival is WhatsApp's, and has whole seconds."""
    median, p95 = (count.seconds_at(share) for share in SHARES.values())
    if median is None or p95 is None:
        return "None has arrived."
    return f"half of what arrived took {median:,} s or less, 95 % took {p95:,} s or less (by WhatsApp's clock)"


def report_in_json(report: Report) -> Mapping[str, object]:
    return {
        "since": report.span.since.isoformat(),
        "until": report.span.until.isoformat(),
        "zone": str(report.span.zone),
        **_in_json(report.whole),
        "by": "hour" if report.span.by_hours else "day",
        "parts": [{"since": span.since.isoformat(), **_in_json(count)} for span, count in report.parts],
    }


def _in_json(count: Count) -> Mapping[str, object]:
    return {
        **count.funnel,
        "failed": count.failed,
        "failed_by_cause": _by_count(list(count.failures.items())),
        "refused": count.refused,
        "refused_by_code": _by_count([(_code(code), number) for code, number in count.refusals.items()]),
        "uncertain": count.uncertain,
        "not_sent": count.not_sent,
        "under_way": count.under_way,
        "seconds_to_delivery": {name: count.seconds_at(share) for name, share in SHARES.items()},
    }


def _by_count(items: Sequence[tuple[str, int]]) -> Mapping[str, int]:
    return dict(sorted(items, key=lambda item: (-item[1], item[0])))


def _code(code: int | None) -> str:
    return "without a code" if code is None else str(code)


def _bar(label: str, count: int, *, of: int, whole: int, colour: str = "cyan") -> Bar:
    return Bar(label=label, part=count, whole=whole, said=f"{count:,} ({_share(count, of)})", colour=colour)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if part in {0, whole} or part * 100 >= whole else "<1%"
