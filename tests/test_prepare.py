"""Renditions before anyone asks: all of them, once, whatever breaks on the way, and a sum that is right."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from asyncio import run
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proxy.app import build_store
from proxy.errors import (
    Busy,
    DecodeLimit,
    DiskFull,
    Malformed,
    MedialinkError,
    NotFound,
    SourceReplaced,
    StoreAway,
    TakenDown,
    TooLarge,
    Undecodable,
)
from proxy.media.kinds import AsIs, Kind
from proxy.prepare import FIRST_KEYS, MAX_FAILURES_IN_A_ROW, PAUSES_S, Faults, Names, Prepare, Shard, Tally
from proxy.settings import Settings
from proxy.storage.store import Key, Source, parse_key
from tests.conftest import Command, picture
from tests.s3_servers import ACCESS_KEY, SECRET_KEY

if TYPE_CHECKING:
    from proxy.delivery.verdicts import Verdict

PATIENCE_S = 60.0
Place = dict[str, str]


@pytest.fixture(params=["folder", "moto", "seaweedfs"])
def place(request: pytest.FixtureRequest, tmp_path: Path, new_bucket: Callable[..., str]) -> Place:
    """Name a store by the settings that a command takes."""
    if request.param == "folder":
        return {"STORE": f"file://{tmp_path / 'store'}"}
    url = request.getfixturevalue(f"{request.param}_url")
    return on_s3(url, new_bucket(url))


def on_s3(url: str, bucket: str) -> Place:
    return {
        "STORE": f"s3://{bucket}/own",
        "S3_ENDPOINT_URL": url,
        "S3_REGION": "us-east-1",
        "S3_ACCESS_KEY_ID": ACCESS_KEY,
        "S3_SECRET_ACCESS_KEY": SECRET_KEY,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Name the folder that commands use when nothing else is set."""
    return tmp_path / "data" / "media"


def read(place: Place) -> Settings:
    return Settings.read(**{name.lower(): value for name, value in place.items()})


def put_all(place: Place, bodies: dict[str, bytes], tmp_path: Path) -> None:
    async def work() -> None:
        store = build_store(read(place))
        try:
            for key, body in bodies.items():
                (tmp_path / "to-put").write_bytes(body)
                await store.put(parse_key(key), tmp_path / "to-put", media_type="application/octet-stream")
        finally:
            await store.close()

    run(work())


def write_all(folder: Path, bodies: dict[str, bytes]) -> None:
    for key, body in bodies.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(body)


def test_all_under_a_prefix_is_made_once_and_summed_up(medialink: Command, place: Place, tmp_path: Path) -> None:
    light, webp = picture(200, 150), picture(300, 200, form="WEBP")
    bodies = {"p/a.jpg": light, "p/sub/b.webp": webp, "p/c.jpg": b"<html>", "p/d.jpg": light[:300], "q/e.jpg": light}
    put_all(place, bodies, tmp_path)
    first = medialink("prepare", "p/", "--kind", "image", "--report", "report.jsonl", "--json", **place)
    assert first.returncode == 1, first.stderr
    told = json.loads(first.stdout)
    assert (told["keys"], told["as_is"], told["made"], told["new"], told["whole"]) == (4, 1, 1, 4, True)
    assert {code: reason["first"] for code, reason in told["refused"].items()} == {
        "type_refused": ["p/c.jpg"],
        "undecodable": ["p/d.jpg"],
    }
    assert (told["failed"], told["gone"]) == ({}, 0)
    assert told["before_bytes"] == len(light) + len(webp)
    *faults, last = map(json.loads, (tmp_path / "report.jsonl").read_text().splitlines())
    assert {(fault["name"], fault["code"], fault["again"]) for fault in faults} == {
        ("p/c.jpg", "type_refused", False),
        ("p/d.jpg", "undecodable", False),
    }
    assert last == {"sum": told}
    again = json.loads(medialink("prepare", "p/", "--kind", "image", "--json", **place).stdout)
    assert again["new"] == 0
    assert {name: again[name] for name in ("keys", "as_is", "made", "refused", "after_bytes")} == {
        name: told[name] for name in ("keys", "as_is", "made", "refused", "after_bytes")
    }
    elsewhere = medialink("prepare", "p/", "--kind", "image", "--json", **place, DATA_DIR=str(tmp_path / "other"))
    assert json.loads(elsewhere.stdout)["new"] == 0


