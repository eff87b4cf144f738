"""Two whole services that share a ledger in PostgreSQL, and what their callers see while it is away."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.conftest import WEBHOOK_SECRET
from tests.messaging.postgres_server import PostgresServer, until

if TYPE_CHECKING:
    from tests.conftest import House

Build = Callable[..., "House"]


@pytest.fixture
def houses(build: Build, own_postgres: PostgresServer, light_jpeg: bytes) -> tuple["House", "House"]:
    shared = {"ledger_url": own_postgres.url(own_postgres.new_database()), "ledger_key": "b" * 43}
    both = build(**shared), build(**shared)
    both[0].put("a.jpg", light_jpeg)
    return both


def webhook(house: "House", wamid: str, state: str) -> int:
    told = {"id": wamid, "status": state, "timestamp": "1800000000", "recipient_id": "491701234567"}
    body = {"entry": [{"changes": [{"value": {"statuses": [told]}}]}]}
    return house.web.post("/webhooks", json=body, headers={"X-Webhook-Secret": WEBHOOK_SECRET}).status_code


def test_a_webhook_that_another_machine_took_settles_the_message(
    houses: tuple["House", "House"], own_postgres: PostgresServer
) -> None:
    sender, other = houses
    sent = sender.send(key="a.jpg").json()
    assert webhook(other, sent["provider_message_id"], "played") == 200
    found = own_postgres.run("SELECT id, outcome, status FROM messages", "ledger_0")
    assert found == [(sent["id"], "accepted", "played")]


def test_while_the_ledger_is_away_nothing_is_sent_and_nothing_is_lost(
    houses: tuple["House", "House"], own_postgres: PostgresServer
) -> None:
    sender, other = houses
    sent = sender.send(key="a.jpg").json()
    sender.story(sent["provider_message_id"])
    until(lambda: own_postgres.run("SELECT id FROM messages WHERE status IS NOT NULL", "ledger_0"))
    fetched = len(sender.fetches())
    own_postgres.stop()
    refused = sender.send(key="a.jpg")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "ledger_away")
    assert int(refused.headers["Retry-After"]) > 0
    assert webhook(other, sent["provider_message_id"], "played") == 503
    assert other.web.get("/readyz").status_code == 503
    assert len(sender.fetches()) == fetched
    own_postgres.start()
    assert other.web.get("/readyz").status_code == 200
    assert webhook(other, sent["provider_message_id"], "played") == 200
    assert sender.send(key="a.jpg").status_code == 202
    ((status,),) = own_postgres.run(f"SELECT status FROM messages WHERE id = '{sent['id']}'", "ledger_0")  # noqa: S608
    assert status == "played"
