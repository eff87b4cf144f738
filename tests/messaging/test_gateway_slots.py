"""Where media stand in messages, and what is asked of them there."""

import json
from typing import Any

import pytest

from proxy.errors import Malformed
from proxy.messaging.slots import MAX_LINKS, Letter, read_letter

U = "https://example.com/a"


def letter(**body: Any) -> Letter:
    return read_letter(json.dumps(body).encode())


def header(kind: str, **medium: Any) -> dict[str, Any]:
    return {"type": "header", "parameters": [{"type": kind, kind: medium}]}


TEMPLATE = "template.components[0]"
SHAPES = {
    "image": ({"type": "image", "image": {"link": U, "caption": "c"}}, {"image": "image"}),
    "voice": ({"type": "audio", "audio": {"link": U, "voice": True}}, {"audio": "audio"}),
    "sticker": ({"type": "sticker", "sticker": {"link": U}}, {"sticker": "sticker"}),
    "document": ({"type": "document", "document": {"link": U, "filename": "a.pdf"}}, {"document": "document"}),
    "template header": (
        {"type": "template", "template": {"components": [header("document", link=U, filename="bill.pdf")]}},
        {f"{TEMPLATE}.parameters[0].document": "document"},
    ),
    "template carousel": (
        {
            "type": "template",
            "template": {
                "components": [
                    {
                        "type": "carousel",
                        "cards": [
                            {"components": [header("image", link=U)]},
                            {"components": [header("video", link=U)]},
                        ],
                    }
                ]
            },
        },
        {
            f"{TEMPLATE}.cards[0].components[0].parameters[0].image": "image",
            f"{TEMPLATE}.cards[1].components[0].parameters[0].video": "video",
        },
    ),
    "interactive header": (
        {
            "type": "interactive",
            "interactive": {
                "type": "cta_url",
                "header": {"type": "video", "video": {"link": U}},
                "action": {"name": "cta_url", "parameters": {"url": U}},
            },
        },
        {"interactive.header.video": "video"},
    ),
    "interactive carousel": (
        {
            "type": "interactive",
            "interactive": {
                "type": "carousel",
                "action": {"cards": [{"header": {"type": "image", "image": {"link": U}}, "action": {"url": U}}]},
            },
        },
        {"interactive.action.cards[0].header.image": "image"},
    ),
    "an item of an order": (
        {"interactive": {"action": {"parameters": {"order": {"items": [{"image": {"link": U}}]}}}}},
        {"interactive.action.parameters.order.items[0].image": "image"},
    ),
    "by id": ({"type": "image", "image": {"id": "17"}}, {"image": "image"}),
    "a text": ({"type": "text", "text": {"body": U, "preview_url": True}}, {}),
    "a contact": ({"type": "contacts", "contacts": [{"urls": [{"url": U}]}]}, {}),
    "a mark as read": ({"status": "read", "message_id": "wamid.X"}, {}),
    "a link that is no string": ({"interactive": {"image": {"link": {"link": U}}}}, {}),
    "an image that is data": ({"data": {"image": {"src": "x"}, "video": "y", "audio": [1]}}, {}),
}


@pytest.mark.parametrize(("body", "slots"), SHAPES.values(), ids=SHAPES)
def test_media_are_found_wherever_they_stand(body: dict[str, Any], slots: dict[str, str]) -> None:
    assert {slot.where: slot.kind.value for slot in letter(**body).slots} == slots


@pytest.mark.parametrize(
    ("medium", "kind", "says"),
    [
        pytest.param({}, "image", "image.link: give either link or id", id="neither"),
        pytest.param({"link": ""}, "image", "image.link: give either link or id", id="an empty link"),
        pytest.param({"link": None}, "image", "image.link: give either link or id", id="null for a link"),
        pytest.param({"link": U, "id": "1"}, "image", "not both", id="both"),
        pytest.param({"link": U, "id": 1}, "video", "not both", id="both, one a number"),
        pytest.param({"link": U, "caption": "c"}, "audio", "audio.caption: WhatsApp shows none", id="on audio"),
        pytest.param({"id": "1", "caption": "c"}, "sticker", "sticker.caption", id="on a sticker"),
        pytest.param({"link": U, "caption": "c" * 1025}, "image", "1024", id="too long a caption"),
    ],
)
def test_what_the_provider_would_refuse_is_refused_with_its_place(medium: dict[str, Any], kind: str, says: str) -> None:
    with pytest.raises(Malformed, match=says):
        letter(type=kind, **{kind: medium})
    with pytest.raises(Malformed, match=r"^template\.components\[0\]\.parameters\[0\]\."):
        letter(type="template", template={"components": [header(kind, **medium)]})


@pytest.mark.parametrize(
    "medium",
    [{"link": U, "id": None}, {"link": U, "id": ""}, {"id": 17, "link": None}, {"link": U, "caption": ""}],
)
def test_what_libraries_write_for_nothing_is_nothing(medium: dict[str, Any]) -> None:
    assert letter(type="image", image=medium).slots[0].is_medium
    assert letter(type="sticker", sticker=medium).slots[0].is_medium


def test_a_link_that_stands_twice_is_found_twice() -> None:
    read = read_letter(b'{"type":"image","image":{"link":"a","link":"b"},"image":{"link":"c"}}')
    assert [[text.value for text in slot.links] for slot in read.slots] == [["a", "b"], ["c"]]


def test_links_are_bounded() -> None:
    assert len(letter(cards=[{"image": {"link": U}}] * MAX_LINKS).slots) == MAX_LINKS
    with pytest.raises(Malformed, match="links"):
        letter(cards=[{"image": {"link": U}}] * (MAX_LINKS + 1))


@pytest.mark.parametrize(
    ("to", "recipient"),
    [
        pytest.param("+49 (170) 123-45 67", "491701234567", id="as people write it"),
        pytest.param("491701234567", "491701234567", id="digits"),
        pytest.param("0170 1234567", "01701234567", id="without a country"),
        pytest.param("Y2FwaV9ncm91cDox", "2991", id="a group"),
        pytest.param(491701234567, "491701234567", id="a number"),
        pytest.param(None, "", id="null"),
        pytest.param(["491701234567"], "", id="a list"),
    ],
)
def test_the_recipient_is_digits(to: object, recipient: str) -> None:
    assert letter(to=to).recipient == recipient


def test_callback_data_of_the_caller_is_seen() -> None:
    assert letter(biz_opaque_callback_data="order-17").has_callback_data
    assert not letter(to="1").has_callback_data