def test_a_person_sees_a_picture_of_it(medialink: Command, folder: Path) -> None:
    write_all(folder, {"a.jpg": picture(200, 150), "b.webp": picture(300, 200, form="WEBP")})
    shown = medialink("prepare", "", "--kind", "image")
    assert shown.returncode == 0, shown.stderr
    assert "2 keys under / as image" in shown.stdout
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert [(line[0], line[-2]) for line in lines if line[-1:] == ["(50%)"]] == [("as", "1"), ("made", "1")]
    assert "MB (" in shown.stdout
    assert "2 judged by this run" in shown.stdout
    assert "found" not in shown.stdout
    assert "what was judged before was found" in medialink("prepare", "", "--kind", "image").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(("trips/",), "PREFIX: there is no key that begins with trips/.", id="nothing"),
        pytest.param(("",), "PREFIX: there is no key in the store.", id="empty-store"),
        pytest.param(("../",), "PREFIX: must not", id="climbing"),
        pytest.param((".medialink/",), "PREFIX: must not lie under .medialink/", id="reserved"),
        pytest.param(("a", "--shard", "0/2"), "--shard: must be i/n", id="shard-nought"),
        pytest.param(("a", "--shard", "3/2"), "--shard: must be i/n", id="shard-over"),
        pytest.param(("a", "--report", "no/such/folder.jsonl"), "--report: no/such/folder.jsonl cannot", id="report"),
    ],
)
def test_wrong_input_is_a_sentence_and_exit_2(medialink: Command, arguments: tuple[str, ...], says: str) -> None:
    shown = medialink("prepare", *arguments, "--kind", "image")
    assert shown.returncode == 2, shown.stderr
    assert says in shown.stderr
    assert "Traceback" not in shown.stderr
    assert shown.stdout == ""


def test_a_store_that_is_away_is_told_at_once(medialink: Command) -> None:
    shown = medialink("prepare", "a/", "--kind", "image", **on_s3("http://127.0.0.1:9", "bucket"))
    assert shown.returncode == 3
    assert "does not answer" in shown.stderr
    assert "keys under" not in shown.stdout


def test_what_is_taken_down_is_refused(medialink: Command, folder: Path) -> None:
    write_all(folder, {"p/a.jpg": picture(200, 150), "p/b.jpg": picture(200, 150)})
    medialink("takedown", "p/a.jpg")
    shown = medialink("prepare", "p/", "--kind", "image", "--json")
    assert shown.returncode == 1
    assert json.loads(shown.stdout)["refused"]["taken_down"]["first"] == ["p/a.jpg"]


def test_names_from_nowhere_do_not_reach_the_terminal_as_they_are(medialink: Command, folder: Path) -> None:
    write_all(folder, {"p/\x1b[31m\u202egnp.jpg": b"x"})
    with suppress(OSError):  # macOS takes no such name
        Path(os.fsdecode(os.fsencode(folder) + b"/p/\xff.jpg")).touch()
    shown = medialink("prepare", "p/", "--kind", "image")
    assert shown.returncode == 1, shown.stderr
    assert r"p/\x1b[31m\u202egnp.jpg" in shown.stdout
    assert "\x1b[31m" not in shown.stdout
    assert medialink("prepare", "p/", "--kind", "image", "--json").returncode == 1


@pytest.fixture
def many(folder: Path) -> Path:
    """Put enough that must be made, for a run to be ended in its midst."""
    body = picture(900, 700, form="WEBP")
    write_all(folder, {f"p/{number:02}.webp": body for number in range(40)})
    return folder


def begin(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "proxy", "prepare", "p/", "--kind", "image", "--json", *arguments],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path.cwd()), "DECODE_SLOTS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def made_in(folder: Path) -> dict[str, int]:
    """Tell the renditions that lie in a store, each with its inode: one that is made again has another."""
    renditions = folder / ".medialink" / "renditions"
    return {file.name: file.stat().st_ino for file in renditions.glob("*")} if renditions.is_dir() else {}


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_run_that_was_killed_goes_on_where_it_was(medialink: Command, many: Path, tmp_path: Path) -> None:
    with begin(tmp_path) as running:
        wait_until(lambda: len(made_in(many)) >= 5)
        running.kill()
    before = made_in(many)
    assert 5 <= len(before) < 40
    told = json.loads(medialink("prepare", "p/", "--kind", "image", "--json").stdout)
    assert (told["made"], told["new"]) == (40, 40 - len(before))
    after = made_in(many)
    assert len(after) == 40
    assert before.items() <= after.items()


def test_ctrl_c_ends_it_in_order_with_what_was_done(many: Path, tmp_path: Path) -> None:
    with begin(tmp_path, "--report", "report.jsonl") as running:
        wait_until(lambda: len(made_in(many)) >= 5)
        running.send_signal(signal.SIGINT)
        stdout, stderr = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 130, stderr
    assert "Traceback" not in stderr
    told = json.loads(stdout)
    assert told["whole"] is False
    assert 1 <= told["made"] <= len(made_in(many)) < 40
    assert json.loads((tmp_path / "report.jsonl").read_text()) == {"sum": told}


def test_machines_share_the_keys(medialink: Command, folder: Path) -> None:
    write_all(folder, {f"p/{number}.txt": b"text" for number in range(12)})
    told = [
        json.loads(medialink("prepare", "p/", "-k", "document", "--shard", shard, "--json").stdout)
        for shard in ("1/2", "2/2")
    ]
    assert sum(each["keys"] for each in told) == sum(each["new"] for each in told) == 12
    assert max(each["keys"] for each in told) < 12


def test_shards_are_disjoint_and_whole() -> None:
    names = [f"trips/{number}.jpg" for number in range(2_000)] + ["фото", "\udcff", ""]
    for of in (1, 2, 7):
        shards = [Shard(number=number, of=of) for number in range(1, of + 1)]
        taken = [sum(shard.takes(name) for name in names) for shard in shards]
        assert all(sum(shard.takes(name) for shard in shards) == 1 for name in names)
        assert min(taken) > 0.7 * len(names) / of


