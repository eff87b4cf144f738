"""The five link messages and the number that they go to."""

from typing import Any

import pytest

from proxy.errors import Malformed
from proxy.media.kinds import Kind
from proxy.messaging.messages import Audio, Document, Image, Media, Message, Sticker, Video, make_media, parse_number

LINK = "https://media.example.com/m/3f9a/offer.jpg"

PAYLOADS: dict[str, tuple[Media, str, dict[str, object]]] = {
    "audio": (Audio(link=LINK), "audio", {"link": LINK}),
    "voice": (Audio(link=LINK, voice=True), "audio", {"link": LINK, "voice": True}),
    "document": (
        Document(link=LINK, caption="c", filename="a.pdf"),
        "document",
        {"link": LINK, "caption": "c", "filename": "a.pdf"},
    ),
    "bare_document": (Document(link=LINK), "document", {"link": LINK}),
    "image": (Image(link=LINK, caption="c"), "image", {"link": LINK, "caption": "c"}),
    "image_by_id": (Image(id="1013859600285441"), "image", {"id": "1013859600285441"}),
    "sticker": (Sticker(link=LINK), "sticker", {"link": LINK}),
    "video": (Video(link=LINK, caption="c"), "video", {"link": LINK, "caption": "c"}),
}


@pytest.mark.parametrize(("media", "kind", "medium"), PAYLOADS.values(), ids=PAYLOADS.keys())
def test_a_message_is_posted_exactly_as_the_api_takes_it(media: Media, kind: str, medium: dict[str, object]) -> None:
    assert Message(to="491701234567", media=media).payload() == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "491701234567",
        "type": kind,
        kind: medium,
    }


def test_a_reply_and_callback_data_are_posted() -> None:
    payload = Message(to="491701234567", media=Image(link=LINK), reply_to="wamid.A", callback_data="order-17").payload()
    assert payload["context"] == {"message_id": "wamid.A"}
    assert payload["biz_opaque_callback_data"] == "order-17"


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_is_made(kind: Kind) -> None:
    media = make_media(kind, link=LINK)
    assert media.kind is kind
    assert media.payload() == {"link": LINK}


REFUSED_MEDIA: dict[str, tuple[Kind, dict[str, Any], str]] = {
    "neither_link_nor_id": (Kind.IMAGE, {}, "link"),
    "both_link_and_id": (Kind.IMAGE, {"link": LINK, "id": "1"}, "link"),
    "empty_id": (Kind.IMAGE, {"id": ""}, "id"),
    "caption_on_audio": (Kind.AUDIO, {"link": LINK, "caption": "c"}, "caption"),
    "caption_on_a_sticker": (Kind.STICKER, {"link": LINK, "caption": "c"}, "caption"),
    "filename_on_an_image": (Kind.IMAGE, {"link": LINK, "filename": "a.jpg"}, "filename"),
    "filename_on_a_video": (Kind.VIDEO, {"link": LINK, "filename": "a.mp4"}, "filename"),
    "voice_on_a_video": (Kind.VIDEO, {"link": LINK, "voice": True}, "voice"),
    "caption_too_long": (Kind.IMAGE, {"link": LINK, "caption": "x" * 1025}, "caption"),
    "document_caption_too_long": (Kind.DOCUMENT, {"link": LINK, "caption": "x" * 1025}, "caption"),
    "caption_not_unicode": (Kind.VIDEO, {"link": LINK, "caption": "\ud800"}, "caption"),
    "filename_not_unicode": (Kind.DOCUMENT, {"link": LINK, "filename": "\udcff.pdf"}, "filename"),
    "relative_link": (Kind.IMAGE, {"link": "/m/a.jpg"}, "link"),
    "link_without_host": (Kind.IMAGE, {"link": "https:///a.jpg"}, "link"),
    "store_link": (Kind.IMAGE, {"link": "s3://bucket/a.jpg"}, "link"),
    "script_link": (Kind.IMAGE, {"link": "javascript:alert(1)"}, "link"),
    "empty_link": (Kind.IMAGE, {"link": ""}, "link"),
    "link_with_a_space": (Kind.IMAGE, {"link": "https://a.example/a b.jpg"}, "link"),
    "link_with_a_line_break": (Kind.IMAGE, {"link": "https://a.example/a\r\nb.jpg"}, "link"),
    "link_with_a_bad_port": (Kind.IMAGE, {"link": "https://a.example:x/a.jpg"}, "link"),
    "link_with_a_bad_address": (Kind.IMAGE, {"link": "https://[::1/a.jpg"}, "link"),
}


