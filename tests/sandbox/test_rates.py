"""Throttling: as it is ordered, and as a rule that holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from proxy.sandbox.settings import SandboxSettings

if TYPE_CHECKING:
    import httpx2

    from tests.sandbox.conftest import Clock, Origin, Receiver, RunSandbox, Sandbox


def text(to: str = "491701234567") -> dict[str, Any]:
    return {"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": "hi"}}


def code(answer: httpx2.Response) -> int:
    return int(answer.json().get("error", {}).get("code", 0))


@pytest.mark.parametrize(
    ("behaviour", "expected"), [("throughput", 130429), ("pair_rate", 131056), ("maintenance", 131057)]
)
def test_a_limit_that_is_ordered_is_said_by_its_code(sandbox: Sandbox, behaviour: str, expected: int) -> None:
    sandbox.behave(behaviour)
    answer = sandbox.post(text())
    assert (answer.status_code, code(answer)) == (400, expected)
    assert answer.json()["error"]["message"].startswith(f"(#{expected})")
    assert sandbox.messages() == []
    assert code(sandbox.post(text())) == 0


def test_the_fetchers_own_limit_fails_by_webhook_and_asks_nobody(
    sandbox: Sandbox, origin: Origin, receiver: Receiver
) -> None:
    sandbox.behave("fetch_limit")
    link = origin.give()
    sandbox.deliver(link)
    (status,) = receiver.statuses()
    (error,) = status["errors"]
    assert (status["status"], error["code"]) == ("failed", 131053)
    for words in ("failed with http code 429", "Request ratelimit by fwdproxy", "destination matcher asn_list: "):
        assert words in error["error_data"]["details"]
    seen = sandbox.seen(link)
    assert (seen["count"], [use["cache"] for use in seen["fetches"]], origin.requests) == (0, ["limited"], [])
    assert sandbox.deliver(link)["statuses"][-1]["status"] == "delivered"


def test_what_is_kept_needs_no_fetch_that_could_be_limited(sandbox: Sandbox, origin: Origin) -> None:
    link = origin.give()
    sandbox.deliver(link)
    sandbox.behave("fetch_limit")
    assert sandbox.deliver(link)["statuses"][-1]["status"] == "delivered"


def test_without_rates_anybody_gets_as_many_as_are_sent(sandbox: Sandbox) -> None:
    assert {code(sandbox.post(text())) for _ in range(90)} == {0}


def test_a_burst_to_one_number_is_borrowed_from_the_time_that_follows(run_sandbox: RunSandbox, clock: Clock) -> None:
    sandbox = run_sandbox(rates=True)
    assert [code(sandbox.post(text())) for _ in range(46)] == [0] * 45 + [131056]
    assert code(sandbox.post(text("491700000000"))) == 0, "others are unaffected"
    clock.now_s += 45 * 6 - 1
    assert code(sandbox.post(text())) == 131056
    clock.now_s += 1
    assert code(sandbox.post(text())) == 0


def test_twenty_at_once_cost_two_minutes(run_sandbox: RunSandbox, clock: Clock) -> None:
    sandbox = run_sandbox(rates=True)
    assert [code(sandbox.post(text())) for _ in range(20)] == [0] * 20
    clock.now_s += 6
    assert code(sandbox.post(text())) == 131056, "the burst is over after six seconds"
    clock.now_s += 114
    assert code(sandbox.post(text())) == 0


def test_one_message_every_six_seconds_goes_on_for_ever(run_sandbox: RunSandbox, clock: Clock) -> None:
    sandbox = run_sandbox(rates=True)
    for _ in range(50):
        assert code(sandbox.post(text())) == 0
        clock.now_s += 6


def test_more_than_the_throughput_in_a_second_is_refused(run_sandbox: RunSandbox, clock: Clock) -> None:
    sandbox = run_sandbox(rates=True)
    numbers = iter(range(491700000000, 491700001000))
    assert [code(sandbox.post(text(str(next(numbers))))) for _ in range(81)] == [0] * 80 + [130429]
    clock.now_s += 0.99
    assert code(sandbox.post(text(str(next(numbers))))) == 130429
    clock.now_s += 0.01
    assert code(sandbox.post(text(str(next(numbers))))) == 0


def test_what_comes_in_counts_for_the_throughput(run_sandbox: RunSandbox, receiver: Receiver) -> None:
    sandbox = run_sandbox(rates=True, messages_per_second=2, webhook_url=receiver.url)
    for _ in range(2):
        assert sandbox.http.post("/sandbox/inbound", json={"from": "49170", "text": "hi"}).is_success
    assert code(sandbox.post(text())) == 130429


def test_a_reset_forgets_what_was_counted(run_sandbox: RunSandbox) -> None:
    sandbox = run_sandbox(rates=True, messages_per_second=1)
    assert [code(sandbox.post(text())) for _ in range(2)] == [0, 130429]
    sandbox.http.delete("/sandbox")
    assert code(sandbox.post(text())) == 0


@pytest.mark.parametrize("wrong", [0, 1001])
def test_a_throughput_that_no_number_has_does_not_construct(wrong: int) -> None:
    with pytest.raises(ValueError, match="messages_per_second must be 1 to 1000"):
        SandboxSettings(messages_per_second=wrong)
