"""Each fetch of a link is written down, off the way of its answer: who asked, what came of it, and how long it took."""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from proxy.delivery.fetches import Fetch
from proxy.delivery.links import Links
from proxy.errors import LedgerAway
from proxy.messaging import fetch_log
from proxy.messaging.fetch_log import FetchLog
from proxy.messaging.ledger import Ledger
from proxy.messaging.tables import fetches
from proxy.messaging_doors import build_ledger
from proxy.settings import Settings
from tests.messaging.conftest import file, postgres, postgres_binaries, url
from tests.messaging.ledgers import make_ledger

if TYPE_CHECKING:
    from tests.conftest import House

__all__ = ["file", "postgres", "postgres_binaries", "url"]

Build = Callable[..., "House"]

BIG_PDF = b"%PDF-1.7 " + bytes(60_000_000)


async def rows_of(ledger: Ledger) -> list[dict[str, Any]]:
    query = select(fetches).order_by(fetches.c.id)
    found = await ledger.database.read(lambda connection: connection.execute(query).mappings().all())
    return [dict(row) for row in found]


def noted(settings: Settings, count: int) -> list[dict[str, Any]]:
    """Wait until so many are written down."""

    async def read() -> list[dict[str, Any]]:
        ledger = build_ledger(settings)
        try:
            async with asyncio.timeout(30):
                while True:
                    with suppress(LedgerAway):  # who notes may not have made its tables yet
                        if len(rows := await rows_of(ledger)) >= count:
                            return rows
                    await asyncio.sleep(0.05)
        finally:
            await ledger.close()

    return asyncio.run(read())


def rendition_of(house: "House", link: str) -> str:
    return str(house.web.head(link).headers["etag"]).strip('"')


def test_what_whatsapp_fetched_is_written_down(house: "House", light_jpeg: bytes) -> None:
    house.put("a.jpg", light_jpeg)
    before = time.time()
    answer = house.send(key="a.jpg")
    house.story(answer.json()["provider_message_id"])
    (row,) = noted(house.settings, 1)
    assert row["rendition_id"] == rendition_of(house, answer.json()["link"])
    assert (row["status"], row["sent_bytes"], row["whole"], row["code"]) == (200, len(light_jpeg), True, None)
    assert row["agent"] == "facebookexternalua"
    assert before - 1 <= row["at"].timestamp() <= time.time()
    assert 0 < row["ms"] < 20_000


def test_hits_parts_304s_and_refusals_are_told_apart_and_forged_links_leave_nothing(
    house: "House", light_jpeg: bytes
) -> None:
    house.put("a.jpg", light_jpeg)
    link = house.link("a.jpg")
    etag = house.web.get(link).headers["etag"]
    house.web.get(link)
    house.web.get(link, headers={"Range": "bytes=0-9"})
    house.web.get(link, headers={"If-None-Match": etag})
    house.web.head(link)
    assert house.web.get(link[:-5] + "x.jpg").status_code == 404
    house.put("a.jpg", light_jpeg + b"new")
    gone = house.link("a.jpg")
    house.put("a.jpg", light_jpeg + b"newer")
    assert house.web.get(gone).status_code == 200, "its bytes are kept"
    rows = noted(house.settings, 5)
    assert [(row["status"], row["sent_bytes"], row["whole"]) for row in rows] == [
        (200, len(light_jpeg), True),
        (200, len(light_jpeg), True),
        (206, 10, True),
        (304, 0, True),
        (200, len(light_jpeg) + 3, True),
    ]


def test_a_refusal_says_which_it_was(house: "House", light_jpeg: bytes) -> None:
    house.put("a.jpg", light_jpeg)
    parts = dict(zip(("tag", "token", "name"), urlsplit(house.link("a.jpg")).path.split("/")[2:], strict=True))
    links = Links(house.settings.link_secrets())
    expired = links.mint(replace(links.open(**parts), expires_at=1_700_000_000))
    assert house.web.get(expired).status_code == 410
    (row,) = noted(house.settings, 1)
    assert (row["status"], row["code"], row["whole"]) == (410, "link_expired", True)


def test_who_hangs_up_did_not_get_the_whole(house: "House") -> None:
    house.put("a.pdf", BIG_PDF)
    link = urlsplit(house.link("a.pdf", "document"))
    with socket.create_connection((link.hostname or "", link.port or 0)) as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.sendall(f"GET {link.path} HTTP/1.1\r\nHost: {link.netloc}\r\nUser-Agent: gone\r\n\r\n".encode())
        assert reader.recv(100).startswith(b"HTTP/1.1 200")
    (row,) = noted(house.settings, 1)
    assert (row["status"], row["whole"], row["agent"]) == (200, False, "gone")
    assert row["sent_bytes"] < len(BIG_PDF)


