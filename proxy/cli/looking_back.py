"""The commands that look back into the ledger: `messages` lists, `message` tells one, `report` sums."""

# ruff: noqa: PLC0415 - a command imports what it needs: the help comes at once, and a server stays light
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from proxy.cli.doors import JsonOption
from proxy.console import show_json, told
from proxy.errors import Malformed, SettingsInvalid

if TYPE_CHECKING:
    from proxy.messaging.ledger_reading import Filters, LedgerReading
    from proxy.settings import Settings

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

MAX_LIMIT: Final = 1000
_AGO: Final = re.compile(r"(\d{1,5})([mhd])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}
_LAST4: Final = re.compile(r"[0-9]{4}")

SinceOption = Annotated[
    str | None, typer.Option(help="From when on: 90m, 2h, 7d ago, or a time such as 2026-11-22T08.")
]
UntilOption = Annotated[str | None, typer.Option(help="Until when, in the same words; that moment is left out.")]


def messages(  # noqa: PLR0913, PLR0917 - what a person may look for
    state: Annotated[
        str | None,
        typer.Option(
            help="sent, delivered, read, played, failed, refused, uncertain, not_sent, posting, or accepted: "
            "taken by the provider, and nothing told since."
        ),
    ] = None,
    cause: Annotated[str | None, typer.Option(help="What failed for this reason, such as link_not_found.")] = None,
    since: SinceOption = "7d",
    until: UntilOption = None,
    key: Annotated[str | None, typer.Option(help="What the key of a medium begins with.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", "-k", help="The message's type: image, template, text.")] = None,
    to: Annotated[str | None, typer.Option(help="The recipient's number, or its last four digits.")] = None,
    rendition: Annotated[str | None, typer.Option(help="The id of a rendition.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_LIMIT, help="How many at most.")] = 50,
    after: Annotated[str | None, typer.Option(help="Go on behind the message of this id.")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """List messages, the newest first. In a pipe: a line each, with tabs between its fields."""
    from proxy.messaging.causes import Cause
    from proxy.messaging.ledger_reading import Filters
    from proxy.messaging.standings import Standing

    def filters(settings: "Settings") -> "Filters":
        now = datetime.now(UTC)
        is_last4 = to is not None and bool(_LAST4.fullmatch(to))
        return Filters(
            since=_moment(since, "--since", now=now),
            until=_moment(until, "--until", now=now),
            standing=_one_of(Standing, state, "--state"),
            cause=_one_of(Cause, cause, "--cause"),
            key_prefix=key or None,
            type=kind,
            recipient_hashes=None if to is None or is_last4 else _hashes(settings, to),
            last4=to if is_last4 else None,
            rendition_id=rendition,
            after=after,
        )

    async def work(reading: "LedgerReading", wanted: "Filters") -> None:
        from proxy.cli.stories import message_in_json, show_messages

        page = await reading.find(wanted, limit)
        if as_json:
            show_json({"messages": [message_in_json(message) for message in page.messages], "after": page.after})
        else:
            show_messages(page)

    _with_reading(filters, work, as_json=as_json)


def message(
    message_id: Annotated[
        str, typer.Argument(metavar="ID", help="Ours, the provider's (wamid...), or the callback data of a webhook.")
    ],
    *,
    as_json: JsonOption = False,
) -> None:
    """Tell what became of a message, why, and what to do. Exit code 1: the ledger has none of that id."""

    async def work(reading: "LedgerReading", wanted: str) -> None:
        from proxy.cli.stories import show_story, story_in_json
        from proxy.messaging.stories import Story

        found = await reading.message(wanted)
        story = Story.of(found, await reading.fetched(found), now=datetime.now(UTC))
        if as_json:
            show_json(story_in_json(story))
        else:
            show_story(story)

    _with_reading(lambda _: message_id, work, as_json=as_json)


def report(  # noqa: PLR0913 - what a person may choose
    day: Annotated[str | None, typer.Option(help="A day, such as 2026-11-22; today when left out.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    zone: Annotated[str, typer.Option(help="The zone that the day is of, such as Europe/Berlin.")] = "UTC",
    png: Annotated[Path | None, typer.Option(help="A file for the picture.")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Sum what became of the messages of a day: how many arrived, how soon, and why the others did not."""
    from proxy.messaging.sums import Span

    def span(_settings: "Settings") -> "Span":
        now, local = datetime.now(UTC), _zone(zone)
        if day is not None and (since is not None or until is not None):
            raise Malformed(field="--day", problem="give either a day, or --since and --until")
        if since is None and until is None:
            return Span.of_day(_day(day) if day else now.astimezone(local).date(), local)
        begin = _moment(since, "--since", now=now, zone=local)
        if begin is None:
            raise Malformed(field="--since", problem="is needed with --until")
        return Span(since=begin, until=_moment(until, "--until", now=now, zone=local) or now, zone=local)

    async def work(reading: "LedgerReading", wanted: "Span") -> None:
        from proxy.cli.reports import report_in_json, show_report
        from proxy.messaging import ledger_sums

        found = await ledger_sums.report(reading.database, wanted)
        if png is not None:
            from proxy.cli.pictures import draw

            draw(found, png)
        if as_json:
            show_json(report_in_json(found))
        else:
            show_report(found)

    _with_reading(span, work, as_json=as_json)


def _with_reading(
    wish: Callable[["Settings"], T], work: Callable[["LedgerReading", T], Awaitable[None]], *, as_json: bool
) -> None:
    """Read what is wished before the ledger is opened, then open it, work, and close it."""
    import asyncio

    from proxy import telemetry
    from proxy.messaging.ledger_reading import LedgerReading
    from proxy.settings import Settings

    async def whole() -> None:
        settings = Settings.read()
        wanted = wish(settings)
        reading = LedgerReading(settings.ledger_place)
        try:
            await reading.open()
            await work(reading, wanted)
        finally:
            await reading.close()

    telemetry.configure_logging("warning", "auto")
    with told(as_json=as_json):
        asyncio.run(whole())


def _moment(text: str | None, field: str, *, now: datetime, zone: tzinfo = UTC) -> datetime | None:
    """Read how long ago, or when; what names no zone is meant in the given one."""
    if text is None:
        return None
    if ago := _AGO.fullmatch(text):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        problem = "must be how long ago (90m, 2h, 7d), or a time such as 2026-11-22T08:30"
        raise Malformed(field=field, problem=problem) from None


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Malformed(field="--day", problem="must be a day such as 2026-11-22") from None


def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        problem = f"this machine knows no zone {name}; name one such as Europe/Berlin, or UTC"
        raise Malformed(field="--zone", problem=problem) from None


def _one_of(kind: type[E], text: str | None, field: str) -> E | None:
    if text is None:
        return None
    try:
        return kind(text)
    except ValueError:
        raise Malformed(field=field, problem=f"must be one of {', '.join(kind)}") from None


def _hashes(settings: "Settings", number: str) -> tuple[str, ...]:
    """Give the hashes that a number may stand under; a key made now would find nobody's."""
    from proxy.messaging.messages import parse_number
    from proxy.messaging.pseudonyms import Pseudonyms

    if settings.ledger_key is None and not (settings.data_dir / "ledger.key").exists():
        mistake = "LEDGER_KEY: must be that of the service, to find a number; its last four digits need no key"
        raise SettingsInvalid(mistakes=(mistake,))
    return Pseudonyms(settings.ledger_secrets()).all_of(parse_number(number))