def test_a_shard_is_the_same_on_every_machine() -> None:
    assert [Shard(number=2, of=3).takes(name) for name in "abcdef"] == [True, True, False, False, False, False]


@pytest.mark.parametrize("text", ["2", "", "/", "1/", "0/2", "3/2", "-1/2", "1/2/3", "1/1001", "²/3", "a/b"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="--shard: must be i/n"):
        Shard.parse(text)


async def stream(names: list[str] | range) -> Names:
    for name in names:
        yield str(name)


class Judge:
    """Answers by a script of errors, one for each time that a key is asked for; then it is deliverable."""

    def __init__(self, **errors: list[Exception]) -> None:
        self.errors = errors
        self.now = self.most = 0

    async def __call__(self, _: Kind, key: Key) -> tuple[Source, "Verdict"]:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        if self.errors.get(key):
            raise self.errors[key].pop(0)
        return None, AsIs(media_type="image/jpeg", size_bytes=10)  # type: ignore[return-value] # nobody asks for it


def prepared(judge: Judge, names: list[str] | range, *, at_once: int = 4) -> tuple[Tally, list[float]]:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    tally = Tally(faults=Faults(tell=lambda _: None))
    journey = Prepare(judge=judge, kind=Kind.IMAGE, shard=Shard(), at_once=at_once, pause=pause)
    run(journey(stream(names), tally))
    return tally, pauses


@pytest.mark.parametrize("error", [StoreAway, Busy, DiskFull, SourceReplaced])
def test_a_hiccup_is_tried_again_a_few_times(error: type[MedialinkError]) -> None:
    tally, pauses = prepared(Judge(a=[error() for _ in PAUSES_S]), ["a", "b"])
    assert (tally.as_is, tally.faults.again_count, pauses) == (2, 0, list(PAUSES_S))
    tally, pauses = prepared(Judge(a=[error() for _ in range(len(PAUSES_S) + 1)]), ["a", "b"])
    assert (tally.as_is, tally.faults.again_count, pauses) == (1, 1, list(PAUSES_S))
    assert tally.faults.again[error.code].first == ["a"]


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (DecodeLimit(limit="20 seconds"), True),
        (Undecodable(media_type="image/jpeg", reason="x"), False),
        (TooLarge(size_bytes=2, limit_bytes=1), False),
        (TakenDown(), False),
        (Malformed(field="key", problem="x"), False),
        (ValueError("ours"), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_stands_against_one_key_stops_no_other(error: Exception, *, again: bool) -> None:
    tally, pauses = prepared(Judge(a=[error]), ["a", "b", "c"])
    assert (tally.as_is, tally.done, pauses) == (2, 3, [])
    assert (tally.faults.again_count, tally.faults.lasting_count) == (int(again), int(not again))


def test_what_was_deleted_meanwhile_is_no_fault() -> None:
    tally, _ = prepared(Judge(a=[NotFound()]), ["a", "b"])
    assert (tally.gone, tally.as_is, tally.faults.lasting, tally.faults.again) == (1, 1, {}, {})


def test_when_all_fail_it_ends() -> None:
    names = [f"k{number}" for number in range(1000)]
    failing: dict[str, list[Exception]] = {name: [StoreAway() for _ in range(10)] for name in names}
    tally = Tally(faults=Faults(tell=lambda _: None))

    async def pause(_: float) -> None: ...

    journey = Prepare(judge=Judge(**failing), kind=Kind.IMAGE, shard=Shard(), at_once=4, pause=pause)
    with pytest.raises(StoreAway):
        run(journey(stream(names), tally))
    assert tally.faults.again_count == MAX_FAILURES_IN_A_ROW


def test_failures_that_are_not_in_a_row_do_not_end_it() -> None:
    failing: dict[str, list[Exception]] = {
        f"k{number}": [StoreAway() for _ in range(10)] for number in range(0, 100, 2)
    }
    tally, _ = prepared(Judge(**failing), [f"k{number}" for number in range(100)], at_once=1)
    assert (tally.as_is, tally.faults.again_count) == (50, 50)


def test_so_many_are_at_work_at_once_and_no_more() -> None:
    judge = Judge()
    prepared(judge, range(100), at_once=7)
    assert judge.most == 7


def test_memory_does_not_grow_with_the_keys() -> None:
    class Refusing(Judge):
        async def __call__(self, kind: Kind, key: Key) -> tuple[Source, "Verdict"]:
            if key.endswith("7"):
                raise Undecodable(media_type="image/jpeg", reason="x")
            return await super().__call__(kind, key)

    peaks = []
    for count in (1_000, 20_000):
        tracemalloc.start()
        tally, _ = prepared(Refusing(), range(count))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        (reason,) = tally.faults.lasting.values()
        assert (reason.count, len(reason.first)) == (count // 10, FIRST_KEYS)
    assert peaks[1] - peaks[0] < 500_000
