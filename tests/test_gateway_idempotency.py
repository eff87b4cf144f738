"""`Idempotency-Key` over real sockets: asked again, answered the same, posted once."""

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from proxy import messaging_doors
from proxy.errors import LedgerAway
from proxy.messaging.idempotency import BEGIN_MARGIN_S, Idempotency
from proxy.messaging.ledger import Ledger
from proxy.messaging.upstream import Upstream
from tests.conftest import NUMBER
from tests.messaging.conftest import file, postgres, postgres_binaries, url

if TYPE_CHECKING:
    from tests.conftest import House

__all__ = ["file", "postgres", "postgres_binaries", "url"]

Build = Callable[..., "House"]
FOREIGN = "https://elsewhere.example/a.jpg"


@pytest.fixture
def house(build: Build) -> "House":
    return build(waba_key="house")


def post(house: "House", key: str | None = "order-17", path: str = "/waba/messages", **fields: Any) -> httpx2.Response:
    body = {
        "messaging_product": "whatsapp",
        "to": NUMBER,
        "type": "image",
        "image": {"link": FOREIGN},
    }
    headers = {"Content-Type": "application/json"} | ({} if key is None else {"Idempotency-Key": key})
    return house.api.post(path, content=json.dumps(body | fields).encode(), headers=headers)


def posted(house: "House") -> int:
    return len(house.whatsapp.get("/sandbox/messages").json())


def refused(answer: httpx2.Response, status: int, code: int, says: str) -> None:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert says in error["error_data"]["details"]


def behave(house: "House", behaviour: str) -> None:
    house.whatsapp.put("/sandbox/behaviour", json={"behaviour": behaviour, "times": 1})


def test_who_asks_again_gets_the_first_answer_and_nothing_is_posted_twice(house: "House") -> None:
    first = post(house)
    again = post(house, key='"order-17"')
    assert (first.status_code, posted(house)) == (200, 1)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["x-medialink-id"] == first.headers["x-medialink-id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers


def test_another_key_and_none_are_other_messages(house: "House") -> None:
    ids = {post(house, key=key).headers["x-medialink-id"] for key in ("a", "b", None, None)}
    assert (len(ids), posted(house)) == (4, 4)


@pytest.mark.parametrize(
    "other", [{"path": "/waba/1/messages"}, {"image": {"link": FOREIGN, "caption": "x"}}], ids=["path", "body"]
)
def test_a_key_belongs_to_one_request(house: "House", other: dict[str, Any]) -> None:
    assert post(house).status_code == 200
    refused(post(house, **other), 422, 100, "another request")
    assert posted(house) == 1


def test_a_key_belongs_to_one_caller(build: Build) -> None:
    tokens = ["token-of-one", "token-of-another"]
    hashes = ",".join(hashlib.sha256(token.encode()).hexdigest() for token in tokens)
    house = build(waba_key="house", gateway_keys=hashes)
    for token in tokens:
        house.api.headers["Authorization"] = f"Bearer {token}"
        assert post(house).status_code == 200
    assert posted(house) == 2


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "two words", "ümlaut"])
def test_what_is_no_key_is_refused(house: "House", key: str) -> None:
    answer = house.api.post(
        "/waba/messages", content=b"{}", headers=[(b"Idempotency-Key", key.encode()), (b"Content-Type", b"text/json")]
    )
    refused(answer, 400, 100, "visible ASCII")
    assert posted(house) == 0


def test_many_at_once_are_posted_once(house: "House", url: str, build: Build) -> None:
    other = build(waba_key="house", ledger_url=url, ledger_key="b" * 43, provider_url=house.settings.provider_url)
    third = build(waba_key="house", ledger_url=url, ledger_key="b" * 43, provider_url=house.settings.provider_url)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(post, [other, third] * 4))
    assert posted(house) == 1
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len({answer.content for answer in answers if answer.status_code == 200}) == 1
    assert post(third).headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("behaviour", ["throttle", "html", "fail_after", "no_id", "lost"])
def test_what_was_not_taken_may_be_asked_again_and_what_is_uncertain_may_not(house: "House", behaviour: str) -> None:
    behave(house, behaviour)
    first, again = post(house), post(house)
    if behaviour == "throttle":
        assert (first.status_code, again.status_code, posted(house)) == (400, 200, 1)
        return
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert posted(house) == (0 if behaviour == "html" else 1)


def test_a_refusal_of_ours_and_a_provider_that_is_away_leave_the_key_free(build: Build) -> None:
    house = build(waba_key="house", provider_url="http://127.0.0.1:9")
    for _ in range(2):
        refused(post(house), 503, 131016, "told nothing")
    for _ in range(2):
        refused(post(house, key="b", image={"link": FOREIGN, "caption": "x" * 1025}), 400, 100, "1024")


def test_a_first_request_without_an_answer_is_not_posted_again(house: "House", monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise LedgerAway

    monkeypatch.setattr(Idempotency, "settle", away)
    first = post(house)
    assert first.status_code == 200
    answer = post(house)
    refused(answer, 409, 131016, first.headers["x-medialink-id"])
    assert (answer.headers["retry-after"], posted(house)) == ("5", 1)


def test_an_error_that_nobody_foresaw_is_told_in_the_providers_shape_and_keeps_no_key_before_the_post(
    house: "House", monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as for_now:
        for_now.setattr(Ledger, "begin", broken)
        refused(post(house), 500, 131000, "on our side")
    with monkeypatch.context() as for_now:
        for_now.setattr(Upstream, "post", broken)
        refused(post(house), 500, 131000, "on our side")
    refused(post(house), 409, 131016, "Ask again later")
    assert posted(house) == 0


def test_a_ledger_that_is_away_before_the_post_keeps_no_key_for_a_day(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = [timedelta()]
    monkeypatch.setattr(messaging_doors, "_now", lambda: datetime.now(UTC) + ahead[0])
    house = build(waba_key="house", gateway_wait_s=30)

    async def away(*_: object) -> None:
        raise LedgerAway

    with monkeypatch.context() as for_now:
        for_now.setattr(Ledger, "begin", away)
        for_now.setattr(Idempotency, "release", away)
        refused(post(house), 503, 131016, "ledger")
    ahead[0] = timedelta(seconds=30)
    refused(post(house), 409, 131016, "Ask again later")
    ahead[0] += timedelta(seconds=BEGIN_MARGIN_S)
    assert (post(house).status_code, posted(house)) == (200, 1)
    assert post(house).headers["idempotent-replayed"] == "true"
    assert posted(house) == 1
