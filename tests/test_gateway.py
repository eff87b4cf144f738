"""The gateway over real sockets: what a caller of 360dialog or Meta meets when only its base URL was changed."""

import asyncio
import gzip
import hashlib
import json
import re
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from proxy.errors import LedgerAway
from proxy.messaging.entries import LedgerMessage
from proxy.messaging.ledger import Ledger
from proxy.messaging_doors import build_ledger
from proxy.servers import ThreadedServer
from tests.conftest import API_KEY, NO_TLS, NUMBER, TOKEN, picture
from tests.s3_servers import ACCESS_KEY, SECRET_KEY

if TYPE_CHECKING:
    from tests.conftest import House

Build = Callable[..., "House"]
OWN_KEY = hashlib.sha256(API_KEY.encode()).hexdigest()
FOREIGN = "https://elsewhere.example/a.jpg"
PATHS = ["/waba/messages", "/waba/123456/messages", "/waba/v25.0/123456/messages"]


@pytest.fixture
def house(build: Build) -> "House":
    return build(waba_key="house", alias_prefixes="open/")


def post(house: "House", body: Any, path: str = "/waba/messages", **headers: str) -> httpx2.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return house.api.post(path, content=content, headers={"Content-Type": "application/json", **headers})


def image(link: str, **medium: Any) -> dict[str, Any]:
    return {
        "messaging_product": "whatsapp",
        "to": NUMBER,
        "type": "image",
        "image": {"link": link, **medium},
    }


def alias(house: "House", key: str = "open/a.jpg", kind: str = "image") -> str:
    return f"{house.url}/{kind}/{key}"


def posted(house: "House") -> list[dict[str, Any]]:
    return [dict(message["posted"]) for message in house.whatsapp.get("/sandbox/messages").json()]


def kept(house: "House") -> tuple[LedgerMessage, ...]:
    async def read() -> tuple[LedgerMessage, ...]:
        ledger = build_ledger(house.settings)
        try:
            return await ledger.recent(10)
        finally:
            await ledger.close()

    return asyncio.run(read())


def made(house: "House") -> float:
    """Count the images that were made to fit, in this process."""
    told = house.web.get("/metrics").text
    counted = re.findall(r'^medialink_renditions_total\{kind="image",result="made"\} (\S+)$', told, re.MULTILINE)
    return float(counted[0])


def refused(answer: httpx2.Response, status: int, code: int, says: str) -> None:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["type"]) == (status, code, "OAuthException")
    assert error["message"].startswith(f"(#{code}) ")
    assert says in error["error_data"]["details"]
    assert error["fbtrace_id"] == answer.headers["x-request-id"]
    assert answer.headers["cache-control"] == "no-store"


