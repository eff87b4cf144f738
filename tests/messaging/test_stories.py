"""A person reads why a message did not arrive: what is told fits what is known, and nothing more is claimed."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from proxy.media.kinds import Kind
from proxy.messaging.entries import Fate, Fetched, LedgerFetch, LedgerMedium, LedgerMessage, LedgerStatus
from proxy.messaging.statuses import State
from proxy.messaging.stories import SHOWN_FETCHES, Story
from tests.messaging.ledgers import EPOCH

OURS = LedgerMedium(kind=Kind.IMAGE, key="offers/a.jpg", rendition_id="r1", link="https://m.example/m/x/a.jpg")
NOT_FOUND = "Downloading media from weblink failed with http code 404, status message Not Found"
MESSAGE = LedgerMessage(
    id="m1",
    provider_message_id="wamid.1",
    type="image",
    media=(OURS,),
    recipient_last4="4567",
    outcome=Fate.ACCEPTED,
    error_code=None,
    error_details=None,
    warnings=(),
    status=None,
    status_at=None,
    created_at=EPOCH,
    updated_at=EPOCH,
)
FETCH = LedgerFetch(
    rendition_id="r1",
    at=EPOCH + timedelta(seconds=2),
    status=200,
    sent_bytes=850_000,
    whole=True,
    ms=31.4,
    agent="wa/1",
)


def failed(details: str = NOT_FOUND, code: int = 131053) -> LedgerMessage:
    history = LedgerStatus(
        status=State.FAILED,
        at=EPOCH + timedelta(seconds=5),
        recorded_at=EPOCH,
        error_code=code,
        error_details=details,
    )
    return replace(MESSAGE, status=State.FAILED, error_code=code, error_details=details, history=(history,))


def told(message: LedgerMessage, *fetches: LedgerFetch, after: timedelta = timedelta(hours=1)) -> str:
    story = Story.of(message, Fetched(fetches=fetches), now=EPOCH + after)
    return "\n".join(line for paragraph in story.paragraphs() for line in (paragraph.title, *paragraph.lines))


def test_a_failure_is_told_whole() -> None:
    story = told(failed(), FETCH)
    for sentence in (
        "2026-11-22 12:00:00 UTC: image to …4567, our id m1",
        "image by link: https://m.example/m/x/a.jpg",
        "of key offers/a.jpg, rendition r1",
        "It took the message as wamid.1.",
        f"2026-11-22 12:00:05 UTC: failed, 5 s after: 131053 {NOT_FOUND}",
        "WhatsApp fetched the link and was told that there is nothing (404).",
        "It was asked for this once (1 x 200). Behind a CDN, only what the CDN did not have comes here.",
        "2026-11-22 12:00:02 UTC: 200, 850,000 bytes in 31 ms, whole, by wa/1",
        "Open the link yourself, through PUBLIC_URL.",
    ):
        assert sentence in story


FOREIGN = replace(failed(), media=(LedgerMedium(kind=Kind.IMAGE, link="https://elsewhere.example/a.jpg"),))
CONTRADICTIONS: dict[str, tuple[LedgerMessage, list[LedgerFetch], str]] = {
    "the-origin-answered-so": (
        failed(),
        [replace(FETCH, status=410, code="taken_down", whole=True)],
        "Our origin itself answered 410 taken_down: This medium was taken down by its owner",
    ),
    "a-code-of-another-release": (failed(), [replace(FETCH, status=418, code="new")], "answered 418 new: see the log"),
    "the-reader-hung-up": (
        failed(),
        [replace(FETCH, whole=False, sent_bytes=65536)],
        "the reader hung up after 65,536 bytes",
    ),
    "delivered-whole-all-the-same": (failed(), [FETCH], "Our origin delivered it whole, so what failed lies between"),
    "nobody-asked": (failed(), [], "Our origin was not asked, so this answer is not ours"),
}


@pytest.mark.parametrize(("message", "fetches", "says"), CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_what_whatsapp_says_is_held_against_what_the_origin_served(
    message: LedgerMessage, fetches: list[LedgerFetch], says: str
) -> None:
    assert says in told(message, *fetches)


def test_of_a_foreign_link_and_of_what_is_no_matter_of_media_nothing_is_compared() -> None:
    for message in (FOREIGN, failed("Re-engagement message", 131047)):
        assert "Our origin was not asked" not in told(message)
    assert "the medium lies elsewhere" in told(FOREIGN)


def test_who_asks_of_a_foreign_link_is_sent_to_its_host_and_not_to_ours() -> None:
    story = told(FOREIGN)
    assert "The link names nothing of our store" in story
    assert "PUBLIC_URL" not in story
    heavy = told(replace(FOREIGN, error_details="File size too big"))
    assert "The link names nothing of our store" not in heavy, "what is wrong with a file is wrong wherever it lies"


def test_where_whatsapp_throttled_itself_nobody_is_sent_to_look_before_the_origin() -> None:
    story = told(failed("http code 429, status message Request ratelimit by fwdproxy"))
    assert "WhatsApp's own fetcher (fwdproxy) held itself back" in story
    assert "look at what stands before it" not in story


def test_nobody_asked_is_explained() -> None:
    story = told(failed())
    assert "Nobody asked our origin for it. Either WhatsApp had it from an earlier message" in story
    assert "a CDN answered in our place" in story


@pytest.mark.parametrize("outcome", [Fate.REFUSED, Fate.NOT_SENT])
def test_of_what_was_never_taken_nobody_wonders_that_nobody_asked(outcome: Fate) -> None:
    story = told(replace(MESSAGE, outcome=outcome, error_code=100, error_details="bad"))
    assert "Nobody asked our origin for it, as the message was not taken." in story
    assert "a CDN answered in our place" not in story


def test_a_fetch_before_the_post_is_told_as_one_and_many_are_cut_short() -> None:
    early = replace(FETCH, at=EPOCH - timedelta(minutes=3))
    assert "whole, by wa/1, before this message was posted" in told(failed(), early)
    many = told(failed(), *[FETCH] * (SHOWN_FETCHES + 5))
    assert f"{SHOWN_FETCHES + 5} times ({SHOWN_FETCHES + 5} x 200)" in many
    assert "and 5 more (--json has them)" in many


def test_a_status_never_lies_before_the_post() -> None:
    status = LedgerStatus(
        status=State.READ, at=EPOCH - timedelta(seconds=3), recorded_at=EPOCH, error_code=None, error_details=None
    )
    assert "read, 0 s after" in told(replace(MESSAGE, status=State.READ, history=(status,)))


OUTCOMES: dict[str, tuple[dict[str, Any], timedelta, str]] = {
    "being-posted": ({"outcome": Fate.POSTING}, timedelta(seconds=9), "Wait: it is being posted."),
    "crashed": ({"outcome": Fate.POSTING}, timedelta(hours=1), "Do not send it again by itself"),
    "uncertain": ({"outcome": Fate.UNCERTAIN}, timedelta(seconds=9), "Do not send it again by itself"),
    "not-sent": ({"outcome": Fate.NOT_SENT}, timedelta(hours=1), "See that PROVIDER_URL can be reached"),
    "refused": (
        {"outcome": Fate.REFUSED, "error_code": 131009, "error_details": "bad"},
        timedelta(hours=1),
        "It refused the message at once: 131009, bad",
    ),
    "accepted-just-now": ({}, timedelta(seconds=9), "Wait: the first status comes within a minute"),
    "accepted-and-silent": ({}, timedelta(hours=1), "See that webhooks come in"),
    "sent": ({"status": State.SENT}, timedelta(hours=1), "Wait: WhatsApp has it, and the phone does not"),
    "arrived": ({"status": State.PLAYED}, timedelta(hours=1), "Nothing: it has arrived."),
    "warned": ({"warnings": ("size_unconfirmed", "foreign_link")}, timedelta(0), "note: size_unconfirmed: The size is"),
}


@pytest.mark.parametrize(("fields", "after", "says"), OUTCOMES.values(), ids=OUTCOMES.keys())
def test_every_standing_has_its_advice(fields: dict[str, Any], after: timedelta, says: str) -> None:
    assert says in told(replace(MESSAGE, **fields), after=after)
