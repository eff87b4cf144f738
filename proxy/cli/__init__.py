"""The commands. Each opens what it needs, asks one journey, shows the answer, and ends in an exit code."""

import typer

from proxy.cli import ahead, looking_back, media, pretending, sending, services
from proxy.takedown import takedown

app = typer.Typer(
    help="Links that WhatsApp can always fetch.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    services.serve,
    media.put,
    media.link,
    media.check,
    sending.send,
    ahead.prepare,
    ahead.warm,
    services.demo,
    takedown,
    looking_back.messages,
    looking_back.message,
    looking_back.report,
    services.settings,
    services.health,
):
    app.command()(command)
app.add_typer(pretending.app, name="sandbox")


def run() -> None:
    """Run the command that the arguments name."""
    app(prog_name="medialink")