@dataclass
class Elsewhere:
    """A provider that keeps what it was asked, byte for byte, and answers as it was told."""

    url: str = ""
    asked: list[Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    answer: Response = field(default_factory=lambda: Response(b'{"ok":true}', media_type="application/json"))

    async def take(self, request: Request) -> Response:
        self.bodies.append(await request.body())
        self.asked.append(request)
        return self.answer


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    provider = Elsewhere()
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    with ThreadedServer(Starlette(routes=[Route("/{path:path}", provider.take, methods=methods)])) as server:
        provider.url = server.url
        yield provider


def test_a_link_of_the_store_is_replaced_fetched_and_followed(house: "House", heavy_jpeg: bytes) -> None:
    house.put("open/a.jpg", heavy_jpeg)
    answer = post(house, image(alias(house), caption="Offer"))
    assert answer.status_code == 200
    wamid = answer.json()["messages"][0]["id"]
    assert [entry["status"] for entry in house.story(wamid)["statuses"]] == ["sent", "delivered"]
    (message,) = posted(house)
    assert message["image"]["link"].startswith(f"{house.url}/m/")
    assert answer.headers["x-medialink-links"] == "replaced=1, kept=0, imported=0, foreign=0"
    (entry,) = kept(house)
    assert entry.id == answer.headers["x-medialink-id"] == message["biz_opaque_callback_data"]
    (medium,) = entry.media
    assert (medium.key, medium.link, entry.provider_message_id) == ("open/a.jpg", message["image"]["link"], wamid)
    assert (entry.type, entry.outcome, entry.status, entry.recipient_last4) == (
        "image",
        "accepted",
        "delivered",
        "4567",
    )


@pytest.mark.parametrize("path", PATHS)
def test_each_path_of_either_provider_is_taken_with_the_callers_own_key(
    build: Build, light_jpeg: bytes, path: str
) -> None:
    house = build(waba_key="caller", gateway_keys=OWN_KEY, alias_prefixes="open/")
    house.put("open/a.jpg", light_jpeg)
    key = {"D360-API-KEY": API_KEY} if path == PATHS[0] else {"Authorization": f"Bearer {API_KEY}"}
    answer = house.web.post(path, json=image(alias(house)), headers=key)
    assert answer.status_code == 200, answer.text
    assert posted(house)[0]["image"]["link"].startswith(f"{house.url}/m/")


@pytest.mark.parametrize("path", PATHS)
def test_each_path_of_either_provider_is_taken_with_the_key_of_the_house(
    build: Build, light_jpeg: bytes, path: str
) -> None:
    house = build(waba_key="house", alias_prefixes="open/")
    house.put("open/a.jpg", light_jpeg)
    answer = post(house, image(alias(house)), path)
    assert answer.status_code == 200, answer.text
    assert posted(house)[0]["image"]["link"].startswith(f"{house.url}/m/")


def carousel(link: str) -> dict[str, Any]:
    card = {"components": [{"type": "header", "parameters": [{"type": "image", "image": {"link": link}}]}]}
    components = [
        {"type": "header", "parameters": [{"type": "document", "document": {"link": FOREIGN, "filename": "a.pdf"}}]},
        {"type": "carousel", "cards": [card, card]},
    ]
    return {
        "messaging_product": "whatsapp",
        "to": NUMBER,
        "type": "template",
        "template": {"name": "offer", "language": {"code": "de"}, "components": components},
    }


def test_the_cards_of_a_template_are_replaced_and_a_foreign_header_passes_with_a_warning(
    house: "House", light_jpeg: bytes
) -> None:
    house.put("open/a.jpg", light_jpeg)
    answer = post(house, carousel(alias(house)))
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-medialink-links"] == "replaced=2, kept=0, imported=0, foreign=1"
    assert answer.headers["x-medialink-warning"] == "foreign_link"
    header, cards = posted(house)[0]["template"]["components"]
    assert header["parameters"][0]["document"]["link"] == FOREIGN
    links = {card["components"][0]["parameters"][0]["image"]["link"] for card in cards["cards"]}
    assert len(links) == 1
    assert links.pop().startswith(f"{house.url}/m/")


def test_an_interactive_message_gets_links_in_its_cards_and_not_in_its_buttons(
    house: "House", light_jpeg: bytes
) -> None:
    house.put("open/a.jpg", light_jpeg)
    button = {"name": "cta_url", "parameters": {"display_text": "Buy", "url": alias(house)}}
    card = {"type": "cta_url", "header": {"type": "image", "image": {"link": alias(house)}}, "action": button}
    answer = post(
        house,
        {
            "messaging_product": "whatsapp",
            "to": NUMBER,
            "type": "interactive",
            "interactive": {"type": "carousel", "body": {"text": "b"}, "action": {"cards": [card, card]}},
        },
    )
    assert answer.status_code == 200, answer.text
    told = house.story(answer.json()["messages"][0]["id"])
    assert told["statuses"][-1]["status"] == "delivered"
    for sent in told["posted"]["interactive"]["action"]["cards"]:
        assert sent["header"]["image"]["link"].startswith(f"{house.url}/m/")
        assert sent["action"] == button


def test_no_byte_changes_but_those_of_the_link_and_our_mark(
    build: Build, elsewhere: Elsewhere, light_jpeg: bytes
) -> None:
    house = build(provider_url=elsewhere.url, waba_key="house", alias_prefixes="open/")
    house.put("open/a.jpg", light_jpeg)
    link = alias(house).replace("/", "\\/")
    body = (
        '\n{ "to":"491701234567" ,\t"type":"image","unknown":[1.10,1e5,null],'
        '"image": {"caption":"\\u00e4ö\\ud83d\\ude00",'
        f'"link" :"{link}" }}, "zz":{{"b":1,"a":2}} }}\r\n'
    ).encode()
    assert post(house, body).status_code == 200
    (sent,) = elsewhere.bodies
    ours = json.loads(sent)["image"]["link"]
    assert ours.startswith(f"{house.url}/m/")
    mark = f'"biz_opaque_callback_data":"{kept(house)[0].id}",'.encode()
    assert sent == body.replace(link.encode(), ours.encode()).replace(b"{", b"{" + mark, 1)
    assert elsewhere.asked[0].headers["content-length"] == str(len(sent))


def test_what_needs_no_change_goes_out_byte_for_byte(build: Build, elsewhere: Elsewhere) -> None:
    house = build(provider_url=elsewhere.url, waba_key="house")
    bodies = [
        b'{"messaging_product":"whatsapp" ,"to":"1","type":"text","text":{"body":"https://a.example/\\u00e4"}}',
        b'{"messaging_product":"whatsapp","status":"read","message_id":"wamid.X"}',
        b'{"to":"491701234567","type":"image","image":{"id":"17"},"biz_opaque_callback_data":"mine"}',
    ]
    for body in bodies:
        assert post(house, body).status_code == 200
    assert elsewhere.bodies == bodies
    known = {entry.type: [(medium.kind, medium.link) for medium in entry.media] for entry in kept(house)}
    assert known == {"text": [], "image": [("image", None)]}, "a mark as read goes to nobody"


def test_a_link_of_ours_is_verified_and_left(house: "House", light_jpeg: bytes) -> None:
    house.put("a.jpg", light_jpeg)
    link = house.link("a.jpg")
    answer = post(house, image(link))
    assert answer.headers["x-medialink-links"] == "replaced=0, kept=1, imported=0, foreign=0"
    assert posted(house)[0]["image"]["link"] == link
    refused(post(house, image(link + "x")), 400, 100, "none of our keys made it")
    refused(post(house, image(house.link("a.jpg", kind="document"))), 400, 100, "was made for document")
    assert len(posted(house)) == 1


def test_an_address_of_the_bucket_is_replaced(
    build: Build,
    light_jpeg: bytes,
    server_url: str,
    new_bucket: Callable[..., str],
    client_of: Callable[[str], Any],
) -> None:
    bucket = new_bucket(server_url)
    house = build(
        store=f"s3://{bucket}/some/prefix",
        s3_endpoint_url=server_url,
        s3_region="us-east-1",
        s3_access_key_id=ACCESS_KEY,
        s3_secret_access_key=SECRET_KEY,
        waba_key="house",
    )
    house.put("folder/ä (1)+b.jpg", light_jpeg)
    named = {"Bucket": bucket, "Key": "some/prefix/folder/ä (1)+b.jpg"}
    link = client_of(server_url).generate_presigned_url("get_object", Params=named)
    for address in (link, link.partition("?")[0], f"s3://{bucket}/some/prefix/folder/ä (1)+b.jpg"):
        answer = post(house, image(address))
        assert answer.headers["x-medialink-links"] == "replaced=1, kept=0, imported=0, foreign=0", answer.text
        assert house.story(answer.json()["messages"][0]["id"])["statuses"][-1]["status"] == "delivered"
    refused(post(house, image(link.replace("%2Bb", "%2Bc"))), 400, 131053, "image: There is no such object")


@pytest.mark.parametrize(
    ("headers", "path"),
    [
        pytest.param({}, "/waba/messages", id="no key"),
        pytest.param({"D360-API-KEY": "wrong"}, "/waba/messages", id="a wrong key"),
        pytest.param({"Authorization": "Bearer wrong"}, "/waba/v25.0/1/messages", id="a wrong token"),
        pytest.param(
            {"Authorization": "Bearer wrong", "D360-API-KEY": TOKEN}, "/waba/messages", id="a wrong one first"
        ),
        pytest.param({"D360-API-KEY": "wrong"}, "/waba/media", id="another path"),
    ],
)
def test_nobody_gets_in_without_a_key_and_nothing_is_looked_at(
    build: Build, elsewhere: Elsewhere, headers: dict[str, str], path: str
) -> None:
    house = build(provider_url=elsewhere.url, waba_key="house", store="s3://no-such-bucket-anywhere-here")
    answer = house.web.post(path, content=b"not even JSON", headers=headers)
    refused(answer, 401, 190, "gateway key")
    assert elsewhere.bodies == []


def test_a_caller_may_be_limited_to_prefixes(build: Build, light_jpeg: bytes) -> None:
    limited = f"{hashlib.sha256(TOKEN.encode()).hexdigest()}=open/mine/"
    house = build(waba_key="house", alias_prefixes="open/", gateway_keys=f"{limited},{OWN_KEY}")
    for key in ("open/mine/a.jpg", "open/theirs/a.jpg"):
        house.put(key, light_jpeg)
    assert post(house, image(alias(house, "open/mine/a.jpg"))).status_code == 200
    refused(post(house, image(alias(house, "open/theirs/a.jpg"))), 403, 131005, "image: This gateway key may not use")
    refused(post(house, image(alias(house, "open/theirs/none.jpg"))), 403, 131005, "image: This gateway key")
    theirs = {"D360-API-KEY": API_KEY}
    link = house.web.post("/links", json={"kind": "image", "key": "open/theirs/a.jpg"}, headers=theirs).json()["link"]
    refused(post(house, image(link)), 403, 131005, "image: This gateway key")
    assert house.web.post("/waba/messages", json=image(link), headers=theirs).status_code == 200
    assert len(posted(house)) == 2


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        pytest.param({"type": "image", "image": {}}, 100, "image.link: give either", id="neither id nor link"),
        pytest.param({"type": "image", "image": {"id": "1", "link": FOREIGN}}, 100, "not both", id="both"),
        pytest.param({"type": "audio", "audio": {"link": FOREIGN, "caption": "c"}}, 100, "audio.caption", id="caption"),
        pytest.param({"type": "image", "image": {"link": "s3://other/a.jpg"}}, 100, "http and https only", id="s3"),
        pytest.param(b"to=49170&type=image", 100, "not JSON", id="a form"),
        pytest.param(b'{"to":NaN}', 100, "not JSON", id="NaN"),
        pytest.param(b"[]", 100, "a JSON object", id="a list"),
    ],
)
def test_what_the_provider_would_refuse_is_refused_in_its_shape(
    house: "House", body: Any, code: int, says: str
) -> None:
    refused(post(house, body), 400, code, says)
    assert (posted(house), kept(house)) == ([], ())