@pytest.mark.parametrize(("kind", "fields", "field"), REFUSED_MEDIA.values(), ids=REFUSED_MEDIA.keys())
def test_a_medium_that_the_api_does_not_take_is_not_made(kind: Kind, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Malformed) as refused:
        make_media(kind, **fields)
    assert refused.value.field == field


@pytest.mark.parametrize("kind", [Kind.IMAGE, Kind.VIDEO, Kind.DOCUMENT])
def test_the_longest_caption_passes_counted_in_code_points(kind: Kind) -> None:
    assert make_media(kind, link=LINK, caption="😀" * 1024).payload()["caption"] == "😀" * 1024


@pytest.mark.parametrize("kind", Kind)
def test_empty_fields_are_no_fields(kind: Kind) -> None:
    assert make_media(kind, link=LINK, caption="", filename="", voice=False).payload() == {"link": LINK}


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("to", {"to": "+491701234567"}),
        ("to", {"to": "12"}),
        ("callback_data", {"callback_data": "x" * 513}),
        ("callback_data", {"callback_data": ""}),
        ("reply_to", {"reply_to": ""}),
    ],
    ids=["to_not_digits", "to_too_short", "callback_data_too_long", "callback_data_empty", "reply_to_empty"],
)
def test_a_message_that_the_api_does_not_take_does_not_construct(field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as refused:
        Message(**dict[str, Any](to="491701234567", media=Image(link=LINK)) | fields)
    assert refused.value.field == field


NUMBERS = {
    "international": ("+491701234567", "491701234567"),
    "digits": ("491701234567", "491701234567"),
    "spaces": (" +49 170 1234567 ", "491701234567"),
    "no_break_spaces": ("+49\u00a0170\u202f1234567", "491701234567"),
    "hyphens": ("+1-650-555-0100", "16505550100"),
    "typographic_hyphens": ("+1\u2011650\u2013555\u20110100", "16505550100"),
    "brackets": ("+1 (650) 555-0100", "16505550100"),
    "dots": ("+33.6.12.34.56.78", "33612345678"),
    "slash": ("+49 170/1234567", "491701234567"),
    "double_zero": ("0049 170 1234567", "491701234567"),
    "marks_of_a_copied_contact": ("\u202a+49\u00a0170\u00a01234567\u202c", "491701234567"),
    "the_shortest": ("+683 4002", "6834002"),
    "the_longest": ("+123456789012345", "123456789012345"),
}


@pytest.mark.parametrize(("written", "digits"), NUMBERS.values(), ids=NUMBERS.keys())
def test_a_number_is_read_as_people_write_it(written: str, digits: str) -> None:
    assert parse_number(written) == digits


WRONG_NUMBERS = {
    "empty": "",
    "blank": "  ",
    "plus_alone": "+",
    "letters": "+49 170 CALLME",
    "extension": "+49 30 1234567 ext. 5",
    "jid": "491701234567@s.whatsapp.net",
    "uri": "tel:+491701234567",
    "two_plus": "++491701234567",
    "plus_inside": "49+1701234567",
    "plus_and_double_zero": "+00491701234567",
    "national": "0170 1234567",
    "bracketed_trunk_zero": "+49 (0)170 1234567",
    "too_short": "+123456",
    "too_long": "+1234567890123456",
    "arabic_digits": "+٤٩١٧٠١٢٣٤٥٦٧",
    "superscript": "+49170123456²",
    "nul": "+491701234567\0",
}


@pytest.mark.parametrize("written", WRONG_NUMBERS.values(), ids=WRONG_NUMBERS.keys())
def test_what_is_no_international_number_is_refused_without_repeating_it(written: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse_number(written)
    assert refused.value.field == "to"
    assert "1701234567" not in str(refused.value)
