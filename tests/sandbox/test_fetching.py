from __future__ import annotations

import hashlib
import socket
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from tests.sandbox.conftest import Origin, RunSandbox, Sandbox

MIB = 1024 * 1024
JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 100
PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 100
MP4 = b"\x00\x00\x00\x18ftypmp42" + b"clip" * 100
OFFICE = "application/vnd.openxmlformats-officedocument."


class Offer(NamedTuple):
    kind: str
    path: str
    content_type: str | None
    body: bytes


def opus(channels: int) -> bytes:
    return b"OggS".ljust(28, b"\x00") + b"OpusHead\x01" + bytes([channels]) + b"sound" * 100


def webp(width: int = 512, height: int = 512, *, animated: bool = False, size: int = 2000) -> bytes:
    flags = bytes([0b10 if animated else 0, 0, 0, 0])
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return (b"RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00" + flags + canvas).ljust(size, b"\x00")


def lossy_webp(width: int, height: int) -> bytes:
    frame = b"\x00\x00\x00\x9d\x01\x2a" + width.to_bytes(2, "little") + height.to_bytes(2, "little")
    return (b"RIFF\x00\x00\x00\x00WEBPVP8 \x00\x00\x00\x00" + frame).ljust(2000, b"\x00")


def lossless_webp(width: int, height: int) -> bytes:
    frame = b"\x2f" + ((width - 1) | (height - 1) << 14).to_bytes(4, "little")
    return (b"RIFF\x00\x00\x00\x00WEBPVP8L\x00\x00\x00\x00" + frame).ljust(2000, b"\x00")


GOOD = [
    pytest.param(Offer("image", "/a.jpg", "image/jpeg", JPEG), id="jpg"),
    pytest.param(Offer("image", "/a.JPEG", "image/jpeg", JPEG), id="JPEG"),
    pytest.param(Offer("image", "/a.png", "image/png", PNG), id="png"),
    pytest.param(Offer("image", "/picture", "image/jpeg", JPEG), id="no extension"),
    pytest.param(Offer("image", "/a.v2", "image/jpeg", JPEG), id="an extension that means nothing"),
    pytest.param(Offer("image", "/a.jpg", "image/jpeg", JPEG.ljust(5 * MIB, b"x")), id="the largest image"),
    pytest.param(Offer("sticker", "/a.webp", "image/webp", webp()), id="sticker"),
    pytest.param(Offer("sticker", "/a.webp", "image/webp", lossy_webp(512, 512)), id="lossy sticker"),
    pytest.param(Offer("sticker", "/a.webp", "image/webp", lossless_webp(512, 512)), id="lossless sticker"),
    pytest.param(Offer("sticker", "/a.webp", "image/webp", webp(size=100 * 1024)), id="the largest still sticker"),
    pytest.param(
        Offer("sticker", "/a.webp", "image/webp", webp(animated=True, size=500 * 1024)), id="the largest moving sticker"
    ),
    pytest.param(Offer("audio", "/a.ogg", "audio/ogg; codecs=opus", opus(1)), id="opus"),
    pytest.param(Offer("audio", "/a.mp3", "audio/mpeg", b"ID3sound"), id="mp3"),
    pytest.param(Offer("audio", "/a.m4a", "audio/mp4", MP4), id="m4a"),
    pytest.param(Offer("audio", "/a.amr", "audio/amr", b"#!AMR\nsound"), id="amr"),
    pytest.param(Offer("audio", "/a.aac", "audio/aac", b"\xff\xf1sound"), id="aac"),
    pytest.param(Offer("video", "/a.mp4", "video/mp4", MP4), id="mp4"),
    pytest.param(Offer("video", "/a.3gp", "video/3gpp", MP4), id="3gpp"),
    pytest.param(Offer("video", "/a.3gp", "video/3gp", MP4), id="3gp"),
    pytest.param(Offer("document", "/a.pdf", "application/pdf", b"%PDF-1.7"), id="pdf"),
    pytest.param(Offer("document", "/a.docx", f"{OFFICE}wordprocessingml.document", b"PK"), id="docx"),
    pytest.param(Offer("document", "/a.txt", "text/plain; charset=utf-8", b"text"), id="text with a charset"),
]