def test_a_medium_that_whatsapp_would_refuse_is_refused_with_its_place(house: "House") -> None:
    house.put("open/a.jpg", b"<html>no picture</html>")
    refused(post(house, carousel(alias(house))), 400, 131053, ".cards[0].components[0].parameters[0].image: The bytes")
    assert (posted(house), kept(house)) == ([], ())


def test_foreign_links_may_be_refused(build: Build) -> None:
    house = build(waba_key="house", foreign_links="refuse")
    refused(post(house, image(FOREIGN)), 400, 100, "FOREIGN_LINKS")
    assert posted(house) == []


def test_a_body_that_is_too_long_is_not_read(house: "House") -> None:
    refused(post(house, b'{"a":"' + b"x" * 262_144), 413, 100, "262144 bytes")


def test_an_alias_of_a_webp_becomes_its_jpeg(house: "House") -> None:
    house.put("open/a.webp", picture(64, 64, form="WEBP"))
    answer = post(house, image(alias(house, "open/a.webp.jpg")))
    assert posted(house)[0]["image"]["link"].endswith("/a.jpg"), answer.text


def test_who_waits_too_long_is_told_to_come_again_and_the_work_goes_on(build: Build, heavy_jpeg: bytes) -> None:
    house = build(waba_key="house", alias_prefixes="open/", gateway_wait_s=0.3)
    before = made(house)
    house.put("open/a.jpg", heavy_jpeg)
    answer = post(house, image(alias(house)))
    refused(answer, 503, 131016, "being prepared")
    assert answer.headers["retry-after"] == "5"
    assert (posted(house), kept(house)) == ([], ())
    while answer.status_code == 503:
        answer = post(house, image(alias(house)))
    assert answer.status_code == 200
    assert made(house) == before + 1


