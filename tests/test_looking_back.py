"""The commands that look back: what a person reads, what a script gets, and what neither may see."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from PIL import Image
from sqlalchemy import insert
from typer.testing import CliRunner, Result

from proxy.cli import app
from proxy.cli.pictures import ARRIVED, WRONG, draw
from proxy.console import out
from proxy.messaging.causes import Cause
from proxy.messaging.ledger import Ledger
from proxy.messaging.outcomes import Accepted, Outcome, Refused, Uncertain
from proxy.messaging.standings import Standing
from proxy.messaging.statuses import State
from proxy.messaging.sums import Count, Report, Span
from proxy.messaging.tables import fetches
from proxy.messaging_doors import new_id
from proxy.settings import parse_secret
from tests.conftest import Command
from tests.messaging.ledgers import EPOCH, NUMBER, entry, status
from tests.messaging.test_ledger_reading import ours

SECRET = "a" * 43
NOT_FOUND = f"Downloading media for +{NUMBER} from weblink failed with http code 404"
LONG_KEY = f"offers/{'very-long/' * 60}end.jpg"
Run = Callable[..., Result]


def test_no_id_of_ours_is_taken_for_an_option() -> None:
    assert all(new_id().isalnum() for _ in range(1000))


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Fill a ledger as the service would: one message that arrived, one that failed, one that is uncertain."""

    async def work() -> None:
        moments = iter(EPOCH + timedelta(seconds=second) for second in range(1000))
        ledger = Ledger(
            f"sqlite:///{tmp_path / 'data' / 'ledger.sqlite3'}",
            keys=(parse_secret(SECRET),),
            now=lambda: next(moments),
        )
        await ledger.open()
        outcomes: list[Outcome] = [
            Accepted(message_id="wamid.0"),
            Accepted(message_id="wamid.1"),
            Uncertain(details="ReadTimeout"),
        ]
        for number, outcome in enumerate(outcomes):
            await ledger.begin(entry(f"m{number}", media=ours(LONG_KEY if number else "trips/lake.jpg")))
            await ledger.finish(f"m{number}", outcome)
        await ledger.begin(entry("m3", recipient="4915112345678", media=()))
        await ledger.finish("m3", Refused(code=131009, details="bad"))
        await ledger.record(
            [
                status(State.DELIVERED, message_id="wamid.0", at_s=4),
                status(State.FAILED, message_id="wamid.1", at_s=9, error_code=131053, error_details=NOT_FOUND),
            ]
        )
        fetch = {
            "rendition_id": f"of-{LONG_KEY}",
            "at": EPOCH + timedelta(seconds=5),
            "status": 410,
            "sent_bytes": 90,
            "whole": True,
            "ms": 2.0,
            "code": "taken_down",
        }
        await ledger.database.write(lambda connection: connection.execute(insert(fetches), [fetch]), idempotent=False)
        await ledger.close()

    asyncio.run(work())
    return tmp_path / "data"


