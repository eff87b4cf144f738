"""The commands that come before anyone asks: `prepare` makes renditions, `warm` brings links to the CDN."""

# ruff: noqa: PLC0415 - a command imports what it needs: the help comes at once, and a server stays light
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from proxy.cli.doors import JsonOption, KindOption
from proxy.console import told
from proxy.errors import Malformed, SettingsInvalid
from proxy.media.kinds import Kind

if TYPE_CHECKING:
    from proxy.app import Delivery
    from proxy.cli.shown import Watch
    from proxy.prepare import Names, Shard
    from proxy.settings import Settings

MAX_FETCHES: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class _Links:
    """Names, the same `again` where they can be counted, what makes a link of one, and how many may be at that."""

    names: "Names"
    again: "Names | None"
    to_url: Callable[[str], Coroutine[None, None, str]]
    places: int


ReportOption = Annotated[
    Path | None, typer.Option(help="A file for JSON Lines: one for each that is not right, and the sum at the end.")
]


def prepare(
    prefix: Annotated[str, typer.Argument(help="What the keys begin with, such as trips/; '' for all of them.")],
    kind: KindOption,
    shard: Annotated[str, typer.Option(help="i/n: the i-th of n parts, for n machines.")] = "1/1",
    report: ReportOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Make the renditions of all keys under a prefix. What is there already is found, so that it may be run again.

    Exit code 0: all can be delivered; 1: some are refused; 3: some failed, so run it again.
    """

    async def work(opened: AsyncExitStack) -> int:
        from proxy.cli.shown import Watch, fault_in_json, report_to
        from proxy.cli.summaries import PreparedSummary, ended_by, judged, tell
        from proxy.prepare import Faults, Prepare, Shard, Tally, names_under
        from proxy.settings import Settings
        from proxy.storage.store import check_prefix

        part = Shard.parse(shard)
        check_prefix(prefix, field="PREFIX")
        settings = Settings.read()
        write = opened.enter_context(report_to(report))
        delivery = await _open_delivery(opened, settings)
        tally = Tally(faults=Faults(tell=lambda fault: write(fault_in_json(fault))))
        known = judged(kind)
        with Watch("preparing") as watch:
            journey = Prepare(
                judge=delivery.mint.verdict,
                kind=kind,
                shard=part,
                at_once=_at_once(settings),
                progress=lambda: watch.see(tally.done, tally.faults),
            )
            async with _counted(names_under(delivery.store, prefix), part, watch):
                ended = await ended_by(journey(names_under(delivery.store, prefix), tally))
        if ended.whole and not tally.listed:
            raise Malformed(field="PREFIX", problem=_nothing(prefix))
        summary = PreparedSummary(prefix=prefix, kind=kind, shard=part, tally=tally, new=judged(kind) - known)
        return tell(summary, ended, write, as_json=as_json)

    _run(work, as_json=as_json)


def warm(  # noqa: PLR0913 - what a person may choose
    file: Annotated[str | None, typer.Argument(help="A file of links, one a line; - is standard input.")] = None,
    prefix: Annotated[str | None, typer.Option(help="Instead: the links of all keys that begin so.")] = None,
    kind: Annotated[Kind | None, typer.Option("--kind", "-k", help="What these are sent as.")] = None,
    *,
    at_once: Annotated[int, typer.Option(min=1, max=MAX_FETCHES, help="Fetches at once.")] = 8,
    per_second: Annotated[float | None, typer.Option(min=0.01, max=10_000, help="Fetches a second at most.")] = None,
    report: ReportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch links whole through PUBLIC_URL, so that the CDN which is near this machine has them.

    Exit code 0: all came as they should; 1: some never will; 3: some did not come, so run it again.
    """

    async def work(opened: AsyncExitStack) -> int:
        from proxy.cli.shown import Watch, fault_in_json, report_to
        from proxy.cli.summaries import WarmedSummary, ended_by, tell
        from proxy.prepare import Faults, Shard
        from proxy.settings import Settings
        from proxy.warm import Pace, Warm, Warmed

        if (file is None) == (prefix is None) or (prefix is None) != (kind is None):
            raise Malformed(field="FILE", problem="give either a file of links, or --prefix and --kind")
        settings = Settings.read()
        if "public_url" not in settings.model_fields_set:
            raise SettingsInvalid(mistakes=("PUBLIC_URL: must be set, as links are fetched through it",))
        links = await _links(opened, settings, file, prefix, kind)
        write = opened.enter_context(report_to(report))
        warmed = Warmed(faults=Faults(tell=lambda fault: write(fault_in_json(fault))))
        with Watch("warming") as watch:
            journey = await opened.enter_async_context(
                Warm(
                    settings.public_url,
                    at_once=min(at_once, links.places),
                    pace=Pace(per_second),
                    to_url=links.to_url,
                    progress=lambda: watch.see(warmed.done, warmed.faults),
                )
            )
            async with _counted(links.again, Shard(), watch):
                ended = await ended_by(journey(links.names, warmed))
        if ended.whole and not warmed.done:
            raise (
                Malformed(field="PREFIX", problem=_nothing(prefix))
                if prefix is not None
                else Malformed(field="FILE", problem=f"there is no link in {file}")
            )
        return tell(WarmedSummary(public_url=settings.public_url, warmed=warmed), ended, write, as_json=as_json)

    _run(work, as_json=as_json)


def _run(work: Callable[[AsyncExitStack], Coroutine[None, None, int]], *, as_json: bool) -> None:
    import asyncio

    from proxy import telemetry

    async def whole() -> int:
        async with AsyncExitStack() as opened:
            return await work(opened)

    telemetry.configure_logging("warning", "auto")
    with told(as_json=as_json):
        code = asyncio.run(whole())
    raise typer.Exit(code)


async def _links(
    opened: AsyncExitStack, settings: "Settings", file: str | None, prefix: str | None, kind: Kind | None
) -> _Links:
    """Take lines for links as they are; keys get theirs."""
    import asyncio

    from proxy.cli.lines import lines_of
    from proxy.prepare import names_under, patiently
    from proxy.storage.store import check_prefix, parse_key

    if file is not None:

        async def as_it_is(line: str) -> str:
            return line

        return _Links(names=lines_of(file), again=None, to_url=as_it_is, places=MAX_FETCHES)

    begins = prefix or ""
    check_prefix(begins, field="PREFIX")
    delivery = await _open_delivery(opened, settings)

    async def minted(name: str) -> str:
        key = parse_key(name)
        return (await patiently(lambda: delivery.mint.mint(kind or Kind.DOCUMENT, key), asyncio.sleep)).url

    return _Links(
        names=names_under(delivery.store, begins),
        again=names_under(delivery.store, begins),
        to_url=minted,
        places=_at_once(settings),
    )


async def _open_delivery(opened: AsyncExitStack, settings: "Settings") -> "Delivery":
    from proxy.app import build_delivery

    delivery = build_delivery(settings)
    opened.push_async_callback(delivery.close)
    await delivery.open()
    return delivery


def _at_once(settings: "Settings") -> int:
    """Keep the decoders busy, and ask for no more places than there are."""
    from proxy.prepare import AHEAD

    return settings.decode_slots + min(AHEAD, settings.decode_queue)


@asynccontextmanager
async def _counted(names: "Names | None", part: "Shard", watch: "Watch") -> AsyncIterator[None]:
    """Count beside the work, so that the bar knows its end; a list that breaks is the work's own to tell."""
    import asyncio

    async def count(names: "Names") -> None:
        async with aclosing(names):
            total = 0
            async for name in names:
                total += part.takes(name)
        watch.expect(total)

    counting = [asyncio.create_task(count(names))] if names is not None else []
    try:
        yield
    finally:
        for task in counting:
            task.cancel()
        await asyncio.gather(*counting, return_exceptions=True)


def _nothing(prefix: str) -> str:
    return f"there is no key that begins with {prefix}" if prefix else "there is no key in the store"
