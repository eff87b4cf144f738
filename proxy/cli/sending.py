"""The command that sends a medium as a link."""

# ruff: noqa: PLC0415 - a command imports what it needs: the help comes at once, and a server stays light
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.cli.doors import JsonOption, KindOption, file_of, named, put_file, with_delivery
from proxy.console import err, out, show_json, show_verdict, told
from proxy.errors import SettingsInvalid

if TYPE_CHECKING:
    from proxy.app import Delivery
    from proxy.messaging.send import Sent
    from proxy.storage.store import Key

UPLOADS = "uploads"
"""A file that is sent without a key of its own lies here, under a part of its hash, so that it replaces no other."""
HASH_CHARS = 12


def send(  # noqa: PLR0913 - the fields of a message
    to: Annotated[str, typer.Argument(help="The recipient's number, with its country code.")],
    target: Annotated[str, typer.Argument(metavar="KEY|FILE", help="A file on this machine, else a key.")],
    kind: KindOption,
    caption: Annotated[str | None, typer.Option(help="Text under an image, a video or a document.")] = None,
    filename: Annotated[str | None, typer.Option(help="The name that a document is shown with.")] = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Prepare everything, show the message, post nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Send a medium as a link. Exit code 2 where there is no provider."""
    from proxy.messaging.wishes import SendWish
    from proxy.messaging_doors import build_messaging
    from proxy.settings import Settings
    from proxy.storage.store import parse_key

    with told(as_json=as_json):
        current = Settings.read()
        file = file_of(target)

    async def work(delivery: "Delivery") -> None:
        messaging = build_messaging(current, delivery.mint)
        try:
            if messaging.send is None and not dry_run:
                raise SettingsInvalid(mistakes=("D360_API_KEY: is not set, so there is no provider to send through",))
            key = target if file is None else _upload_key(file)
            wish = SendWish(to=to, kind=kind, key=key, caption=caption, filename=filename)
            messaging.prepare.draft(wish)
            if file is not None:
                await put_file(delivery, file, parse_key(key))
            with err.status("preparing the rendition"), named(key):
                prepared = await messaging.prepare(wish)
            if messaging.send is None or dry_run:
                show_json(prepared.message.payload())
                return
            await messaging.ledger.open()
            with err.status("sending"):
                sent = await messaging.send(prepared)
            _show_sent(sent, as_json=as_json)
        finally:
            await messaging.close()

    with_delivery(work, as_json=as_json)


def _show_sent(sent: "Sent", *, as_json: bool) -> None:
    from proxy.messaging.send import sent_in_json

    if as_json:
        show_json(sent_in_json(sent))
        return
    minted = sent.prepared.minted
    if minted is not None:
        show_verdict(minted.link.key, minted.link.kind, minted.verdict)
    out.print(f"taken by the provider as {sent.accepted.message_id}; our id is {sent.prepared.id}", markup=False)


def _upload_key(file: Path) -> "Key":
    import hashlib

    from proxy.storage.store import parse_key

    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()[:HASH_CHARS]
    return parse_key(f"{UPLOADS}/{digest}/{file.name}")
