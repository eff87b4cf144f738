from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.sandbox.conftest import RunSandbox, Sandbox

LINK = "http://127.0.0.1:9/offer.jpg"


def body(**changes: Any) -> dict[str, Any]:
    whole = {"messaging_product": "whatsapp", "to": "+491701234567", "type": "image", "image": {"link": LINK}}
    return {name: value for name, value in {**whole, **changes}.items() if value is not ...}


def test_a_message_is_accepted_in_the_shape_of_the_api(sandbox: Sandbox) -> None:
    answer = sandbox.post(body(to="+49 (170) 123-4567"))
    assert answer.status_code == 200
    wamid = answer.json()["messages"][0]["id"]
    assert answer.json() == {
        "messaging_product": "whatsapp",
        "contacts": [{"input": "+49 (170) 123-4567", "wa_id": "491701234567"}],
        "messages": [{"id": wamid}],
    }


def test_ids_are_base64_with_the_number_inside_and_unique(sandbox: Sandbox) -> None:
    ids = [sandbox.post(body()).json()["messages"][0]["id"] for _ in range(3)]
    assert len(set(ids)) == 3
    for wamid in ids:
        assert wamid.startswith("wamid.HBgMNDkxNzAxMjM0NTY3FQIAERgS")
        assert b"491701234567" in base64.b64decode(wamid.removeprefix("wamid."), validate=True)


@pytest.mark.parametrize(
    "accepted",
    [
        pytest.param(body(image={"link": LINK, "caption": "é" * 1024}), id="longest caption"),
        pytest.param(body(image={"link": LINK, "caption": None}), id="no caption, as heyoo writes it"),
        pytest.param(body(biz_opaque_callback_data="x" * 512), id="longest callback data"),
        pytest.param(body(recipient_type="individual", context={"message_id": "wamid.X"}), id="optional fields"),
        pytest.param(body(image={"link": LINK.replace("http:", "https:")}), id="https"),
        pytest.param(body(type="audio", audio={"link": LINK, "voice": True}), id="voice"),
        pytest.param(
            body(type="document", document={"link": LINK, "filename": "a.pdf", "caption": "c"}), id="document"
        ),
        pytest.param(body(type="sticker", sticker={"link": LINK}), id="sticker"),
        pytest.param(body(type="video", video={"link": LINK, "caption": "c"}), id="video"),
        pytest.param(body(type="text", text={"body": "x" * 4096}), id="text"),
        pytest.param(body(type=..., text={"body": "hi"}), id="text without a type"),
    ],
)
def test_what_the_api_documents_is_accepted(sandbox: Sandbox, accepted: dict[str, Any]) -> None:
    answer = sandbox.post(accepted)
    assert answer.status_code == 200, answer.text
    assert sandbox.http.get("/sandbox/messages").json()[0]["posted"] == accepted