@pytest.mark.parametrize("offer", GOOD)
def test_what_whatsapp_accepts_is_delivered(sandbox: Sandbox, origin: Origin, offer: Offer) -> None:
    link = origin.give(offer.path, body=offer.body, content_type=offer.content_type)
    statuses = sandbox.deliver(link, offer.kind)["statuses"]
    assert [(status["status"], status["details"]) for status in statuses] == [("sent", None), ("delivered", None)]
    fetch = sandbox.seen(link)["fetches"][0]
    assert (fetch["size"], fetch["sha256"]) == (len(offer.body), hashlib.sha256(offer.body).hexdigest())


REFUSED = [
    pytest.param(
        Offer("image", "/a.webp", "image/webp", webp()), "Unsupported Image mime type image/webp.", id="webp as image"
    ),
    pytest.param(Offer("image", "/a.gif", "image/gif", b"GIF89a"), "Unsupported Image mime type image/gif.", id="gif"),
    pytest.param(Offer("image", "/a.jpg", "image/jpg", JPEG), "Unsupported Image mime type image/jpg.", id="image/jpg"),
    pytest.param(Offer("image", "/a.jpg", "image/jpeg; q=1", JPEG), "Unsupported Image mime type", id="a parameter"),
    pytest.param(
        Offer("image", "/a.pdf", "application/pdf", b"%PDF-"), "Unsupported Image mime type", id="pdf as image"
    ),
    pytest.param(Offer("image", "/a.jpg", None, JPEG), "mime type application/octet-stream.", id="no type"),
    pytest.param(Offer("image", "/a.jpg", "text/html", b"<html>"), "Unsupported mime type text/html", id="a page"),
    pytest.param(
        Offer("audio", "/a.ogg", "audio/ogg", opus(1)), "Unsupported Audio mime type audio/ogg.", id="plain ogg"
    ),
    pytest.param(
        Offer("audio", "/a.ogg", "audio/ogg;codecs=opus", opus(1)), "Unsupported Audio", id="ogg without the space"
    ),
    pytest.param(
        Offer("audio", "/a.opus", "audio/opus", opus(1)), "Please use one of audio/ogg; codecs=opus,", id="audio/opus"
    ),
    pytest.param(
        Offer("audio", "/a.ogg", "audio/ogg; codecs=opus", opus(2)), "however on processing", id="stereo opus"
    ),
    pytest.param(
        Offer("audio", "/a.m4a", "audio/mp4", b"\x1aE\xdf\xa3"), "type application/octet-stream.", id="webm as m4a"
    ),
    pytest.param(
        Offer("image", "/a.jpg", "image/jpeg", PNG), "however on processing it is of type image/png.", id="png as jpeg"
    ),
    pytest.param(Offer("image", "/a.jpg", "image/jpeg", b""), "however on processing", id="nothing"),
    pytest.param(Offer("document", "/a.txt", "text/plain", b""), "however on processing", id="empty text"),
    pytest.param(
        Offer("image", "/a.png", "image/jpeg", JPEG),
        "however on processing it is of type image/png.",
        id="jpeg at .png",
    ),
    pytest.param(Offer("image", "/a.webp", "image/jpeg", JPEG), "of type image/webp.", id="jpeg at .webp"),
    pytest.param(Offer("image", "/a%2Egif", "image/jpeg", JPEG), "of type image/gif.", id="jpeg at an escaped .gif"),
    pytest.param(Offer("image", "/a.html", "image/jpeg", JPEG), "of type text/html.", id="jpeg at .html"),
    pytest.param(
        Offer("document", "/a.doc", "application/pdf", b"%PDF-"), "of type application/msword.", id="pdf at .doc"
    ),
    pytest.param(
        Offer("image", "/a.jpg", "image/jpeg", JPEG.ljust(5 * MIB + 1, b"x")), "we currently support: 5MB.", id="image"
    ),
    pytest.param(
        Offer("video", "/a.mp4", "video/mp4", MP4.ljust(16 * MIB + 1)), "we currently support: 16MB.", id="large video"
    ),
    pytest.param(
        Offer("sticker", "/a.webp", "image/webp", webp(512, 511)), "Sticker file could not be", id="not 512 high"
    ),
    pytest.param(
        Offer("sticker", "/a.webp", "image/webp", lossy_webp(511, 512)), "Sticker file could not be", id="lossy, narrow"
    ),
    pytest.param(
        Offer("sticker", "/a.webp", "image/webp", lossless_webp(512, 513)), "Sticker file", id="lossless, high"
    ),
    pytest.param(
        Offer("sticker", "/a.webp", "image/webp", webp()[:28]), "Sticker file could not be", id="half a sticker"
    ),
    pytest.param(
        Offer("sticker", "/a.webp", "image/webp", webp(size=100 * 1024 + 1)),
        "support: 100KB.",
        id="large still sticker",
    ),
    pytest.param(
        Offer("sticker", "/a.webp", "image/webp", webp(animated=True, size=500 * 1024 + 1)),
        "support: 500KB.",
        id="large moving sticker",
    ),
]


