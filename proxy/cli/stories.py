"""How messages are shown: a list of many, the story of one, and both in JSON. Of a number: its last four digits."""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from rich.table import Column, Table

from proxy.cli.shown import printable
from proxy.console import out
from proxy.messaging.diagnoses import diagnose
from proxy.messaging.entries import LedgerMessage
from proxy.messaging.ledger_reading import Page
from proxy.messaging.standings import ARRIVED, OPEN, UNDONE, Standing, standing_of
from proxy.messaging.stories import Story, moment

_HEADINGS: Final = ("begun", "state", "cause", "type", "to", "medium", "id")


def show_messages(page: Page) -> None:
    """List them in a table on a terminal; a pipe gets a line each, with tabs, and nothing cut."""
    rows = [_row(message) for message in page.messages]
    if out.is_terminal:
        table = Table(*(Column(name, overflow="fold", no_wrap=name != "medium") for name in _HEADINGS), box=None)
        for message, row in zip(page.messages, rows, strict=True):
            table.add_row(*row, style=_colour(standing_of(message)))
        out.print(table, soft_wrap=False, markup=False)
        if not rows:
            out.print("No message matches. --since 90d looks farther back.")
        if page.after is not None:
            out.print(f"There is more: add --after {page.after}", markup=False)
        return
    for row in rows:
        sys.stdout.write("\t".join(row) + "\n")  # rich would make spaces of the tabs


def show_story(story: Story) -> None:
    message = story.message
    cause = f", {story.diagnosis.cause}" if story.diagnosis else ""
    headline = f"Message {message.id} to …{message.recipient_last4}: {story.standing}{cause}"
    out.print(headline, style=f"bold {_colour(story.standing)}", markup=False)
    for paragraph in story.paragraphs():
        out.print(f"\n{paragraph.title}", style="bold", markup=False)
        for line in paragraph.lines:
            out.print(f"  {printable(line)}", markup=False)


def message_in_json(message: LedgerMessage) -> Mapping[str, object]:
    standing = standing_of(message)
    diagnosis = diagnose(message.error_code, message.error_details) if standing in UNDONE else None
    return {
        "id": message.id,
        "provider_message_id": message.provider_message_id,
        "state": standing,
        "outcome": message.outcome,
        "status": message.status,
        "status_at": _iso(message.status_at),
        "type": message.type,
        "recipient_last4": message.recipient_last4,
        "media": [asdict(medium) for medium in message.media],
        "warnings": message.warnings,
        "error_code": message.error_code,
        "error_details": message.error_details,
        "diagnosis": asdict(diagnosis) if diagnosis else None,
        "created_at": _iso(message.created_at),
        "updated_at": _iso(message.updated_at),
        "history": [
            asdict(status) | {"at": _iso(status.at), "recorded_at": _iso(status.recorded_at)}
            for status in message.history
        ],
    }


def story_in_json(story: Story) -> Mapping[str, object]:
    return {
        **message_in_json(story.message),
        "fetches": [asdict(fetch) | {"at": _iso(fetch.at)} for fetch in story.fetched.fetches],
        "more_fetches": story.fetched.more,
        "story": {paragraph.title: paragraph.lines for paragraph in story.paragraphs()},
    }


def _row(message: LedgerMessage) -> tuple[str, ...]:
    standing = standing_of(message)
    cause = diagnose(message.error_code, message.error_details).cause if standing in UNDONE else ""
    medium = next((medium.key or medium.link or "an id" for medium in message.media), "")
    more = f" and {len(message.media) - 1} more" if len(message.media) > 1 else ""
    return (
        moment(message.created_at),
        standing.value,
        cause,
        printable(message.type),
        f"…{message.recipient_last4}",
        printable(medium) + more,
        message.id,
    )


def _colour(standing: Standing) -> str:
    if standing in ARRIVED:
        return "green"
    if standing in UNDONE or standing is Standing.NOT_SENT:
        return "red"
    return "yellow" if standing in OPEN else "default"


def _iso(at: object) -> str | None:
    return None if at is None else str(at).replace(" ", "T")