@pytest.fixture
def run(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    monkeypatch.setenv("LEDGER_KEY", SECRET)
    monkeypatch.setattr(out.console, "_width", None)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    yield invoke
    structlog.reset_defaults()


ALL = ("--since", "2026-11-01")


def ids(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [line.split("\t")[-1] for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param((), ["m3", "m2", "m1", "m0"], id="all"),
        pytest.param(("--state", "failed"), ["m1"], id="state"),
        pytest.param(("--cause", "link_not_found"), ["m1"], id="cause"),
        pytest.param(("--key", "trips/"), ["m0"], id="key"),
        pytest.param(("--kind", "text"), [], id="kind"),
        pytest.param(("--to", "+49 1511 2345678"), ["m3"], id="number"),
        pytest.param(("--to", "5678"), ["m3"], id="last-four"),
        pytest.param(("--rendition", "of-trips/lake.jpg"), ["m0"], id="rendition"),
        pytest.param(("--limit", "1", "--after", "m2"), ["m1"], id="page"),
        pytest.param(("--until", "2026-11-22T12:00:01"), ["m0"], id="until"),
    ],
)
def test_messages_are_listed_a_line_each(run: Run, arguments: tuple[str, ...], expected: list[str]) -> None:
    assert ids(run("messages", *ALL, *arguments)) == expected


def test_a_line_in_a_pipe_is_whole(run: Run) -> None:
    (line,) = run("messages", *ALL, "--state", "failed").stdout.splitlines()
    assert line == f"2026-11-22 12:00:02 UTC\tfailed\tlink_not_found\timage\t…4567\t{LONG_KEY}\tm1"


def test_a_list_in_json_says_where_it_goes_on(run: Run) -> None:
    told = json.loads(run("messages", *ALL, "--limit", "2", "--json").stdout)
    assert [message["id"] for message in told["messages"]] == ["m3", "m2"]
    assert told["after"] == "m2"
    assert told["messages"][0]["diagnosis"]["cause"] == "parameter"


def test_why_a_picture_did_not_arrive_is_answered_by_one_command(run: Run) -> None:
    story = run("message", "wamid.1")
    assert story.exit_code == 0
    for sentence in (
        "Message m1 to …4567: failed, link_not_found",
        "failed, 7 s after: 131053 Downloading media for +…4567 from weblink failed with http code 404",
        "Our origin itself answered 410 taken_down: This medium was taken down by its owner",
        f"of key {LONG_KEY}, rendition",
    ):
        assert sentence in story.stdout
    told = json.loads(run("message", "m1", "--json").stdout)
    assert told["fetches"][0]["code"] == "taken_down"
    assert told["story"]["What to do"]


def test_an_id_that_nobody_knows_exits_1_with_a_sentence(run: Run) -> None:
    unknown = run("message", "nobody")
    assert unknown.exit_code == 1
    assert "The ledger has no message nobody. Give our id" in unknown.stderr
    told = json.loads(run("message", "nobody", "--json").stdout)
    assert told["error"]["code"] == "message_unknown"


def test_a_day_is_reported(run: Run, tmp_path: Path) -> None:
    said = run("report", "--day", "2026-11-22", "--png", str(tmp_path / "day.png"))
    assert said.exit_code == 0, said.output
    assert "4 messages, 2026-11-22 (UTC)" in said.stdout
    assert "half of what arrived took 4 s or less" in said.stdout
    for label in ("posted", "failed: link_not_found", "refused: 131009", "uncertain"):
        assert re.search(rf"^ *{label} .* (1 \(25%\)|4 \(100%\)) *$", said.stdout, re.MULTILINE), label
    with Image.open(tmp_path / "day.png") as picture:
        assert (picture.format, picture.width) == ("PNG", 1200)
    told = json.loads(run("report", "--day", "2026-11-22", "--zone", "Asia/Kathmandu", "--json").stdout)
    assert (told["posted"], told["delivered"], told["failed_by_cause"]) == (4, 1, {"link_not_found": 1})
    assert told["seconds_to_delivery"] == {"median": 4, "p95": 4}
    assert [part["posted"] for part in told["parts"] if part["posted"]] == [4]
    assert "Nothing was sent in this time" in run("report").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(("messages", "--state", "lost"), "--state: must be one of posting", id="state"),
        pytest.param(("messages", "--cause", "fate"), "--cause: must be one of link_not_found", id="cause"),
        pytest.param(("messages", "--since", "soon"), "--since: must be how long ago", id="since"),
        pytest.param(("messages", "--to", "12"), "to: ", id="number"),
        pytest.param(("messages", "--limit", "0"), "limit", id="limit"),
        pytest.param(("report", "--day", "yesterday"), "--day: must be a day", id="day"),
        pytest.param(("report", "--day", "2026-11-22", "--since", "2h"), "--day: give either", id="both"),
        pytest.param(("report", "--until", "2h"), "--since: is needed", id="until-alone"),
        pytest.param(("report", "--since", "2h", "--until", "3h"), "--until: must be later", id="backwards"),
        pytest.param(("report", "--zone", "Mars/Base"), "--zone: this machine knows no zone", id="zone"),
        pytest.param(("report", "--zone", "../etc/passwd"), "--zone: this machine knows no zone", id="path"),
        pytest.param(("report", "--png", "/nowhere/a.png"), "--png: /nowhere/a.png cannot be written", id="png"),
    ],
)
def test_wrong_input_is_a_sentence_and_exit_2(run: Run, arguments: tuple[str, ...], says: str) -> None:
    wrong = run(*arguments)
    assert wrong.exit_code == 2, wrong.output
    assert says in wrong.stderr


def test_no_number_is_shown_by_any_of_them(run: Run) -> None:
    shown = [
        run("messages", *ALL),
        run("messages", *ALL, "--json"),
        run("message", "m1"),
        run("message", "m1", "--json"),
        run("report", "--day", "2026-11-22", "--json"),
    ]
    for result in shown:
        assert result.exit_code == 0
        for number in (NUMBER, "4915112345678"):
            assert number[:-4] not in result.output


def test_a_number_needs_the_key_of_the_service(run: Run, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEDGER_KEY")
    wrong = run("messages", "--to", NUMBER)
    assert wrong.exit_code == 2
    assert "LEDGER_KEY: must be that of the service" in wrong.stderr
    assert not (data_dir / "ledger.key").exists()
    assert ids(run("messages", *ALL, "--to", "5678")) == ["m3"]


def test_a_look_from_the_wrong_folder_makes_nothing_there(medialink: Command, tmp_path: Path) -> None:
    for arguments in (("messages",), ("message", "m1"), ("report",)):
        shown = medialink(*arguments)
        assert shown.returncode == 2
        assert "there is no ledger at sqlite:///data/ledger.sqlite3" in shown.stderr
        assert "Traceback" not in shown.stderr
    assert not (tmp_path / "data").exists()


def _report(failures: dict[Cause, int]) -> Report:
    span = Span.of_day(datetime(2026, 11, 22, tzinfo=UTC).date(), UTC)
    failed = sum(failures.values())
    count = Count(standings={Standing.READ: 5, Standing.FAILED: failed} if failures else {}, failures=failures)
    return Report(span=span, whole=count, parts=tuple((part, count) for part in span.parts()))


@pytest.mark.parametrize("failures", [{}, {Cause.SPAM: 1}, dict.fromkeys(Cause, 3)], ids=["nothing", "one", "all"])
def test_a_picture_shows_what_there_is(tmp_path: Path, failures: dict[Cause, int]) -> None:
    draw(_report(failures), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        colours = {colour for _, colour in picture.getcolors(1 << 20) or []}
        heights = picture.height
    below_the_legend = {tuple(bytes.fromhex(colour.removeprefix("#"))) for colour in (ARRIVED, WRONG)}
    assert below_the_legend <= colours
    assert heights < 1500
