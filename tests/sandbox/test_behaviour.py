from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import httpx2
import pytest

from proxy.sandbox.settings import Behaviour, Order
from tests.conftest import NO_TLS

if TYPE_CHECKING:
    from tests.sandbox.conftest import Origin, Receiver, RunSandbox, Sandbox

THROTTLED = "You have exceeded the limit of 1 request every * seconds. Try again later."


def meta(answer: httpx2.Response) -> dict[str, object]:
    told: dict[str, object] = answer.json()["meta"]
    return told


def test_throttle_is_a_400_with_360dialogs_text(sandbox: Sandbox, origin: Origin) -> None:
    sandbox.behave("throttle")
    answer = sandbox.send(origin.give())
    assert answer.status_code == 400
    assert meta(answer) == {"httpCode": 400, "developerMessage": THROTTLED, "success": False}


def test_fail_before_is_a_555_in_360dialogs_other_shape(sandbox: Sandbox, origin: Origin) -> None:
    sandbox.behave("fail_before")
    answer = sandbox.send(origin.give())
    assert answer.status_code == 555
    assert meta(answer) == {"http_code": 555, "developer_message": "Internal server error", "success": False}


def test_html_is_a_503_page(sandbox: Sandbox, origin: Origin) -> None:
    sandbox.behave("html")
    answer = sandbox.send(origin.give())
    assert (answer.status_code, answer.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert "503 Service Temporarily Unavailable" in answer.text


@pytest.mark.parametrize("behaviour", ["throttle", "fail_before", "html"])
def test_what_fails_before_takes_nothing(sandbox: Sandbox, origin: Origin, behaviour: str) -> None:
    sandbox.behave(behaviour)
    sandbox.send(origin.give())
    assert sandbox.messages() == []
    assert origin.requests == []


def test_fail_after_answers_500_and_delivers(sandbox: Sandbox, origin: Origin, receiver: Receiver) -> None:
    sandbox.behave("fail_after")
    answer = sandbox.send(origin.give())
    assert (answer.status_code, meta(answer)["http_code"]) == (500, 500)
    assert [status["status"] for status in sandbox.messages()[0]["statuses"]] == ["sent", "delivered"]
    assert [status["status"] for status in receiver.statuses()] == ["sent", "delivered"]


def test_no_id_answers_200_without_one_and_delivers(sandbox: Sandbox, origin: Origin) -> None:
    sandbox.behave("no_id")
    answer = sandbox.send(origin.give())
    assert (answer.status_code, set(answer.json())) == (200, {"messaging_product", "contacts"})
    assert sandbox.messages()[0]["statuses"][-1]["status"] == "delivered"


def test_lost_closes_without_an_answer_and_delivers(sandbox: Sandbox, origin: Origin) -> None:
    sandbox.behave("lost")
    with pytest.raises(httpx2.RemoteProtocolError, match="without sending a response"):
        sandbox.send(origin.give())
    assert sandbox.messages()[0]["statuses"][-1]["status"] == "delivered"


def test_slow_answers_late_and_delivers_meanwhile(sandbox: Sandbox, origin: Origin) -> None:
    sandbox.behave("slow", seconds=30)
    impatient = httpx2.Client(
        base_url=sandbox.http.base_url, timeout=httpx2.Timeout(10, read=0.2), trust_env=False, verify=NO_TLS
    )
    with impatient, pytest.raises(httpx2.ReadTimeout):
        replace(sandbox, http=impatient).send(origin.give())
    assert origin.asked.wait(10)
    assert sandbox.messages()[0]["statuses"][-1]["status"] == "delivered"


def test_slow_answers_well_in_the_end(sandbox: Sandbox, origin: Origin) -> None:
    sandbox.behave("slow", seconds=0.05)
    answer = sandbox.send(origin.give())
    assert answer.status_code == 200
    assert answer.elapsed.total_seconds() >= 0.05
    assert answer.json()["messages"][0]["id"] == sandbox.messages()[0]["id"]


def test_an_order_holds_for_its_times_and_then_all_is_well(sandbox: Sandbox, origin: Origin) -> None:
    sandbox.behave("throttle", times=2)
    link = origin.give()
    assert [sandbox.send(link).status_code for _ in range(4)] == [400, 400, 200, 200]


def test_the_first_order_comes_with_the_settings(run_sandbox: RunSandbox, origin: Origin) -> None:
    sandbox = run_sandbox(behaviour=Order(behaviour=Behaviour.THROTTLE, times=1))
    link = origin.give()
    assert [sandbox.send(link).status_code for _ in range(2)] == [400, 200]
    sandbox.http.delete("/sandbox")
    assert sandbox.send(link).status_code == 400


@pytest.mark.parametrize("wrong", [{"times": -1}, {"times": 100_001}, {"seconds": -0.1}, {"seconds": 61}], ids=str)
def test_an_order_without_measure_does_not_construct(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be 0 to"):
        Order(**wrong)  # type: ignore[arg-type]  # wrong on purpose
