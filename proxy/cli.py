"""The commands. Each opens what it needs, asks one journey, shows the answer, and ends in an exit code."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from proxy.console import EXIT_AWAY, EXIT_REFUSED, err, out, show_json, show_verdict, told
from proxy.errors import Malformed, NotFound, SettingsInvalid
from proxy.media.kinds import Kind
from proxy.sandbox.settings import Behaviour, Caching, Order, SandboxSettings
from proxy.settings import Settings, origin_of
from proxy.takedown import takedown

if TYPE_CHECKING:
    from proxy.app import Delivery
    from proxy.delivery.verdicts import Verdict
    from proxy.messaging.send import Sent
    from proxy.storage.store import Key, Source

UPLOADS = "uploads"
"""A file that is sent without a key of its own lies here, under a part of its hash, so that it replaces no other."""
HASH_CHARS = 12

T = TypeVar("T")


class StoreChoice(StrEnum):
    """Where the demo keeps its media."""

    FOLDER = "folder"
    S3 = "s3"


app = typer.Typer(
    help="Links that WhatsApp can always fetch.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

KindOption = Annotated[Kind, typer.Option("--kind", "-k", help="What it is sent as.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON, for scripts.")]


def run() -> None:
    """Run the command that the arguments name."""
    app(prog_name="medialink")


@app.command()
def serve(
    only: Annotated[str | None, typer.Option(help="delivery or messaging; both when left out.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 1,
) -> None:
    """Serve links, and take messages where their settings are present."""
    import uvicorn

    from proxy import telemetry
    from proxy.servers import OPTIONS, listen_for_platform, make_room
    from proxy.supervisor import FORKS, in_a_child, supervise
    from proxy.telemetry.redaction import secrets_in

    if only is not None:
        os.environ["SERVE_ONLY"] = only
    with told(as_json=False):
        settings = Settings.read()
    telemetry.configure_logging(settings.log_level, settings.log_format, secrets_in(settings))
    if code := in_a_child(partial(_preflight, settings)):
        raise typer.Exit(code)
    make_room()
    telemetry.log.info("serve.starting", address=f"{settings.listen_host}:{settings.listen_port}", workers=workers)
    where: dict[str, Any] = {"host": settings.listen_host, "port": settings.listen_port}
    if settings.metrics_port and (workers == 1 or FORKS):
        with told(as_json=False):
            listen_for_platform(settings.metrics_host or settings.listen_host, settings.metrics_port)
    if workers == 1:
        uvicorn.run("proxy.app:from_environment", factory=True, **where, **OPTIONS)
        return
    with TemporaryDirectory(prefix="medialink-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        supervise(uvicorn.Config("proxy.app:from_environment", factory=True, workers=workers, **where, **OPTIONS))


@app.command()
def put(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A file on this machine.")],
    key: Annotated[str | None, typer.Argument(help="Its key in the store; the file's name when left out.")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Put a file into the store."""
    from proxy.storage.store import parse_key

    async def work(delivery: "Delivery") -> None:
        source = await _put(delivery, file, parse_key(key if key is not None else file.name))
        if as_json:
            show_json({"key": source.key, "version": source.version, "bytes": source.size_bytes})
        else:
            out.print(f"{source.key}: {source.size_bytes:,} bytes, version {source.version}", markup=False)

    _with_delivery(work, as_json=as_json)


@app.command()
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
        with _named(key):
            minted = await delivery.mint.mint(kind, parse_key(key), expires_in_s)
        if as_json:
            show_json(minted_in_json(minted))
        else:
            out.print(minted.url, markup=False)

    _with_delivery(work, as_json=as_json)


@app.command()
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
        file = _file(target)

    async def work(delivery: "Delivery") -> "Verdict":
        if file is not None:
            with err.status(f"checking {file.name}"):
                return await delivery.uploads.judge_file(kind, file)
        with _named(target):
            _, verdict = await delivery.mint.verdict(kind, parse_key(target))
        return verdict

    verdict = _with_delivery(work, as_json=as_json)
    if as_json:
        show_json(in_json(verdict))
    else:
        show_verdict(target, kind, verdict)
    raise typer.Exit(EXIT_REFUSED if isinstance(verdict, Refused) else 0)


