"""The log of a whole run: lines that machines read, the request's id in them, and nothing that must not be there."""

import io
import json
import logging
import re
import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from pydantic import SecretStr

from proxy import telemetry
from proxy.messaging.causes import Cause
from proxy.sandbox.settings import Behaviour, Order
from proxy.telemetry.redaction import HIDDEN, NUMBER, Redaction, secrets_in
from tests.conftest import API_KEY, TOKEN, WEBHOOK_SECRET, picture
from tests.conftest import NUMBER as RECIPIENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import House

DIGITS = re.sub(r"\D", "", RECIPIENT)
SECRET = "a-secret-of-the-test"


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> "Iterator[io.StringIO]":
    """Everything that is logged from here on, at the most talkative level, in JSON."""
    taken = io.StringIO()
    handlers, level, ours = logging.root.handlers[:], logging.root.level, logging.getLogger("medialink").level
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", taken)
        telemetry.configure_logging("debug", "json", [SECRET])
    yield taken
    structlog.reset_defaults()
    logging.basicConfig(handlers=handlers, level=level, force=True)
    logging.getLogger("medialink").setLevel(ours)


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def journeys(house: "House", heavy_jpeg: bytes) -> None:
    """Make every kind of thing happen that a service tells of."""
    house.put("heavy.jpg", heavy_jpeg)
    house.put("light.jpg", picture(64, 48))
    house.put("no.html", b"<html></html>")
    link = house.link("heavy.jpg")
    for _ in range(3):
        house.web.get(link)
    house.web.get("/m/forged/token/a.jpg")
    house.web.get("/image/open/missing.jpg")
    house.web.post("/messages", json={"to": RECIPIENT}, headers={"Authorization": "Bearer wrong-" + TOKEN})
    house.web.post("/webhooks", json={}, headers={"X-Webhook-Secret": "wrong-" + WEBHOOK_SECRET})
    house.send(key="no.html", kind="document")
    house.send(key="missing.jpg", caption=RECIPIENT)
    house.send(key="light.jpg", to="12")
    sent = house.send(key="light.jpg", caption=f"call {RECIPIENT}")
    if sent.status_code == HTTPStatus.ACCEPTED:
        house.story(sent.json()["provider_message_id"])
    house.api.post("/messages", content=f'{{"to": "{RECIPIENT}"')
    status = {"id": f"wamid.{DIGITS}", "status": "failed", "recipient_id": DIGITS, "errors": [{"code": 131053}]}
    told = {"entry": [{"changes": [{"value": {"statuses": [status, {"id": DIGITS}]}}]}]}
    assert house.web.post("/webhooks", json=told, headers={"X-Webhook-Secret": WEBHOOK_SECRET}).status_code == 200


@pytest.mark.parametrize("behaviour", [Behaviour.OK, Behaviour.HTML, Behaviour.LOST])
def test_a_whole_run_shows_no_number_and_no_secret_and_needs_no_last_resort(
    build: Callable[..., "House"], log: io.StringIO, heavy_jpeg: bytes, behaviour: Behaviour
) -> None:
    house = build(alias_prefixes="open/", sandbox={"behaviour": Order(behaviour=behaviour)})
    journeys(house, heavy_jpeg)
    text = log.getvalue()
    assert NUMBER not in text
    assert HIDDEN not in text
    link_key = house.settings.link_keys
    assert link_key is not None
    for kept in (
        DIGITS,
        DIGITS[2:],
        "123-45 67",
        TOKEN,
        WEBHOOK_SECRET,
        API_KEY,
        link_key.get_secret_value(),
        "wamid.",
    ):
        assert kept not in text, kept
    assert {"media.served", "request.failed", "message.posted", "message.failed", "rendition.made"} <= {
        line["event"] for line in lines(log)
    }


def test_every_line_is_json_and_names_its_request(house: "House", log: io.StringIO, heavy_jpeg: bytes) -> None:
    journeys(house, heavy_jpeg)
    told = lines(log)
    assert {"event", "level", "timestamp"} <= set.intersection(*map(set, told))
    asked = [line for line in told if line["event"].startswith(("media.served", "request.", "message.", "webhook."))]
    assert len({line["request_id"] for line in asked}) > 10
    assert all(re.fullmatch("[0-9a-f]{24}", line["request_id"]) for line in asked)
    (failed,) = [line for line in told if line["event"] == "message.failed"]
    assert (failed["level"], failed["code"]) == ("warning", 131053)
    assert set(failed) == {"event", "level", "timestamp", "request_id", "code", "cause"}
    assert failed["cause"] in {cause.value for cause in Cause}


def raised(text: str) -> ValueError:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its text is the caller's
        raise ValueError(text)
    return caught.value


def test_what_libraries_say_is_a_line_of_the_same_kind(log: io.StringIO) -> None:
    logging.getLogger("some.library").warning("lost %s", DIGITS, exc_info=raised(f"{RECIPIENT} {SECRET}"))
    (line,) = lines(log)
    assert (line["logger"], line["level"], line["event"]) == ("some.library", "warning", f"lost {NUMBER}")
    assert "Traceback" in line["exception"]
    assert f"ValueError: {NUMBER} {HIDDEN}" in line["exception"]


def test_a_trace_of_ours_goes_through_the_last_resort(log: io.StringIO) -> None:
    error = raised(SECRET)
    about = {"to": [RECIPIENT], "cause": error, "bytes": 491701234567}
    telemetry.log.error("request.broke", exc_info=error, about=about)
    (line,) = lines(log)
    assert f"ValueError: {HIDDEN}" in line["exception"]
    assert line["about"] == {"to": [NUMBER], "cause": f"ValueError('{HIDDEN}')", "bytes": 491701234567}


@pytest.mark.parametrize(
    "number", [RECIPIENT, DIGITS, f"+{DIGITS}", "+1 (415) 555-2671", "0170 123 45 67", "(030) 1234-5678", "+298 123456"]
)
def test_a_number_is_masked_however_it_is_written(number: str) -> None:
    assert Redaction().mask(f"to {number}, refused") == f"to {NUMBER}, refused"


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T18:41:42.123456Z",
        "http://127.0.0.1:8080 port 65535",
        "trips/20261122/a.jpg 12345678 bytes",
        "IMG_20261122_184142.jpg",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "550e8400-e29b-41d4-a716-446655440000",
    ],
)
def test_what_is_no_number_stays(text: str) -> None:
    assert Redaction().mask(text) == text


def test_a_message_id_holds_the_number_and_is_hidden() -> None:
    assert Redaction().mask("id wamid.HBgNNDkxNzAxMjM0NTY3FQIAERgS== gone") == f"id {HIDDEN} gone"


def test_secrets_are_known_whole_and_in_parts() -> None:
    settings = [
        ("link_keys", SecretStr("1:abcdefgh-first,2:abcdefgh-second")),
        ("ledger_url", "postgresql://user:pass%20word-x@host/name"),
        ("store", "s3://bucket"),
        ("webhook_secret", SecretStr("short")),
        ("d360_api_key", None),
    ]
    redaction = Redaction(secrets_in(settings))
    for secret in ("abcdefgh-first", "abcdefgh-second", "pass%20word-x", "pass word-x"):
        assert redaction.mask(f"x {secret} y") == f"x {HIDDEN} y"
    assert redaction.mask("s3://bucket, short of host") == "s3://bucket, short of host"
