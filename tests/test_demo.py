"""`make run`, as a person meets it: in a process of its own, told step by step, ended by Ctrl-C."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

Start = Callable[..., subprocess.Popen[str]]
ENDS_WITHIN_S = 60


def two_free_ports() -> int:
    """Find a port that is free together with the next one, which the sandbox takes."""
    for _ in range(100):
        with ExitStack() as held:
            first = held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            try:
                held.enter_context(socket.create_server(("127.0.0.1", first + 1)))
            except OSError:
                continue
            return int(first)
    raise OSError("no two free ports in a row")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as running:

        def run(*arguments: str, port: int | None = None, **environment: str) -> subprocess.Popen[str]:
            process = running.enter_context(
                subprocess.Popen(  # noqa: S603 - our own program
                    [sys.executable, "-m", "proxy", "demo", *arguments],
                    cwd=tmp_path,
                    env={
                        **os.environ,
                        **environment,
                        "PYTHONPATH": str(Path.cwd()),
                        "LISTEN_PORT": str(port or two_free_ports()),
                        "PYTHONUNBUFFERED": "1",
                    },
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            running.callback(process.kill)
            return process

        yield run


def bytes_line(told: str) -> tuple[int, int]:
    before, after = re.findall(r"bytes +([\d,]+) -> ([\d,]+)", told)[0]
    return int(before.replace(",", "")), int(after.replace(",", ""))


@pytest.mark.parametrize("store", ["folder", "s3"])
def test_the_main_job_is_done_and_told(start: Start, store: str) -> None:
    elsewhere = {"STORE": "file:///nowhere/at/all", "LEDGER_URL": "sqlite:////nowhere", "SERVE_ONLY": "delivery"}
    told, errors = start("--once", "--store", store, **elsewhere).communicate(timeout=ENDS_WITHIN_S)
    assert errors == ""
    before, after = bytes_line(told)
    assert before > 2_000_000
    assert after <= 1_000_000
    assert re.search(r"pixels +4032 x 3024 -> 1920 x 2560", told)
    assert '"biz_opaque_callback_data"' in told
    assert "cache-control: public, max-age=31536000" in told
    assert re.search(r"^ +sent\n +delivered$", told, re.MULTILINE)
    assert "the ledger says: accepted, delivered" in told
    assert told.endswith("Ended.\n")


def test_a_second_run_reuses_what_is_there_and_ctrl_c_ends_it(start: Start, tmp_path: Path) -> None:
    port = two_free_ports()
    first, _ = start("--once", port=port).communicate(timeout=ENDS_WITHIN_S)
    link = re.findall(r"link +(http\S+)", first)
    made_at = (tmp_path / "data" / "media" / "demo" / "holiday.jpg").stat().st_mtime_ns
    process = start(port=port)
    assert process.stdout is not None
    told = "".join(iter(process.stdout.readline, "Serving on. Ctrl-C ends it.\n"))
    assert re.findall(r"link +(http\S+)", told) == link
    assert (tmp_path / "data" / "media" / "demo" / "holiday.jpg").stat().st_mtime_ns == made_at
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=ENDS_WITHIN_S)
    assert (process.returncode, rest, errors) == (0, "Ended.\n", "")


def test_a_taken_port_is_a_sentence(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start("--once", port=taken.getsockname()[1])
        _, errors = process.communicate(timeout=ENDS_WITHIN_S)
    assert process.returncode == 2
    assert "cannot be listened on" in errors
    assert "Traceback" not in errors
