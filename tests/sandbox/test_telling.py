"""How webhooks tell: signed, with read, twice, in reverse, together; what comes in; Meta's handshake."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.conftest import VERIFY_TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.conftest import Clock, Origin, Receiver, RunSandbox, Sandbox


def test_a_webhook_is_signed_over_its_raw_bytes_which_are_escaped(
    run_sandbox: RunSandbox, receiver: Receiver, make_message: Callable[..., dict[str, Any]]
) -> None:
    sandbox = run_sandbox(webhook_url=receiver.url, app_secret="app-secret")
    sandbox.post(make_message("text", {"body": "hi"}, biz_opaque_callback_data="Größe"))
    sandbox.messages()
    assert len(receiver.bodies) == 2
    for body, headers in zip(receiver.bodies, receiver.headers, strict=True):
        digest = hmac.new(b"app-secret", body, hashlib.sha256).hexdigest()
        assert headers["x-hub-signature-256"] == f"sha256={digest}"
        assert rb"Gr\u00f6\u00dfe" in body


def test_without_an_app_secret_nothing_is_signed(sandbox: Sandbox, origin: Origin, receiver: Receiver) -> None:
    sandbox.deliver(origin.give())
    assert all("x-hub-signature-256" not in headers for headers in receiver.headers)


@pytest.mark.parametrize(
    ("telling", "webhooks"),
    [
        pytest.param({}, [["sent"], ["delivered"]], id="plainly"),
        pytest.param({"read": True}, [["sent"], ["delivered"], ["read"]], id="read"),
        pytest.param({"twice": True}, [["sent"], ["sent"], ["delivered"], ["delivered"]], id="twice"),
        pytest.param({"read": True, "reverse": True}, [["read"], ["delivered"], ["sent"]], id="in reverse"),
        pytest.param({"read": True, "together": True}, [["sent", "delivered", "read"]], id="together"),
        pytest.param(
            {"together": True, "reverse": True, "twice": True}, [["delivered", "sent"]] * 2, id="all that is wrong"
        ),
    ],
)
def test_statuses_are_told_as_ordered(
    sandbox: Sandbox, origin: Origin, receiver: Receiver, telling: dict[str, bool], webhooks: list[list[str]]
) -> None:
    assert sandbox.http.put("/sandbox/telling", json=telling).json()["telling"].items() >= telling.items()
    told = sandbox.deliver(origin.give())["statuses"]
    assert [[status["status"] for status in value["statuses"]] for value in receiver.values()] == webhooks
    assert [status["status"] for status in told] == [name for names in webhooks for name in names]
    assert {(status["webhook"]["attempts"], status["webhook"]["answer"]) for status in told} == {(1, 200)}


def test_a_failure_is_told_twice_too_and_never_read(sandbox: Sandbox, origin: Origin, receiver: Receiver) -> None:
    sandbox.http.put("/sandbox/telling", json={"read": True, "twice": True})
    sandbox.deliver(origin.give(status=404))
    assert [status["status"] for status in receiver.statuses()] == ["failed", "failed"]


def test_what_a_person_writes_is_posted_in_metas_shape(sandbox: Sandbox, receiver: Receiver, clock: Clock) -> None:
    clock.now_s = 1_700_000_123.9
    told = sandbox.http.post("/sandbox/inbound", json={"from": "+491701234567", "text": "Grüße"}).json()
    assert told["webhook"] == {"attempts": 1, "answer": 200}
    (value,) = receiver.values()
    assert set(value) == {"messaging_product", "metadata", "contacts", "messages"}
    assert [contact["wa_id"] for contact in value["contacts"]] == ["491701234567"]
    assert value["messages"] == [
        {
            "from": "491701234567",
            "id": told["id"],
            "timestamp": "1700000123",
            "type": "text",
            "text": {"body": "Grüße"},
        }
    ]


@pytest.mark.parametrize(
    "wrong",
    [{}, {"from": "Anna", "text": "hi"}, {"from": "49170", "text": ""}, {"from": "49170", "txt": "hi"}],
    ids=str,
)
def test_what_nobody_can_write_is_refused(sandbox: Sandbox, receiver: Receiver, wrong: dict[str, str]) -> None:
    assert sandbox.http.post("/sandbox/inbound", json=wrong).status_code == 400
    assert receiver.got == []


@pytest.mark.parametrize(
    ("token", "outcome"),
    [(VERIFY_TOKEN, {"verified": True, "answer": 200}), ("wrong", {"verified": False, "answer": 403})],
)
def test_a_handshake_tells_whether_the_challenge_came_back(
    sandbox: Sandbox, token: str, outcome: dict[str, object]
) -> None:
    assert sandbox.http.post("/sandbox/handshake", json={"verify_token": token}).json() == outcome


def test_a_200_without_the_challenge_verifies_nothing(run_sandbox: RunSandbox, origin: Origin) -> None:
    sandbox = run_sandbox(webhook_url=f"{origin.give('/hook', body=b'ok')}?tenant=7")
    told = sandbox.http.post("/sandbox/handshake", json={"verify_token": "t"}).json()
    assert told == {"verified": False, "answer": 200}
    (asked,) = origin.requests
    assert dict(asked.query_params).keys() == {"tenant", "hub.mode", "hub.verify_token", "hub.challenge"}


def test_a_webhook_that_does_not_answer_is_not_verified(run_sandbox: RunSandbox, origin: Origin) -> None:
    sandbox = run_sandbox(webhook_url=origin.give("/hook", hangs=True), webhook_timeout_s=0.05)
    told = sandbox.http.post("/sandbox/handshake", json={"verify_token": "t"}).json()
    assert told == {"verified": False, "answer": None}


@pytest.mark.parametrize(
    ("path", "order"), [("inbound", {"from": "1", "text": "t"}), ("handshake", {"verify_token": "t"})]
)
def test_what_needs_a_webhook_says_so(run_sandbox: RunSandbox, path: str, order: dict[str, str]) -> None:
    answer = run_sandbox().http.post(f"/sandbox/{path}", json=order)
    assert (answer.status_code, answer.text) == (400, "the sandbox was not told a webhook URL")
