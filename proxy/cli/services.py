"""The commands that run a service, or look at one."""

# ruff: noqa: PLC0415 - a command imports what it needs: the help comes at once, and a server stays light
import os
from enum import StrEnum
from functools import partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from proxy.cli.doors import JsonOption
from proxy.console import EXIT_AWAY, out, show_json, told

if TYPE_CHECKING:
    from proxy.settings import Settings

SERVED = "proxy.app"
PIPE_COLUMNS = 1000
"""A pipe has no width: what is cut there cannot be searched for."""


class StoreChoice(StrEnum):
    """Where the demo keeps its media."""

    FOLDER = "folder"
    S3 = "s3"


def serve(
    only: Annotated[str | None, typer.Option(help="delivery or messaging; both when left out.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 1,
) -> None:
    """Serve links, and take messages where their settings are present."""
    import uvicorn

    from proxy import telemetry
    from proxy.servers import OPTIONS, listen_for_platform, make_room
    from proxy.settings import Settings
    from proxy.supervisor import FORKS, in_a_child, load, supervise
    from proxy.telemetry.redaction import secrets_in

    if only is not None:
        os.environ["SERVE_ONLY"] = only
    with told(as_json=False):
        settings = Settings.read()
    telemetry.configure_logging(settings.log_level, settings.log_format, secrets_in(settings))
    if workers == 1:
        load(*_rooms(settings))
    if code := in_a_child(partial(_preflight, settings)):
        raise typer.Exit(code)
    make_room()
    telemetry.log.info("serve.starting", address=f"{settings.listen_host}:{settings.listen_port}", workers=workers)
    where: dict[str, Any] = {"host": settings.listen_host, "port": settings.listen_port}
    if settings.metrics_port and (workers == 1 or FORKS):
        with told(as_json=False):
            listen_for_platform(settings.metrics_host or settings.listen_host, settings.metrics_port)
    if workers == 1:
        uvicorn.run(f"{SERVED}:from_environment", factory=True, **where, **OPTIONS)
        return
    with TemporaryDirectory(prefix="medialink-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        load(*_rooms(settings))
        supervise(uvicorn.Config(f"{SERVED}:from_environment", factory=True, workers=workers, **where, **OPTIONS))


def demo(
    store: Annotated[StoreChoice, typer.Option(help="A folder, or moto's S3 server.")] = StoreChoice.FOLDER,
    *,
    once: Annotated[bool, typer.Option("--once", help="End after the first delivery instead of serving on.")] = False,
) -> None:
    """Do the main job before your eyes: a heavy photograph becomes a link, and a message that arrives."""
    from proxy.demo import run_demo

    with told(as_json=False):
        run_demo(on_s3=store is StoreChoice.S3, once=once)


def settings(
    *,
    look: Annotated[
        bool, typer.Option("--check", help="Open every door. Exit code 0: safe; 2: a setting is wrong; 3: one is away.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what is in force and where each value came from. Secrets stay hidden."""
    from proxy.settings import Settings, origin_of

    with told(as_json=as_json):
        current = Settings.read()
        if look:
            from proxy.checkup import check_up

            raise typer.Exit(check_up(current, as_json=as_json))
    rows = {
        name.upper(): {"value": _shown(getattr(current, name)), "from": origin_of(name, current)}
        for name in Settings.model_fields
    }
    if as_json:
        show_json(rows)
        return
    from rich.table import Column, Table

    table = Table("setting", Column("value", overflow="fold"), Column("from", overflow="fold"), box=None)
    for name, row in rows.items():
        table.add_row(name, row["value"], row["from"])
    if not out.is_terminal:
        out.console.width = PIPE_COLUMNS
    out.print(table, markup=False)


def health(
    url: Annotated[str | None, typer.Option(help="Base address of the service; this machine's if left out.")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Ask a running service whether it can do its work. Exit code 0: it can; 3: it cannot."""
    from proxy.pulse import ask, in_lines, own_address

    report, ready = ask(url or own_address())
    if as_json:
        show_json({"ready": ready, **report})
    else:
        out.print(in_lines(report), end="", markup=False)
    raise typer.Exit(0 if ready else EXIT_AWAY)


def _rooms(settings: "Settings") -> list[str]:
    """Name the modules that serve with these settings."""
    rooms = [SERVED]
    if settings.serve_only != "delivery":
        rooms.append("proxy.messaging_doors")
    if settings.store.startswith("s3://"):
        rooms.append("proxy.storage.s3")
    return rooms


def _preflight(settings: "Settings") -> None:
    import asyncio

    from proxy.app import preflight

    with told(as_json=False):
        asyncio.run(preflight(settings, settings.serve_only))


def _shown(value: object) -> str:
    from pydantic import SecretStr

    if isinstance(value, SecretStr):
        return "(hidden)"
    return "" if value is None else ", ".join(value) if isinstance(value, tuple) else str(value)
