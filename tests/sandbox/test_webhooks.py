from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from proxy.sandbox.settings import SandboxSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.conftest import Clock, Origin, Receiver, RunSandbox, Sandbox


def test_statuses_are_posted_in_the_documented_shape(
    sandbox: Sandbox, origin: Origin, receiver: Receiver, make_message: Callable[..., object]
) -> None:
    body = make_message("image", {"link": origin.give()}, biz_opaque_callback_data="Größe-17")
    wamid = sandbox.post(body).json()["messages"][0]["id"]
    sandbox.ended(wamid)
    assert [payload["object"] for payload in receiver.got] == ["whatsapp_business_account"] * 2
    for payload, status in zip(receiver.got, ["sent", "delivered"], strict=True):
        (entry,) = payload["entry"]
        (change,) = entry["changes"]
        assert change["field"] == "messages"
        assert change["value"]["messaging_product"] == "whatsapp"
        assert set(change["value"]["metadata"]) == {"display_phone_number", "phone_number_id"}
        assert change["value"]["statuses"] == [
            {
                "id": wamid,
                "status": status,
                "timestamp": "1700000000",
                "recipient_id": "491701234567",
                "biz_opaque_callback_data": "Größe-17",
            }
        ]


def test_a_failure_carries_131053_and_its_cause(sandbox: Sandbox, origin: Origin, receiver: Receiver) -> None:
    wamid = sandbox.deliver(origin.give(status=404))["id"]
    assert receiver.statuses() == [
        {
            "id": wamid,
            "status": "failed",
            "timestamp": "1700000000",
            "recipient_id": "491701234567",
            "errors": [
                {
                    "code": 131053,
                    "title": "Media upload error",
                    "message": "Media upload error",
                    "error_data": {
                        "details": "Downloading media from weblink failed with http code 404, status message Not Found"
                    },
                    "href": "/documentation/business-messaging/whatsapp/support/error-codes",
                }
            ],
        }
    ]


def test_the_configured_headers_go_along(sandbox: Sandbox, origin: Origin, receiver: Receiver) -> None:
    sandbox.deliver(origin.give())
    assert {headers.get("x-secret") for headers in receiver.headers} == {"secret-of-the-test"}
    assert {headers["content-type"] for headers in receiver.headers} == {"application/json"}


@pytest.mark.parametrize("url", ["", "ftp://host/", "host/webhooks"])
def test_a_webhook_that_cannot_be_posted_to_does_not_construct(url: str) -> None:
    with pytest.raises(ValueError, match="webhook_url must be"):
        SandboxSettings(webhook_url=url)


@pytest.mark.parametrize("refusal", [500, 404, 302, 202, 204])
def test_only_a_200_ends_the_tries(run_sandbox: RunSandbox, origin: Origin, receiver: Receiver, refusal: int) -> None:
    receiver.answers = [refusal, refusal]
    statuses = run_sandbox(webhook_url=receiver.url, webhook_backoff_s=0.001).deliver(origin.give())["statuses"]
    assert [status["webhook"] for status in statuses] == [
        {"attempts": 3, "answer": 200},
        {"attempts": 1, "answer": 200},
    ]
    assert [status["status"] for status in receiver.statuses()] == ["sent", "sent", "sent", "delivered"]


def test_a_receiver_that_never_takes_it_is_given_up(
    run_sandbox: RunSandbox, origin: Origin, receiver: Receiver
) -> None:
    receiver.answers = [503] * 99
    sandbox = run_sandbox(webhook_url=receiver.url, webhook_backoff_s=0.001, webhook_attempts=2)
    statuses = sandbox.deliver(origin.give())["statuses"]
    assert [status["webhook"] for status in statuses] == [{"attempts": 2, "answer": 503}] * 2
    assert len(receiver.got) == 4


def test_a_receiver_that_is_not_there_is_given_up(run_sandbox: RunSandbox, origin: Origin) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        statuses = run_sandbox(webhook_url=url, webhook_backoff_s=0.001).deliver(origin.give())["statuses"]
    assert [status["webhook"] for status in statuses] == [{"attempts": 4, "answer": None}] * 2


def test_a_receiver_that_does_not_answer_in_time_is_asked_again(run_sandbox: RunSandbox, origin: Origin) -> None:
    slow = origin.give("/slow", hangs=True)
    sandbox = run_sandbox(webhook_url=slow, webhook_timeout_s=0.05, webhook_attempts=2, webhook_backoff_s=0.001)
    statuses = sandbox.deliver(origin.give())["statuses"]
    assert [status["webhook"] for status in statuses] == [{"attempts": 2, "answer": None}] * 2


def test_without_a_webhook_statuses_are_kept_all_the_same(
    run_sandbox: RunSandbox, origin: Origin, receiver: Receiver, clock: Clock
) -> None:
    clock.now_s = 1_700_000_123.9
    statuses = run_sandbox().deliver(origin.give())["statuses"]
    assert [(status["status"], status["timestamp"]) for status in statuses] == [
        ("sent", "1700000123"),
        ("delivered", "1700000123"),
    ]
    assert receiver.got == []
