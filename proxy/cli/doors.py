"""What the commands have in common: their options, and the doors that they open and close."""

# ruff: noqa: PLC0415 - a command imports what it needs: the help comes at once, and a server stays light
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from proxy.console import err, told
from proxy.errors import Malformed, NotFound
from proxy.media.kinds import Kind

if TYPE_CHECKING:
    from proxy.app import Delivery
    from proxy.storage.store import Key, Source

T = TypeVar("T")

KindOption = Annotated[Kind, typer.Option("--kind", "-k", help="What it is sent as.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON, for scripts.")]


def with_delivery(work: Callable[["Delivery"], Awaitable[T]], *, as_json: bool) -> T:
    """Open the doors for one command, do it, and close them."""
    import asyncio

    from proxy import telemetry
    from proxy.app import build_delivery
    from proxy.settings import Settings

    async def whole() -> T:
        delivery = build_delivery(Settings.read())
        try:
            await delivery.open()
            return await work(delivery)
        finally:
            await delivery.close()

    telemetry.configure_logging("warning", "auto")
    with told(as_json=as_json):
        return asyncio.run(whole())


async def put_file(delivery: "Delivery", file: Path, key: "Key") -> "Source":
    with err.status(f"putting {file.name} into the store"):
        return await delivery.store.put(key, file, media_type=_media_type(file))


def file_of(target: str) -> Path | None:
    """Take a target as a file where there is one; all else is a key."""
    file = Path(target).expanduser()
    if not file.is_file():
        return None
    if not os.access(file, os.R_OK):
        raise Malformed(field="FILE", problem=f"{file} may not be read")
    return file


@contextmanager
def named(target: str) -> Iterator[None]:
    """Say of what there is nothing: a person may have meant a file."""
    try:
        yield
    except NotFound as error:
        raise Malformed(field="KEY", problem=f"there is neither a file nor a key {target}") from error
    except Malformed as error:
        if error.field != "key":
            raise
        raise Malformed(field="KEY", problem=f"there is no file {target}, and as a key it {error.problem}") from error


def _media_type(file: Path) -> str:
    from proxy.media.sniff import sniff

    with file.open("rb") as opened:
        return sniff(opened, file.stat().st_size)