@app.command()
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
    from proxy.storage.store import parse_key

    with told(as_json=as_json):
        current = Settings.read()
        file = _file(target)

    async def work(delivery: "Delivery") -> None:
        messaging = build_messaging(current, delivery.mint)
        try:
            if messaging.send is None and not dry_run:
                raise SettingsInvalid(mistakes=("D360_API_KEY: is not set, so there is no provider to send through",))
            key = target if file is None else _upload_key(file)
            wish = SendWish(to=to, kind=kind, key=key, caption=caption, filename=filename)
            messaging.prepare.draft(wish)
            if file is not None:
                await _put(delivery, file, parse_key(key))
            with err.status("preparing the rendition"), _named(key):
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

    _with_delivery(work, as_json=as_json)


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8081,
    webhook_url: Annotated[
        str | None, typer.Option(help="Where statuses are posted, e.g. <PUBLIC_URL>/webhooks.")
    ] = None,
    webhook_secret: Annotated[str | None, typer.Option(help="Sent along as X-Webhook-Secret.")] = None,
    caching: Annotated[Caching, typer.Option(help="How WhatsApp keeps what it fetched.")] = Caching.FIXED,
    behaviour: Annotated[Behaviour, typer.Option(help="How the next request to send is answered.")] = Behaviour.OK,
) -> None:
    """Run a pretend 360dialog with WhatsApp's fetcher inside. PROVIDER_URL points at it; any key will do."""
    import uvicorn

    from proxy.messaging.receive import SECRET_HEADER
    from proxy.sandbox.app import create_sandbox
    from proxy.servers import OPTIONS

    with told(as_json=False):
        try:
            chosen = SandboxSettings(
                webhook_url=webhook_url,
                webhook_headers={SECRET_HEADER: webhook_secret} if webhook_secret else {},
                caching=caching,
                behaviour=Order(behaviour=behaviour),
            )
        except ValueError as error:
            raise Malformed(field="--webhook-url", problem=str(error)) from error
    pretend = create_sandbox(chosen)
    err.print(f"sandbox on http://127.0.0.1:{port}; what it saw: /sandbox/fetches and /sandbox/messages")
    uvicorn.run(pretend, host="127.0.0.1", port=port, **OPTIONS)


@app.command()
def demo(
    store: Annotated[StoreChoice, typer.Option(help="A folder, or moto's S3 server.")] = StoreChoice.FOLDER,
    *,
    once: Annotated[bool, typer.Option("--once", help="End after the first delivery instead of serving on.")] = False,
) -> None:
    """Do the main job before your eyes: a heavy photograph becomes a link, and a message that arrives."""
    from proxy.demo import run_demo

    with told(as_json=False):
        run_demo(on_s3=store is StoreChoice.S3, once=once)


app.command()(takedown)


@app.command()
def settings(
    *,
    look: Annotated[
        bool, typer.Option("--check", help="Open every door. Exit code 0: safe; 2: a setting is wrong; 3: one is away.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what is in force and where each value came from. Secrets stay hidden."""
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
    from rich.table import Table

    table = Table("setting", "value", "from", box=None)
    for name, row in rows.items():
        table.add_row(name, row["value"], row["from"])
    out.print(table, markup=False)


@app.command()
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


def _preflight(settings: Settings) -> None:
    from proxy.app import preflight

    with told(as_json=False):
        asyncio.run(preflight(settings, settings.serve_only))


def _with_delivery(work: Callable[["Delivery"], Awaitable[T]], *, as_json: bool) -> T:
    """Open the doors for one command, do it, and close them."""
    from proxy import telemetry
    from proxy.app import build_delivery

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


def _show_sent(sent: "Sent", *, as_json: bool) -> None:
    from proxy.messaging.send import sent_in_json

    if as_json:
        show_json(sent_in_json(sent))
        return
    minted = sent.prepared.minted
    if minted is not None:
        show_verdict(minted.link.key, minted.link.kind, minted.verdict)
    out.print(f"taken by the provider as {sent.accepted.message_id}; our id is {sent.prepared.id}", markup=False)


async def _put(delivery: "Delivery", file: Path, key: "Key") -> "Source":
    with err.status(f"putting {file.name} into the store"):
        return await delivery.store.put(key, file, media_type=_media_type(file))


def _file(target: str) -> Path | None:
    """Take a target as a file where there is one; all else is a key."""
    file = Path(target).expanduser()
    if not file.is_file():
        return None
    if not os.access(file, os.R_OK):
        raise Malformed(field="FILE", problem=f"{file} may not be read")
    return file


@contextmanager
def _named(target: str) -> Iterator[None]:
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


def _upload_key(file: Path) -> "Key":
    import hashlib

    from proxy.storage.store import parse_key

    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()[:HASH_CHARS]
    return parse_key(f"{UPLOADS}/{digest}/{file.name}")


def _shown(value: object) -> str:
    from pydantic import SecretStr

    if isinstance(value, SecretStr):
        return "(hidden)"
    return "" if value is None else ", ".join(value) if isinstance(value, tuple) else str(value)
