"""The commands about one medium: it is put, linked, checked."""

# ruff: noqa: PLC0415 - a command imports what it needs: the help comes at once, and a server stays light
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.cli.doors import JsonOption, KindOption, file_of, named, put_file, with_delivery
from proxy.console import EXIT_REFUSED, err, out, show_json, show_verdict, told

if TYPE_CHECKING:
    from proxy.app import Delivery
    from proxy.delivery.verdicts import Verdict


def put(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A file on this machine.")],
    key: Annotated[str | None, typer.Argument(help="Its key in the store; the file's name when left out.")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Put a file into the store."""
    from proxy.storage.store import parse_key

    async def work(delivery: "Delivery") -> None:
        source = await put_file(delivery, file, parse_key(key if key is not None else file.name))
        if as_json:
            show_json({"key": source.key, "version": source.version, "bytes": source.size_bytes})
        else:
            out.print(f"{source.key}: {source.size_bytes:,} bytes, version {source.version}", markup=False)

    with_delivery(work, as_json=as_json)


def link(
    key: Annotated[str, typer.Argument(help="A key in the store.")],
    kind: KindOption,
    expires_in_s: Annotated[
        int | None, typer.Option(help="Seconds that it lives at least; for good if left out.")
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Make the rendition of a key, and print its link."""
    from proxy.messaging.give import minted_in_json
    from proxy.storage.store import parse_key

    async def work(delivery: "Delivery") -> None:
        with named(key):
            minted = await delivery.mint.mint(kind, parse_key(key), expires_in_s)
        if as_json:
            show_json(minted_in_json(minted))
        else:
            out.print(minted.url, markup=False)

    with_delivery(work, as_json=as_json)


def check(
    target: Annotated[str, typer.Argument(metavar="FILE|KEY", help="A file on this machine, else a key.")],
    kind: KindOption,
    *,
    as_json: JsonOption = False,
) -> None:
    """Say whether a medium can be delivered as a kind. Exit code 0: it can; 1: refused."""
    from proxy.delivery.verdicts import Refused, in_json
    from proxy.storage.store import parse_key

    with told(as_json=as_json):
        file = file_of(target)

    async def work(delivery: "Delivery") -> "Verdict":
        if file is not None:
            with err.status(f"checking {file.name}"):
                return await delivery.uploads.judge_file(kind, file)
        with named(target):
            _, verdict = await delivery.mint.verdict(kind, parse_key(target))
        return verdict

    verdict = with_delivery(work, as_json=as_json)
    if as_json:
        show_json(in_json(verdict))
    else:
        show_verdict(target, kind, verdict)
    raise typer.Exit(EXIT_REFUSED if isinstance(verdict, Refused) else 0)