@pytest.mark.parametrize(("offer", "details"), REFUSED)
def test_what_whatsapp_refuses_fails(sandbox: Sandbox, origin: Origin, offer: Offer, details: str) -> None:
    link = origin.give(offer.path, body=offer.body, content_type=offer.content_type)
    (status,) = sandbox.deliver(link, offer.kind)["statuses"]
    assert status["status"] == "failed"
    assert details in status["details"]
    assert sandbox.seen(link)["fetches"][0]["verdict"] == status["details"]


def test_a_voice_note_is_refused_as_one(sandbox: Sandbox, origin: Origin) -> None:
    link = origin.give("/a.opus", body=opus(1), content_type="audio/opus")
    (status,) = sandbox.deliver(link, "audio", voice=True)["statuses"]
    assert status["details"].startswith("Unsupported Voice mime type audio/opus. ")


@pytest.mark.parametrize(
    ("status", "details"),
    [
        (404, "Downloading media from weblink failed with http code 404, status message Not Found"),
        (403, "Downloading media from weblink failed with http code 403, status message Forbidden"),
        (500, "Downloading media from weblink failed with http code 500, status message Internal Server Error"),
        (206, "Downloading media from weblink failed with http code 206, status message Partial Content"),
        (304, "Downloading media from weblink failed with http code 304, status message Not Modified"),
        (599, "Downloading media from weblink failed with http code 599, status message Unknown"),
    ],
)
def test_an_http_error_is_told_in_whatsapps_words(sandbox: Sandbox, origin: Origin, status: int, details: str) -> None:
    link = origin.give(status=status, body=b"" if status == 304 else JPEG)
    assert [told["details"] for told in sandbox.deliver(link)["statuses"]] == [details]
    assert sandbox.seen(link)["fetches"][0]["status"] == status


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(sandbox: Sandbox, origin: Origin, status: int) -> None:
    target = origin.give("/target.jpg")
    link = origin.give("/moved.jpg", status=status, headers={"location": target})
    assert sandbox.deliver(link)["statuses"][0]["details"] == "Unsupported mime type text/html"
    assert [request.url.path for request in origin.requests] == ["/moved.jpg"]