def test_who_hangs_up_gets_nothing_posted(build: Build, heavy_jpeg: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    house = build(waba_key="house", alias_prefixes="open/")
    house.put("open/a.jpg", heavy_jpeg)
    body = json.dumps(image(alias(house))).encode()
    url = urlsplit(house.url)
    with socket.create_connection((str(url.hostname), int(url.port or 0)), timeout=20) as caller:
        head = (
            f"POST /waba/messages HTTP/1.1\r\nHost: a\r\nD360-API-KEY: {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        caller.sendall(head.encode() + body)
        drafts = house.settings.data_dir / "cache" / "drafts"
        while not any(drafts.iterdir()):
            assert house.web.get("/healthz").status_code == 200
    told = ""
    while "gateway.hung_up" not in told and "message.passed_on" not in told:
        assert house.web.get("/healthz").status_code == 200
        told += capsys.readouterr().out
    assert (posted(house), kept(house)) == ([], ())


@pytest.mark.parametrize(
    ("behaviour", "status", "outcome"),
    [
        pytest.param("throttle", 400, "refused", id="throttled"),
        pytest.param("html", 503, "uncertain", id="a page"),
        pytest.param("fail_after", 500, "uncertain", id="failed after it was taken"),
        pytest.param("no_id", 200, "uncertain", id="no id"),
    ],
)
def test_an_answer_comes_back_as_it_is_and_nothing_is_sent_twice(
    house: "House", light_jpeg: bytes, behaviour: str, status: int, outcome: str
) -> None:
    house.put("open/a.jpg", light_jpeg)
    house.whatsapp.put("/sandbox/behaviour", json={"behaviour": behaviour, "times": 1})
    plain = house.whatsapp.post("/messages", json=image(FOREIGN), headers={"D360-API-KEY": API_KEY})
    house.whatsapp.put("/sandbox/behaviour", json={"behaviour": behaviour, "times": 1})
    answer = post(house, image(alias(house)))
    assert (answer.status_code, answer.headers["content-type"]) == (status, plain.headers["content-type"])
    assert answer.content == plain.content
    assert "x-medialink-id" in answer.headers
    assert [entry.id for entry in kept(house)] == [answer.headers["x-medialink-id"]]
    if behaviour in {"throttle", "html"}:
        assert kept(house)[0].outcome == outcome
        assert posted(house) == []


def test_a_lost_answer_is_not_invited_again_and_a_webhook_finds_its_message(house: "House", light_jpeg: bytes) -> None:
    house.put("open/a.jpg", light_jpeg)
    house.whatsapp.put("/sandbox/behaviour", json={"behaviour": "lost", "times": 1})
    answer = post(house, image(alias(house)))
    refused(answer, 504, 131000, "do not ask again by itself")
    (message,) = house.whatsapp.get("/sandbox/messages", params={"wait": "20"}).json()
    (entry,) = kept(house)
    assert (entry.id, entry.provider_message_id) == (answer.headers["x-medialink-id"], message["id"])
    assert (entry.outcome, entry.status) == ("accepted", "delivered")


def test_a_provider_that_is_away_was_told_nothing(build: Build) -> None:
    house = build(provider_url="http://127.0.0.1:9", waba_key="house")
    answer = post(house, image(FOREIGN))
    refused(answer, 503, 131016, "told nothing")
    assert (answer.headers["retry-after"], kept(house)[0].outcome) == ("30", "not_sent")
    refused(house.api.get("/waba/media/17"), 503, 131016, "told nothing")


def test_a_ledger_that_is_away_lets_nothing_out_and_one_that_fails_later_invites_no_second_post(
    house: "House", monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise LedgerAway

    monkeypatch.setattr(Ledger, "finish", away)
    assert post(house, image(FOREIGN)).status_code == 200
    monkeypatch.setattr(Ledger, "begin", away)
    refused(post(house, image(FOREIGN)), 503, 131016, "ledger")
    assert len(posted(house)) == 1


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_all_else_passes_unchanged_both_ways(build: Build, elsewhere: Elsewhere, method: str) -> None:
    house = build(provider_url=elsewhere.url, waba_key="house")
    packed = gzip.compress(b"what the provider says")
    elsewhere.answer = Response(packed, 418, {"Content-Encoding": "gzip", "X-Of-Theirs": "a", "Connection": "X-Gone"})
    elsewhere.answer.headers["X-Gone"] = "b"
    body = b"" if method in {"GET", "OPTIONS"} else bytes(range(256)) * 1000
    with httpx2.Client(trust_env=False, verify=NO_TLS) as caller:
        answer = caller.request(
            method,
            httpx2.URL(house.url).copy_with(raw_path=b"/waba/v25.0/1/media'(%C3%A4%2B)/?a=%2F&b='c'&a"),
            content=body or None,
            headers={
                "D360-API-KEY": TOKEN,
                "X-Of-Ours": "1",
                "Connection": "X-Hop",
                "X-Hop": "2",
                "X-Forwarded-For": "10.0.0.1",
                "Expect": "",
            },
        )
    assert (answer.status_code, answer.headers["x-of-theirs"], answer.content) == (418, "a", b"what the provider says")
    assert "x-gone" not in answer.headers
    (asked,) = elsewhere.asked
    assert (asked.method, elsewhere.bodies) == (method, [body])
    assert asked.scope["raw_path"] + b"?" + asked.scope["query_string"] == (
        b"/v25.0/1/media'(%C3%A4%2B)/?a=%2F&b='c'&a"
    )
    assert asked.headers["x-of-ours"] == "1"
    assert asked.headers["host"] == urlsplit(elsewhere.url).netloc
    assert asked.headers["authorization"] == f"Bearer {API_KEY}"
    assert not {"d360-api-key", "x-hop", "x-forwarded-for", "expect"} & set(asked.headers)


def test_the_house_shows_its_key_to_the_provider_and_never_the_callers(build: Build, elsewhere: Elsewhere) -> None:
    house = build(provider_url=elsewhere.url, waba_key="house")
    for headers in ({"D360-API-KEY": TOKEN}, {"Authorization": f"Bearer {TOKEN}", "D360-API-KEY": "x"}):
        house.web.get("/waba/templates", headers=headers)
    for asked in elsewhere.asked:
        assert asked.headers.getlist("d360-api-key") == [API_KEY]
        assert "authorization" not in asked.headers


def test_a_caller_with_prefixes_sends_through_the_houses_account_and_does_nothing_else_there(
    build: Build, elsewhere: Elsewhere
) -> None:
    limited = f"{hashlib.sha256(TOKEN.encode()).hexdigest()}=trips/"
    house = build(provider_url=elsewhere.url, waba_key="house", gateway_keys=limited)
    hook = {"url": "https://elsewhere.example/"}
    refused(post(house, hook, "/waba/v1/configs/webhook"), 403, 131005, "limited to prefixes")
    refused(house.api.get("/waba/1234567890"), 403, 131005, "limited to prefixes")
    refused(house.api.get("/waba/messages"), 403, 131005, "limited to prefixes")
    assert elsewhere.asked == []
    assert post(house, image(FOREIGN)).status_code == 200
    assert len(elsewhere.asked) == 1


def test_a_caller_with_prefixes_has_all_of_its_own_account(build: Build, elsewhere: Elsewhere) -> None:
    limited = f"{hashlib.sha256(TOKEN.encode()).hexdigest()}=trips/"
    house = build(provider_url=elsewhere.url, waba_key="caller", gateway_keys=limited)
    assert house.api.get("/waba/1234567890").status_code == 200
    assert len(elsewhere.asked) == 1


@pytest.mark.parametrize("foreign_links", ["pass", "refuse"])
@pytest.mark.parametrize("odd", [r"\ud800", r"\u0000"])
def test_what_no_ledger_can_hold_is_refused_in_the_providers_shape(build: Build, odd: str, foreign_links: str) -> None:
    house = build(waba_key="house", foreign_links=foreign_links)
    link = f'{{"to":"{NUMBER}","type":"image","image":{{"link":"https://e.example/{odd}"}}}}'
    refused(post(house, link.encode()), 400, 100, "image.link: must hold no NUL")
    name = f'{{"to":"{NUMBER}","x{odd}":{{"type":"image","image":{{"link":"ftp://e.example/a"}}}}}}'
    refused(post(house, name.encode()), 400, 100, "x?.image: link: names no object")


def test_a_callers_own_key_goes_along_and_no_other_beside_it(build: Build, elsewhere: Elsewhere) -> None:
    house = build(provider_url=elsewhere.url, waba_key="caller")
    house.web.get("/waba/templates", headers=[("D360-API-KEY", TOKEN), ("D360-API-KEY", "other")])
    house.web.get("/waba/templates", headers={"Authorization": f"Bearer {TOKEN}", "D360-API-KEY": "other"})
    first, second = elsewhere.asked
    assert first.headers.getlist("d360-api-key") == [TOKEN]
    assert second.headers.getlist("authorization") == [f"Bearer {TOKEN}"]
    assert "d360-api-key" not in second.headers


@pytest.mark.parametrize(
    "raw_path",
    [
        pytest.param(b"/waba/../links", id="up"),
        pytest.param(b"/waba/%2e%2e/links", id="up, escaped"),
        pytest.param(b"/waba/a/%2E/b", id="a dot"),
        pytest.param(b"/waba//example.com/a", id="another host"),
        pytest.param(b"/waba/a%2f..%2fb", id="a hidden slash"),
        pytest.param(b"/waba/a%5cb", id="a hidden backslash"),
        pytest.param(b"/waba/a%0d%0ab", id="a line break"),
        pytest.param(b"/waba/%ff", id="not UTF-8"),
        pytest.param(b"/waba/", id="nothing"),
        pytest.param(b"/%77aba/messages", id="an escaped prefix"),
    ],
)
def test_a_path_that_climbs_or_can_be_read_in_two_ways_goes_nowhere(
    build: Build, elsewhere: Elsewhere, raw_path: bytes
) -> None:
    house = build(provider_url=elsewhere.url + "/base", waba_key="house")
    url = urlsplit(house.url)
    with socket.create_connection((str(url.hostname), int(url.port or 0)), timeout=20) as caller:
        caller.sendall(
            b"GET " + raw_path + f" HTTP/1.1\r\nHost: a\r\nConnection: close\r\nD360-API-KEY: {TOKEN}\r\n\r\n".encode()
        )
        answer = b"".join(iter(lambda: caller.recv(65536), b""))
    assert b" 404 " in answer.partition(b"\r\n")[0]
    assert elsewhere.asked == []
    house.api.get("/waba/a/b")
    assert elsewhere.asked[0].scope["path"] == "/base/a/b"


def test_what_gives_a_key_back_to_who_must_not_see_it_is_not_passed(build: Build, elsewhere: Elsewhere) -> None:
    house = build(provider_url=elsewhere.url, waba_key="house")
    answer = house.api.request("TRACE", "/waba/messages")
    refused(answer, 405, 100, "GET")
    assert "TRACE" not in answer.headers["allow"]
    assert elsewhere.asked == []


def test_a_redirect_is_passed_on_and_not_followed(build: Build, elsewhere: Elsewhere) -> None:
    house = build(provider_url=elsewhere.url, waba_key="house")
    elsewhere.answer = Response(status_code=302, headers={"Location": "http://127.0.0.1:9/inside"})
    answer = house.api.get("/waba/media/17")
    assert (answer.status_code, answer.headers["location"]) == (302, "http://127.0.0.1:9/inside")


def test_cookies_of_one_caller_are_not_anothers(build: Build, elsewhere: Elsewhere) -> None:
    house = build(provider_url=elsewhere.url, waba_key="house")
    elsewhere.answer = Response(b"", headers={"Set-Cookie": "session=theirs"})
    assert house.api.get("/waba/a").headers["set-cookie"] == "session=theirs"
    house.web.get("/waba/a", headers={"D360-API-KEY": TOKEN})
    assert "cookie" not in elsewhere.asked[1].headers


def test_an_upload_and_a_download_stream_through(build: Build, elsewhere: Elsewhere) -> None:
    house = build(provider_url=elsewhere.url, waba_key="house")
    big = bytes(1 << 20)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield big

    elsewhere.answer = StreamingResponse(pieces(), media_type="video/mp4")
    answer = house.api.post("/waba/media", content=iter([big] * 20))
    assert (len(answer.content), answer.headers["content-type"]) == (20 << 20, "video/mp4")
    assert [len(body) for body in elsewhere.bodies] == [20 << 20]
    assert "x-medialink-id" not in answer.headers


def test_more_than_is_passed_on_is_refused_before_it_comes(build: Build, elsewhere: Elsewhere) -> None:
    house = build(provider_url=elsewhere.url, waba_key="house")
    url = urlsplit(house.url)
    with socket.create_connection((str(url.hostname), int(url.port or 0)), timeout=20) as caller:
        head = f"POST /waba/media HTTP/1.1\r\nHost: a\r\nD360-API-KEY: {TOKEN}\r\nContent-Length: 200000000\r\n\r\n"
        caller.sendall(head.encode())
        assert b" 413 " in caller.recv(65536)
    assert elsewhere.asked == []


def test_an_answer_that_breaks_off_does_not_pass_for_a_whole(build: Build) -> None:
    with socket.create_server(("127.0.0.1", 0)) as breaking:
        house = build(provider_url=f"http://127.0.0.1:{breaking.getsockname()[1]}", waba_key="house")

        def answer_half() -> None:
            connection, _ = breaking.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

        thread = threading.Thread(target=answer_half)
        thread.start()
        with pytest.raises(httpx2.RemoteProtocolError):
            house.api.get("/waba/media/17")
        thread.join()


@pytest.mark.parametrize("bound", ["PASS_STALL_S", "PASS_TOTAL_S"])
def test_a_provider_that_does_not_answer_is_not_waited_for(
    build: Build, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(f"proxy.messaging.upstream.{bound}", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        house = build(provider_url=f"http://127.0.0.1:{silent.getsockname()[1]}", waba_key="house")
        refused(house.api.get("/waba/media/17"), 504, 131000, "may have done")


def test_an_answer_that_drips_is_ended(build: Build, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    async def drips() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.05)

    monkeypatch.setattr("proxy.messaging.upstream.PASS_TOTAL_S", 1.0)
    house = build(provider_url=elsewhere.url, waba_key="house")
    elsewhere.answer = StreamingResponse(drips())
    with pytest.raises(httpx2.RemoteProtocolError):
        house.api.get("/waba/media/17")


def test_a_provider_that_is_slow_to_take_a_message_is_not_asked_again(build: Build) -> None:
    house = build(waba_key="house", provider_timeout_s=0.3)
    house.whatsapp.put("/sandbox/behaviour", json={"behaviour": "slow", "times": 1, "seconds": 20})
    refused(post(house, image(FOREIGN)), 504, 131000, "do not ask again by itself")
    assert len(posted(house)) == 1


def test_who_asks_for_a_head_gets_no_body(build: Build, elsewhere: Elsewhere) -> None:
    house = build(provider_url=elsewhere.url, waba_key="house")
    answer = house.api.head("/waba/media/17")
    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "11", b"")
    assert elsewhere.asked[0].method == "HEAD"


def test_no_proxy_is_taken_from_the_environment(
    build: Build, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert build(provider_url=elsewhere.url, waba_key="house").api.get("/waba/a").status_code == 200


def test_without_its_setting_there_is_no_gateway(build: Build) -> None:
    assert build().api.post("/waba/messages", json=image(FOREIGN)).status_code == 404
