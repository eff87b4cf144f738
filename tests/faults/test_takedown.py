"""Takedowns while the store breaks: what was heard is kept, and what cannot be known is not delivered."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.conftest import NO_TLS
from tests.delivery.takedown_desk import take_down
from tests.faults.faulty_s3 import Fault, FaultyS3

if TYPE_CHECKING:
    from tests.conftest import Command, House

Build = Callable[..., "House"]

HEARD_S = 20.0


@pytest.fixture(autouse=True)
def _quick_ears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.delivery.takedowns.REREAD_EVERY_S", 0.05)
    monkeypatch.setattr("proxy.delivery.takedowns.RETRY_AFTER_S", 0.05)


def await_status(house: "House", link: str, status: int) -> None:
    until = time.monotonic() + HEARD_S
    while house.web.get(link).status_code != status:
        assert time.monotonic() < until, f"{status} did not come"


def test_a_body_on_its_way_in_is_cut_for_all_its_readers(build_over: Build, s3: FaultyS3) -> None:
    house = build_over(s3, store_read_timeout_s=30)
    body = b"%PDF-1.7\n" + bytes(1_500_000)
    s3.put("a.pdf", body)
    link = house.link("a.pdf", "document")
    for file in (house.settings.data_dir / "cache" / "files").glob("*/*"):
        file.unlink()
    with (
        ExitStack() as open_,
        httpx2.Client(timeout=60, trust_env=False, verify=NO_TLS) as web,
        s3.breaking(Fault.PAUSED, f"GET /{s3.bucket}/a.pdf"),
    ):
        pieces = [open_.enter_context(web.stream("GET", link)).iter_raw() for _ in range(3)]
        for reader in pieces:
            assert next(reader)
        take_down(house, "a.pdf")
        for reader in pieces:
            with pytest.raises(httpx2.RemoteProtocolError):
                list(reader)
        assert web.get(link).json()["error"]["code"] == "taken_down"


def test_a_start_without_the_store_keeps_the_list_of_its_disk_and_a_bare_one_delivers_nothing(
    build_over: Build, s3: FaultyS3, pdf: bytes, tmp_path: Path
) -> None:
    first = build_over(s3, data_dir=tmp_path / "same")
    for key in ("a.pdf", "b.pdf"):
        s3.put(key, pdf)
    down, up = (first.link(key, "document").removeprefix(first.url) for key in ("a.pdf", "b.pdf"))
    assert [first.web.get(link).status_code for link in (down, up)] == [200, 200]
    take_down(first, "a.pdf")
    await_status(first, down, 410)
    with s3.breaking(Fault.REFUSED):
        again = build_over(s3, data_dir=tmp_path / "same")
        assert [again.web.get(link).status_code for link in (down, up)] == [410, 200]
        (tmp_path / "same" / "takedowns.json").unlink()
        bare = build_over(s3, data_dir=tmp_path / "same")
        answers = [bare.web.get(link) for link in (down, up)]
        assert [answer.json()["error"]["code"] for answer in answers] == ["store_away", "store_away"]
        assert {answer.headers["retry-after"] for answer in answers} == {"5"}
    await_status(bare, down, 410)
    await_status(bare, up, 200)


def test_who_may_not_read_media_may_take_them_down(medialink: "Command", s3: FaultyS3) -> None:
    s3.put("a.pdf", b"%PDF-1.7\n")
    environment = {name.upper(): str(value) for name, value in s3.settings.items()}
    with s3.breaking(Fault.FORBIDDEN, f"HEAD /{s3.bucket}/a.pdf"):
        done = medialink("takedown", "a.pdf", **environment)
    assert (done.returncode, "a.pdf is taken down" in done.stdout) == (0, True), done.stderr
    assert "does not say whether it has such a key" in done.stdout
