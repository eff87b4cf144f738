"""A campaign replayed over real sockets, in small: what WhatsApp asks for, and what makes a replay fail."""

import json
from typing import TYPE_CHECKING

import pytest

from proxy.replay import Campaign, Replayed, replay
from proxy.sandbox.settings import Caching

if TYPE_CHECKING:
    from tests.conftest import Command

SMALL = Campaign(sends=60, media=2, hours=1)


def quietly(caching: Caching, campaign: Campaign = SMALL, **house: object) -> Replayed:
    return replay(campaign, caching, lambda _done, _faults: None, **house)


@pytest.mark.parametrize(
    ("sends", "media", "hours", "fixed", "headers"),
    [
        pytest.param(10_000, 20, 1, 120, 20, id="as the command does"),
        pytest.param(60, 1, 1, 6, 1, id="one a minute"),
        pytest.param(6, 1, 1, 6, 1, id="one in ten minutes"),
        pytest.param(7, 1, 1, 4, 1, id="one in less than ten minutes: every second one finds it kept"),
        pytest.param(60, 1, 0, 1, 1, id="all at once"),
        pytest.param(3, 20, 1, 3, 3, id="more media than sends"),
    ],
)
def test_the_least_is_one_fetch_in_ten_minutes_or_one_for_good(
    sends: int, media: int, hours: float, fixed: int, headers: int
) -> None:
    campaign = Campaign(sends=sends, media=media, hours=hours)
    assert (campaign.least(Caching.FIXED), campaign.least(Caching.HEADERS)) == (fixed, headers)


@pytest.mark.parametrize("sends", [1, 59, 60, 1000, 10_000])
def test_every_send_has_its_time_and_they_are_spread_evenly(sends: int) -> None:
    parties = list(Campaign(sends=sends, media=20, hours=1).parties())
    assert [number for _, party in parties for number in party] == list(range(sends))
    times = [at_s for at_s, _ in parties]
    assert times == pytest.approx([step * 3600 / len(times) for step in range(len(times))])
    assert len(times) >= min(sends, 60)


@pytest.mark.parametrize("caching", Caching)
def test_our_origin_is_asked_no_more_than_it_must_be(caching: Caching) -> None:
    told: list[int] = []
    replayed = replay(SMALL, caching, lambda done, _: told.append(done))
    least = 12 if caching is Caching.FIXED else 2
    assert (replayed.least, replayed.asked, replayed.served) == (least, least, least)
    assert (replayed.delivered, replayed.is_right) == (60, True)
    assert told == list(range(1, 61))


def test_links_that_whatsapp_may_not_keep_are_found_out() -> None:
    replayed = quietly(Caching.HEADERS, prefix_rules="replay/=no-store")
    assert (replayed.least, replayed.asked, replayed.served, replayed.delivered) == (2, 60, 60, 60)
    assert (replayed.is_explained, replayed.is_right) == (False, False)


def test_messages_that_do_not_arrive_are_found_out() -> None:
    replayed = quietly(Caching.FIXED, Campaign(sends=4, media=2, hours=1), alias_prefixes="other/")
    assert (replayed.delivered, replayed.is_right) == (0, False)
    (reason,) = replayed.faults.lasting.values()
    assert reason.count == 4


def test_a_script_gets_the_counts_of_both_ways(medialink: "Command") -> None:
    shown = medialink(
        "sandbox",
        "replay",
        "--sends",
        "6",
        "--media",
        "2",
        "--json",
        STORE="s3://elsewhere",
        PUBLIC_URL="https://a.example",
    )
    assert shown.returncode == 0, shown.stderr
    told = json.loads(shown.stdout)
    assert (told["sends"], told["media"], told["hours"]) == (6, 2, 1)
    counts = {caching: {**came, "seconds": 0} for caching, came in told["caching"].items()}
    same = {"explained": True, "delivered": 6, "seconds": 0, "not_delivered": {}}
    assert counts == {
        "fixed": {"least": 6, "asked": 6, "served": 6, **same},
        "headers": {"least": 2, "asked": 2, "served": 2, **same},
    }


def test_a_person_gets_a_table(medialink: "Command") -> None:
    shown = medialink("sandbox", "replay", "--sends", "3", "--media", "1")
    assert shown.returncode == 0, shown.stderr
    rows = [line.split() for line in shown.stdout.splitlines()]
    assert [row[:4] for row in rows[1:]] == [["fixed", "3", "3", "3"], ["headers", "1", "1", "1"]]
    assert "3 of 3" in shown.stdout


def test_an_option_of_the_server_does_not_go_with_a_replay(medialink: "Command") -> None:
    shown = medialink("sandbox", "--port", "8099", "replay")
    assert shown.returncode == 2
    assert "--port is for the sandbox that serves, not for replay" in " ".join(shown.stderr.split())
