"""Templates, interactive messages and Meta's paths, as the sandbox takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.conftest import Origin, RunSandbox, Sandbox

LINK = "http://127.0.0.1:9/offer.jpg"
LANGUAGE = {"code": "de"}


def header(kind: str = "image", **medium: Any) -> dict[str, Any]:
    return {"type": kind, kind: medium or {"link": LINK}}


def template(*parameters: Any, **changes: Any) -> dict[str, Any]:
    components = [{"type": "header", "parameters": list(parameters)}, {"type": "body", "parameters": []}]
    return {"name": "offer", "language": LANGUAGE, "components": components, **changes}


def card(text: str) -> dict[str, Any]:
    return {"header": header(), "body": {"text": text}}


def cards(*made: Any) -> list[dict[str, Any]]:
    """Number the cards; a header alone is one, too."""
    whole = [each if isinstance(each, dict) and "body" in each else {"header": each} for each in made]
    return [{"card_index": index, **each} for index, each in enumerate(whole)]


def interactive(kind: str = "button", **parts: Any) -> dict[str, Any]:
    return {"type": kind, "body": {"text": "b"}, "action": {}, **parts}


def carousel(*headers: Any) -> dict[str, Any]:
    return interactive("carousel", action={"cards": cards(*headers)})


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        pytest.param("template", {"name": "hello", "language": LANGUAGE}, id="template without components"),
        pytest.param("template", template({"type": "text", "text": "Anna"}), id="text header"),
        pytest.param("template", template(header("document", link=LINK, filename="a.pdf")), id="document header"),
        pytest.param("interactive", interactive(header=header("video")), id="buttons under a video"),
        pytest.param("interactive", interactive("cta_url", header=header()), id="a call to action"),
        pytest.param("interactive", interactive("list", header={"type": "text", "text": "t"}), id="a list"),
        pytest.param("interactive", interactive("location_request_message"), id="no header"),
        pytest.param("interactive", carousel(header(), header("video")), id="a carousel"),
        pytest.param("interactive", interactive("order_details", header=header()), id="an order"),
        pytest.param(
            "interactive",
            {**carousel(*[card("a\nb\nc" + "d" * 155)] * 2), "body": {"text": "b" * 1024}},
            id="a carousel with all the text it may have",
        ),
    ],
)
def test_what_is_made_of_parts_is_accepted(
    sandbox: Sandbox, make_message: Callable[..., dict[str, Any]], kind: str, content: Any
) -> None:
    answer = sandbox.post(make_message(kind, content))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("kind", "content", "code", "says"),
    [
        pytest.param("template", template(language=None), 131008, "language", id="no language"),
        pytest.param("template", template(name=""), 131008, "name", id="no name"),
        pytest.param("template", template(components={}), 100, "components", id="components are no list"),
        pytest.param("template", template(header(link=LINK, id="1")), 100, "not both", id="both in a header"),
        pytest.param("template", template(header("audio")), 131009, "audio", id="audio in a header"),
        pytest.param("template", template({"image": {"link": LINK}}), 131008, "type", id="header without a type"),
        pytest.param("template", template({"type": "image"}), 100, "JSON object", id="header without its object"),
        pytest.param("interactive", interactive("poll"), 131009, "interactive['type']", id="unknown"),
        pytest.param("interactive", interactive(action=None), 131008, "action", id="no action"),
        pytest.param("interactive", interactive(header=header("sticker")), 131009, "sticker", id="sticker header"),
        pytest.param("interactive", interactive("list", header=header()), 131009, "image", id="a list under an image"),
        pytest.param("interactive", carousel(header()), 131009, "2 to 10 cards", id="one card"),
        pytest.param("interactive", carousel(header(), card("c" * 161)), 100, "160", id="a card of many words"),
        pytest.param("interactive", carousel(header(), card("\n" * 3)), 131009, "2 line breaks", id="a long card"),
        pytest.param(
            "interactive", {**carousel(*[header()] * 2), "body": {"text": "b" * 1025}}, 100, "1024", id="a long body"
        ),
        pytest.param("interactive", carousel(*[header()] * 11), 131009, "2 to 10 cards", id="eleven cards"),
        pytest.param(
            "interactive", carousel(header(), header("document")), 131009, "document", id="document on a card"
        ),
        pytest.param("interactive", carousel(header(), None), 131008, "type", id="a card without a header"),
    ],
)
def test_what_is_made_wrongly_of_parts_is_refused(  # noqa: PLR0913, PLR0917 - a row of the table, and its sandbox
    sandbox: Sandbox,
    make_message: Callable[..., dict[str, Any]],
    kind: str,
    content: Any,
    code: int,
    says: str,
) -> None:
    error = sandbox.post(make_message(kind, content)).json()["error"]
    assert error["code"] == code
    assert says in error.get("error_data", {}).get("details", error["message"])
    assert sandbox.messages() == []


def test_the_media_of_all_cards_are_fetched(
    sandbox: Sandbox, origin: Origin, make_message: Callable[..., dict[str, Any]]
) -> None:
    links = [origin.give("/a.jpg"), origin.give("/b.jpg"), origin.give("/c.jpg")]
    card = [{"components": [{"type": "header", "parameters": [header(link=link)]}]} for link in links[1:]]
    content = template(header(link=links[0]))
    content["components"].append({"type": "carousel", "cards": card})
    wamid = sandbox.post(make_message("template", content)).json()["messages"][0]["id"]
    assert [status["status"] for status in sandbox.ended(wamid)["statuses"]] == ["sent", "delivered"]
    assert [sandbox.seen(link)["count"] for link in links] == [1, 1, 1]


def test_one_card_that_cannot_be_fetched_fails_the_message(
    sandbox: Sandbox, origin: Origin, make_message: Callable[..., dict[str, Any]]
) -> None:
    content = carousel(header(link=origin.give("/a.jpg")), header(link=f"{origin.url}/none.jpg"))
    wamid = sandbox.post(make_message("interactive", content)).json()["messages"][0]["id"]
    (status,) = sandbox.ended(wamid)["statuses"]
    assert (status["status"], "404" in status["details"]) == ("failed", True)


@pytest.mark.parametrize(
    "path",
    ["/106540352242922/messages", "/v25.0/106540352242922/messages", "/v25.0/106540352242922/marketing_messages"],
)
def test_metas_paths_take_a_token(
    run_sandbox: RunSandbox, make_message: Callable[..., dict[str, Any]], path: str
) -> None:
    sandbox = run_sandbox(api_key="right")
    body = make_message("text", {"body": "hi"})
    taken = sandbox.http.post(path, json=body, headers={"Authorization": "Bearer right"})
    assert taken.status_code == 200
    for headers in ({"Authorization": "Bearer wrong"}, {"D360-API-KEY": "right"}, {}):
        answer = sandbox.http.post(path, json=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, 190)


@pytest.mark.parametrize("path", ["/v1/106540352242922/messages", "/anna/messages", "/v25.0/anna/messages"])
def test_a_path_that_is_not_metas_is_not_served(
    sandbox: Sandbox, make_message: Callable[..., dict[str, Any]], path: str
) -> None:
    body = make_message("text", {"body": "hi"})
    assert sandbox.http.post(path, json=body, headers={"Authorization": "Bearer k"}).status_code == 404
