"""`sandbox`: a pretend provider to try with, and `sandbox replay`, which tries it with thousands of messages."""

# ruff: noqa: PLC0415 - a command imports what it needs: the help comes at once, and a server stays light
from typing import TYPE_CHECKING, Annotated, Final

import typer

from proxy.cli.doors import JsonOption
from proxy.console import EXIT_OK, EXIT_REFUSED, err, out, show_json, told
from proxy.errors import Malformed
from proxy.sandbox.settings import MAX_MESSAGES_PER_SECOND, Behaviour, Caching, Order, SandboxSettings

if TYPE_CHECKING:
    from proxy.replay import Replayed

MAX_SENDS: Final = 100_000
MAX_MEDIA: Final = 1000
MAX_HOURS: Final = 24 * 7

app = typer.Typer(invoke_without_command=True)


@app.callback()
def sandbox(  # noqa: PLR0913, PLR0917 - what a person may choose
    context: typer.Context,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8081,
    webhook_url: Annotated[
        str | None, typer.Option(help="Where statuses are posted, e.g. <PUBLIC_URL>/webhooks.")
    ] = None,
    webhook_secret: Annotated[str | None, typer.Option(help="Sent along as X-Webhook-Secret.")] = None,
    app_secret: Annotated[str | None, typer.Option(help="Signs webhooks, as X-Hub-Signature-256.")] = None,
    caching: Annotated[Caching, typer.Option(help="How WhatsApp keeps what it fetched.")] = Caching.FIXED,
    behaviour: Annotated[Behaviour, typer.Option(help="How the next request to send is answered.")] = Behaviour.OK,
    *,
    rates: Annotated[bool, typer.Option("--rates", help="Hold senders to WhatsApp's rates.")] = False,
    messages_per_second: Annotated[
        int, typer.Option(min=1, max=MAX_MESSAGES_PER_SECOND, help="The throughput that --rates allows.")
    ] = 80,
) -> None:
    """Run a pretend 360dialog with WhatsApp's fetcher inside. PROVIDER_URL points at it; any key will do."""
    if context.invoked_subcommand is not None:
        _check_nothing_chosen(context)
        return
    import uvicorn

    from proxy.messaging.receive import SECRET_HEADER
    from proxy.sandbox.app import create_sandbox
    from proxy.servers import OPTIONS

    with told(as_json=False):
        try:
            chosen = SandboxSettings(
                webhook_url=webhook_url,
                webhook_headers={SECRET_HEADER: webhook_secret} if webhook_secret else {},
                app_secret=app_secret,
                caching=caching,
                behaviour=Order(behaviour=behaviour),
                rates=rates,
                messages_per_second=messages_per_second,
            )
        except ValueError as error:
            raise Malformed(field="--webhook-url", problem=str(error)) from error
    pretend = create_sandbox(chosen)
    err.print(f"sandbox on http://127.0.0.1:{port}; what it saw: /sandbox/fetches and /sandbox/messages")
    uvicorn.run(pretend, host="127.0.0.1", port=port, **OPTIONS)


@app.command()
def replay(
    sends: Annotated[int, typer.Option(min=1, max=MAX_SENDS, help="Messages to send.")] = 10_000,
    media: Annotated[int, typer.Option(min=1, max=MAX_MEDIA, help="Pictures, sent in turn.")] = 20,
    hours: Annotated[
        float, typer.Option(min=0, max=MAX_HOURS, help="Of the sandbox's clock, to spread them over.")
    ] = 1,
    *,
    as_json: JsonOption = False,
) -> None:
    """Send a campaign through a house and a sandbox of its own, and count how often WhatsApp fetched.

    Exit code 0: never more often than its way of keeping links explains, and all arrived; 1: not so.
    """
    from proxy import telemetry
    from proxy.cli.shown import Watch
    from proxy.replay import Campaign
    from proxy.replay import replay as play

    telemetry.configure_logging("warning", "auto")
    campaign = Campaign(sends=sends, media=media, hours=hours)
    came = []
    with told(as_json=as_json):
        for caching in Caching:
            with Watch(f"sending, caching {caching}") as watch:
                watch.expect(sends)
                came.append(play(campaign, caching, watch.see))
    if as_json:
        told_of = {replayed.caching.value: _in_json(replayed) for replayed in came}
        show_json({"sends": sends, "media": media, "hours": hours, "caching": told_of})
    else:
        _show(came)
    raise typer.Exit(EXIT_OK if all(replayed.is_right for replayed in came) else EXIT_REFUSED)


def _check_nothing_chosen(context: typer.Context) -> None:
    """What is said before the command would be the server's, which does not run."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = f"--{name.replace('_', '-')}"
            raise typer.BadParameter(f"{option} is for the sandbox that serves, not for {context.invoked_subcommand}")


def _in_json(replayed: "Replayed") -> dict[str, object]:
    from proxy.cli.shown import reasons_in_json

    return {
        "least": replayed.least,
        "asked": replayed.asked,
        "served": replayed.served,
        "explained": replayed.is_explained,
        "delivered": replayed.delivered,
        "seconds": round(replayed.seconds, 1),
        "not_delivered": reasons_in_json(replayed.faults.lasting),
    }


def _show(came: "list[Replayed]") -> None:
    from rich.table import Table

    from proxy.cli.shown import show_reasons

    table = Table("caching", "WhatsApp asked", "we served", "least possible", "delivered", "seconds", box=None)
    for replayed in came:
        counts = (replayed.asked, replayed.served, replayed.least)
        delivered = f"{replayed.delivered:,} of {replayed.sends:,}"
        table.add_row(replayed.caching, *(f"{count:,}" for count in counts), delivered, f"{replayed.seconds:.0f}")
    out.print(table)
    for replayed in came:
        if not replayed.is_explained:
            out.print(f"[red]{replayed.caching}[/]: our origin was asked more often than that explains")
        show_reasons(f"{replayed.caching}: not delivered,", replayed.faults.lasting)