@pytest.mark.parametrize(
    ("refused", "code", "says"),
    [
        pytest.param(body(messaging_product=...), 100, "messaging_product is required", id="no product"),
        pytest.param(body(messaging_product="sms"), 100, "messaging_product is required", id="other product"),
        pytest.param(body(to=...), 100, "parameter to is required", id="no recipient"),
        pytest.param(body(to="anna"), 131009, "to is not", id="recipient is a word"),
        pytest.param(body(to="4917012345678901"), 131009, "to is not", id="recipient of 16 digits"),
        pytest.param(body(to=491701234567), 131009, "to is not", id="recipient is a number"),
        pytest.param(body(to="+ () -"), 131009, "to is not", id="recipient without digits"),
        pytest.param(body(recipient_type="group"), 131009, "recipient_type", id="group"),
        pytest.param(body(biz_opaque_callback_data="x" * 513), 100, "at most 512", id="callback data too long"),
        pytest.param(body(biz_opaque_callback_data=7), 100, "must be a string", id="callback data is a number"),
        pytest.param(body(type="gif", gif={"link": LINK}), 131051, "gif", id="unknown type"),
        pytest.param(body(type=["image"]), 131051, "image", id="type is a list"),
        pytest.param(body(type="video"), 131008, "'video' is mandatory", id="object of another type"),
        pytest.param(body(image="link"), 100, "must be a JSON object", id="object is a string"),
        pytest.param(body(image={}), 131008, "'id' or 'link'", id="neither id nor link"),
        pytest.param(body(image={"link": ""}), 131008, "'id' or 'link'", id="empty link"),
        pytest.param(body(image={"link": LINK, "id": "1"}), 100, "not both", id="both id and link"),
        pytest.param(body(image={"link": LINK, "caption": 7}), 100, "must be a string", id="caption is a number"),
        pytest.param(body(image={"link": None}), 100, "image['link'] must be a string", id="link is null"),
        pytest.param(body(image={"link": "ftp://h/a.jpg"}), 131009, "http or https", id="ftp"),
        pytest.param(body(image={"link": "/a.jpg"}), 131009, "http or https", id="relative link"),
        pytest.param(body(image={"link": "https:///a.jpg"}), 131009, "http or https", id="link without a host"),
        pytest.param(
            body(image={"link": "http://[::1/a.jpg"}), 131009, "http or https", id="link with half an address"
        ),
        pytest.param(body(image={"link": "http://h:x/a.jpg"}), 131009, "http or https", id="link with a wrong port"),
        pytest.param(body(image={"link": LINK, "caption": "é" * 1025}), 100, "at most 1024", id="caption too long"),
        pytest.param(
            body(type="audio", audio={"link": LINK, "caption": "c"}),
            100,
            'Unexpected key "caption" on param "audio"',
            id="caption on audio",
        ),
        pytest.param(
            body(type="sticker", sticker={"link": LINK, "caption": "c"}), 100, '"caption"', id="caption on sticker"
        ),
        pytest.param(body(image={"link": LINK, "filename": "a.jpg"}), 100, '"filename"', id="filename on image"),
        pytest.param(
            body(type="video", video={"link": LINK, "filename": "a"}), 100, '"filename"', id="filename on video"
        ),
        pytest.param(body(image={"link": LINK, "voice": True}), 100, '"voice"', id="voice on image"),
        pytest.param(body(image={"link": LINK, "provider": {"name": "p"}}), 100, '"provider"', id="provider"),
        pytest.param(
            body(type="audio", audio={"link": LINK, "voice": "yes"}), 100, "must be a boolean", id="voice is a word"
        ),
        pytest.param(body(type="text"), 131008, "'text' is mandatory", id="text without its object"),
        pytest.param(body(type="text", text={"body": ""}), 131008, "'body' is mandatory", id="empty text"),
        pytest.param(body(type="text", text={"body": "x" * 4097}), 100, "at most 4096", id="text too long"),
        pytest.param([], 100, "not an object", id="a list"),
    ],
)
def test_what_the_api_forbids_is_refused_in_its_shape(sandbox: Sandbox, refused: Any, code: int, says: str) -> None:
    answer = sandbox.post(refused)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["type"]) == (code, "OAuthException")
    assert error["message"].startswith(f"(#{code}) ")
    assert error["fbtrace_id"].startswith("A")
    assert says in error.get("error_data", {}).get("details", error["message"])
    assert ("error_data" in error) == (code != 100)
    assert sandbox.messages() == []


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"\xff", b"[" * 60_000, b'{"to": "\\ud800"}', b'{"to": NaN}', b'{"to": 1e999}'],
    ids=["empty", "half", "not UTF-8", "deep", "half a character", "not a number", "endless number"],
)
def test_what_is_not_json_is_refused(sandbox: Sandbox, raw: bytes) -> None:
    answer = sandbox.http.post("/messages", content=raw, headers={"D360-API-KEY": "k"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 100)


def test_a_body_over_the_limit_is_not_taken(sandbox: Sandbox) -> None:
    assert sandbox.post(body(biz="x" * 65_536)).status_code == 413
    assert sandbox.messages() == []


@pytest.mark.parametrize(
    ("wanted", "presented", "status"),
    [
        pytest.param(None, "any", 200, id="any key"),
        pytest.param(None, "", 401, id="none where any will do"),
        pytest.param("right", "right", 200, id="the right key"),
        pytest.param("right", "wrong", 401, id="a wrong key"),
        pytest.param("right", "", 401, id="no key"),
    ],
)
def test_a_key_is_asked_for(run_sandbox: RunSandbox, wanted: str | None, presented: str, status: int) -> None:
    sandbox = run_sandbox(api_key=wanted)
    answer = sandbox.http.post("/messages", json=body(), headers={"D360-API-KEY": presented} if presented else {})
    assert answer.status_code == status
    if status == 401:
        assert answer.json()["meta"]["success"] is False
        assert sandbox.messages() == []


def test_more_than_may_be_under_way_is_refused_as_throughput(run_sandbox: RunSandbox) -> None:
    answer = run_sandbox(max_in_flight=0).post(body())
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 130429)


def test_an_unknown_path_or_method_is_not_served(sandbox: Sandbox) -> None:
    assert sandbox.http.post("/v1/messages", json=body()).status_code == 404
    assert sandbox.http.get("/messages").status_code == 405