def test_the_half_behind_the_cdn_notes_nothing_unless_it_is_told(build: Build, light_jpeg: bytes) -> None:
    both = build()
    both.put("a.jpg", light_jpeg)
    link = urlsplit(both.link("a.jpg")).path
    silent = build(serve_only="delivery")
    assert silent.web.get(link).status_code == 200
    assert not (silent.settings.data_dir / "ledger.sqlite3").exists()
    noting = build(serve_only="delivery", record_fetches=True)
    assert noting.web.get(link).status_code == 200
    assert len(noted(noting.settings, 1)) == 1


def test_who_notes_fetches_need_not_have_the_key_that_hides_numbers(build: Build, light_jpeg: bytes) -> None:
    both = build()
    both.put("a.jpg", light_jpeg)
    link = urlsplit(both.link("a.jpg")).path
    noting = build(
        serve_only="delivery",
        record_fetches=True,
        ledger_url=both.settings.ledger_place,
        ledger_key=SecretStr("a-key-of-its-own-that-opens-nothing-of-ours"),
    )
    assert noting.web.get(link).status_code == 200
    assert len(noted(both.settings, 1)) == 1


def test_delivery_starts_while_the_ledger_is_away(build: Build, light_jpeg: bytes) -> None:
    both = build()
    both.put("a.jpg", light_jpeg)
    link = urlsplit(both.link("a.jpg")).path
    away = "postgresql://nobody:nothing@127.0.0.1:9/none"
    noting = build(serve_only="delivery", record_fetches=True, ledger_url=away, ledger_key="c" * 43)
    assert noting.web.get(link).status_code == 200


LINKS = Links({1: b"a" * 32}, show_names=True)


def fetch(raw_path: bytes = b"/m/tag/token/a.jpg", **fields: Any) -> Fetch:
    known: dict[str, Any] = {
        "raw_path": raw_path,
        "at_s": 1_800_000_000.0,
        "ms": 1.5,
        "status": 200,
        "sent_bytes": 10,
        "whole": True,
        "code": None,
        "agent": b"",
    }
    return Fetch(**known | fields)


class Named:
    """Stands for a link: all that is asked of it is its rendition."""

    def __init__(self, *parts: str) -> None:
        self.rendition_id = "/".join(parts)


def test_a_ledger_that_is_away_loses_no_fetch(url: str) -> None:
    async def run() -> list[dict[str, Any]]:
        ledger = make_ledger(url)
        log = FetchLog(ledger.database, Named)  # type: ignore[arg-type]  # as above
        for number in range(3):
            log.note(fetch(status=200 + number))
        for _ in range(2 * fetch_log.MAX_PER_LINK):
            with pytest.raises(LedgerAway):
                await log.write_down()
        await ledger.open()
        await log.write_down()
        await log.write_down()
        try:
            return await rows_of(ledger)
        finally:
            await ledger.close()

    assert [row["status"] for row in asyncio.run(run())] == [200, 201, 202]


def test_a_round_that_is_ended_loses_no_fetch(tmp_path: Path) -> None:
    async def run() -> list[dict[str, Any]]:
        ledger = make_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
        await ledger.open()
        log = FetchLog(ledger.database, Named)  # type: ignore[arg-type]  # as above
        log.note(fetch())
        round_ = asyncio.create_task(log.write_down())
        await asyncio.sleep(0)
        round_.cancel()
        await asyncio.gather(round_, return_exceptions=True)
        await log.write_down()
        try:
            return await rows_of(ledger)
        finally:
            await ledger.close()

    assert len(asyncio.run(run())) >= 1


def test_who_asks_a_thousand_times_fills_no_ledger_and_names_no_agent_that_hurts(url: str) -> None:
    async def run() -> list[dict[str, Any]]:
        ledger = make_ledger(url)
        await ledger.open()
        log = FetchLog(ledger.database, Named)  # type: ignore[arg-type]  # as above
        for _ in range(1000):
            log.note(fetch(agent=b"\x00\xff evil\n"))
        log.note(fetch(at_s=1_800_000_000.0 + 3600))
        log.note(fetch(b"/m/other/token/b.jpg"))
        log.note(fetch(b"/m/neither"))
        await log.write_down()
        try:
            return await rows_of(ledger)
        finally:
            await ledger.close()

    rows = asyncio.run(run())
    assert len(rows) == fetch_log.MAX_PER_LINK + 2
    assert rows[0]["agent"] == "?\ufffd evil"


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_log, "MAX_WAITING", 2)
    log = FetchLog(make_ledger("sqlite:////nowhere/at.all").database, LINKS.open)
    for _ in range(3):
        log.note(fetch())
    assert len(log._waiting) == 2  # noqa: SLF001 - what it holds shows nowhere else