def test_one_get_without_credentials_or_cookies(sandbox: Sandbox, origin: Origin) -> None:
    origin.give("/a.jpg", headers={"set-cookie": "visitor=1; Path=/"})
    origin.give("/b.jpg")
    for link in (f"{origin.url}/a.jpg", f"{origin.url}/b.jpg", f"{origin.url}/b.jpg".replace("//", "//user:secret@")):
        sandbox.deliver(link)
    asked = [(request.method, request.url.path) for request in origin.requests]
    assert asked == [("GET", "/a.jpg"), ("GET", "/b.jpg"), ("GET", "/b.jpg")]
    for request in origin.requests:
        assert not {"authorization", "cookie", "range", "if-modified-since"} & set(request.headers)


def test_the_headers_of_both_sides_are_kept(sandbox: Sandbox, origin: Origin) -> None:
    link = origin.give(headers={"cache-control": "public, max-age=60", "etag": '"v1"'})
    sandbox.deliver(link)
    seen = sandbox.seen(link)
    fetch = seen["fetches"][0]
    assert (seen["count"], seen["hits"], fetch["cache"], fetch["status"], fetch["verdict"]) == (1, 0, "miss", 200, "ok")
    assert fetch["at"] == "2023-11-14T22:13:20+00:00"
    assert fetch["ms"] > 0
    assert fetch["request_headers"] == dict(origin.requests[0].headers)
    expected = {"cache-control": "public, max-age=60", "etag": '"v1"', "content-type": "image/jpeg"}
    assert expected.items() <= fetch["response_headers"].items()


def test_a_body_of_no_declared_length_is_read_no_further_than_the_limit(sandbox: Sandbox, origin: Origin) -> None:
    link = origin.give(body=JPEG.ljust(20 * MIB, b"x"), chunked=True)
    assert "file size too big" in sandbox.deliver(link)["statuses"][0]["details"]
    fetch = sandbox.seen(link)["fetches"][0]
    assert 5 * MIB < fetch["size"] < 6 * MIB
    assert fetch["sha256"] is None


def test_a_declared_length_over_the_limit_is_not_read_at_all(sandbox: Sandbox, origin: Origin) -> None:
    link = origin.give(body=JPEG.ljust(6 * MIB, b"x"))
    assert "file size too big" in sandbox.deliver(link)["statuses"][0]["details"]
    assert sandbox.seen(link)["fetches"][0]["size"] == 0


def test_a_body_shorter_than_its_declared_length_fails(sandbox: Sandbox, origin: Origin) -> None:
    link = origin.give(headers={"content-length": str(len(JPEG) + 1)})
    (status,) = sandbox.deliver(link)["statuses"]
    assert status["details"] == "Downloading media from weblink failed with http code 502, status message Bad Gateway"
    assert sandbox.seen(link)["fetches"][0]["status"] == 200


def test_an_origin_that_is_not_there_fails(sandbox: Sandbox) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        link = f"http://127.0.0.1:{taken.getsockname()[1]}/a.jpg"
        (status,) = sandbox.deliver(link)["statuses"]
    assert "http code 502" in status["details"]
    fetch = sandbox.seen(link)["fetches"][0]
    assert (fetch["status"], fetch["sha256"], "user-agent" in fetch["request_headers"]) == (None, None, True)


def test_a_link_that_no_client_can_ask_for_fails(sandbox: Sandbox) -> None:
    (status,) = sandbox.deliver("http://ho\x7fst/a.jpg")["statuses"]
    assert "http code 400" in status["details"]


def test_a_slow_origin_fails_at_the_time_limit(run_sandbox: RunSandbox, origin: Origin) -> None:
    link = origin.give(hangs=True)
    (status,) = run_sandbox(fetch_timeout_s=0.1).deliver(link)["statuses"]
    assert "http code 500, status message Internal Server Error" in status["details"]


def test_for_a_text_nothing_is_fetched(sandbox: Sandbox) -> None:
    sandbox.post({"messaging_product": "whatsapp", "to": "491701234567", "type": "text", "text": {"body": "hi"}})
    (message,) = sandbox.messages()
    assert [status["status"] for status in message["statuses"]] == ["sent", "delivered"]
    assert sandbox.http.get("/sandbox/fetches").json() == []
