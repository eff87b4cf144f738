from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from proxy.sandbox.app import create_sandbox
from proxy.sandbox.settings import SandboxSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.conftest import Origin, RunSandbox, Sandbox

TELLING = {"read": False, "twice": False, "reverse": False, "together": False}
FRESH = {"behaviour": "ok", "times": 1, "seconds": 1.0, "caching": "fixed", "telling": TELLING}


def test_behaviour_and_caching_are_set_and_told(sandbox: Sandbox) -> None:
    told = sandbox.behave("slow", times=3, seconds=2.5).json()
    assert told == {**FRESH, "behaviour": "slow", "times": 3, "seconds": 2.5}
    assert sandbox.http.put("/sandbox/caching", json={"caching": "headers"}).json() == {**told, "caching": "headers"}


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("behaviour", {"behaviour": "naughty"}),
        ("behaviour", {"behaviour": "slow", "seconds": 61}),
        ("behaviour", {"behaviour": "slow", "times": -1}),
        ("behaviour", {"behaviour": "slow", "time": 2}),
        ("behaviour", []),
        ("caching", {"caching": "never"}),
        ("caching", {}),
        ("telling", {"read": "perhaps"}),
        ("telling", {"thrice": True}),
    ],
    ids=str,
)
def test_a_wrong_order_is_refused_and_changes_nothing(sandbox: Sandbox, path: str, wrong: Any) -> None:
    answer = sandbox.http.put(f"/sandbox/{path}", json=wrong)
    assert answer.status_code == 400
    assert "validation error" in answer.text
    assert sandbox.http.put("/sandbox/caching", json={"caching": "fixed"}).json() == FRESH


def test_reset_forgets_everything(sandbox: Sandbox, origin: Origin) -> None:
    link = origin.give()
    sandbox.deliver(link)
    sandbox.behave("throttle", times=9)
    sandbox.http.put("/sandbox/caching", json={"caching": "headers"})
    sandbox.http.put("/sandbox/telling", json={"read": True})
    assert sandbox.http.delete("/sandbox").json() == FRESH
    assert sandbox.http.get("/sandbox/messages").json() == []
    assert sandbox.http.get("/sandbox/fetches").json() == []
    sandbox.deliver(link)
    assert len(origin.requests) == 2


def test_reset_ends_what_is_under_way(sandbox: Sandbox, origin: Origin) -> None:
    wamid = sandbox.send(origin.give(hangs=True)).json()["messages"][0]["id"]
    assert sandbox.http.get(f"/sandbox/messages/{wamid}").json()["ended"] is False
    sandbox.http.delete("/sandbox")
    assert sandbox.http.get(f"/sandbox/messages/{wamid}").status_code == 404


def test_a_message_shows_what_was_posted(sandbox: Sandbox, origin: Origin) -> None:
    link = origin.give()
    told = sandbox.deliver(link, caption="Größe")
    assert told["posted"]["image"] == {"link": link, "caption": "Größe"}
    assert sandbox.messages() == [told]


def test_waiting_ends_with_its_time(sandbox: Sandbox, origin: Origin) -> None:
    wamid = sandbox.send(origin.give(hangs=True)).json()["messages"][0]["id"]
    told = sandbox.http.get(f"/sandbox/messages/{wamid}", params={"wait": 0.05}).json()
    assert (told["ended"], told["statuses"]) == (False, [])
    sandbox.http.delete("/sandbox")


@pytest.mark.parametrize("wait", ["-1", "31", "nan", "inf", "soon"])
def test_waiting_has_a_limit(sandbox: Sandbox, wait: str) -> None:
    answer = sandbox.http.get("/sandbox/messages", params={"wait": wait})
    assert (answer.status_code, answer.text) == (400, "wait must be 0 to 30 seconds")


def test_an_unknown_message_is_not_found(sandbox: Sandbox) -> None:
    assert sandbox.http.get("/sandbox/messages/wamid.unknown").status_code == 404


def test_only_the_last_messages_links_and_fetches_are_kept(run_sandbox: RunSandbox, origin: Origin) -> None:
    sandbox = run_sandbox(max_kept_messages=2, max_kept_links=2, max_kept_fetches_per_link=2)
    links = [origin.give(f"/{number}.jpg") for number in range(3)]
    ids = [sandbox.deliver(link)["id"] for link in [links[0], links[1], links[2], links[2], links[2]]]
    assert [message["id"] for message in sandbox.messages()] == ids[-2:]
    seen = sandbox.http.get("/sandbox/fetches").json()
    assert [(link["link"], link["count"], link["hits"], len(link["fetches"])) for link in seen] == [
        (links[1], 1, 0, 1),
        (links[2], 1, 2, 2),
    ]


def test_the_end_of_the_application_ends_its_work(origin: Origin, make_message: Callable[..., dict[str, Any]]) -> None:
    app = create_sandbox(SandboxSettings(fetch_timeout_s=60))
    body = make_message("image", {"link": origin.give(hangs=True)})

    async def left_over() -> set[asyncio.Task[Any]]:
        client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://sandbox")
        async with app.router.lifespan_context(app), client:
            assert (await client.post("/messages", json=body, headers={"D360-API-KEY": "k"})).is_success
            assert await asyncio.to_thread(origin.asked.wait, 10)
            assert len(asyncio.all_tasks()) > 1
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(left_over()) == set()
