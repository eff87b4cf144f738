"""The three journeys, end to end over real sockets."""

import asyncio
import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import structlog
from PIL import Image

from proxy.delivery.links import Link, Links, Sharing
from proxy.delivery.renditions import Origin, Renditions
from proxy.errors import LedgerAway, StoreAway
from proxy.media.kinds import Kind
from proxy.messaging.entries import LedgerMessage
from proxy.messaging.ledger import Ledger
from proxy.messaging_doors import build_ledger
from proxy.storage.folder import FolderStore
from proxy.storage.store import Source
from proxy.telemetry import configure_logging
from tests.conftest import NO_TLS
from tests.s3_servers import ACCESS_KEY, SECRET_KEY

if TYPE_CHECKING:
    from tests.conftest import House

Build = Callable[..., "House"]


def test_a_heavy_photograph_is_delivered(house: "House", heavy_jpeg: bytes) -> None:
    house.put("trips/lake 1.jpg", heavy_jpeg)
    sent = house.send(key="trips/lake 1.jpg", caption="Hello")
    assert sent.status_code == 202, sent.text
    verdict = sent.json()["verdict"]
    assert verdict["outcome"] == "made"
    assert verdict["source_size_bytes"] == len(heavy_jpeg) > 1_000_000 >= verdict["size_bytes"]
    story = house.story(sent.json()["provider_message_id"])
    assert [status["status"] for status in story["statuses"]] == ["sent", "delivered"]
    assert [status["webhook"]["answer"] for status in story["statuses"]] == [200, 200]
    assert story["posted"]["image"] == {"link": sent.json()["link"], "caption": "Hello"}
    assert story["posted"]["to"] == "491701234567"
    (seen,) = house.fetches()
    assert (seen["link"], seen["count"]) == (sent.json()["link"], 1)
    assert seen["fetches"][0]["size"] == verdict["size_bytes"]


@pytest.mark.parametrize("server", ["moto", "seaweedfs"])
@pytest.mark.parametrize("versioned", [False, True], ids=["unversioned", "versioned"])
def test_the_main_job_is_done_from_s3(  # noqa: PLR0913 - a house, a server, a bucket, and what lies in it
    build: Build,
    new_bucket: Callable[..., str],
    request: pytest.FixtureRequest,
    heavy_jpeg: bytes,
    server: str,
    *,
    versioned: bool,
) -> None:
    endpoint = request.getfixturevalue(f"{server}_url")
    house = build(
        store=f"s3://{new_bucket(endpoint, versioned=versioned)}/some/prefix",
        s3_endpoint_url=endpoint,
        s3_region="us-east-1",
        s3_access_key_id=ACCESS_KEY,
        s3_secret_access_key=SECRET_KEY,
    )
    house.put("trips/Über 100%.jpg", heavy_jpeg)
    sent = house.send(key="trips/Über 100%.jpg")
    assert sent.status_code == 202, sent.text
    assert house.story(sent.json()["provider_message_id"])["statuses"][-1]["status"] == "delivered"
    house.put("trips/Über 100%.jpg", heavy_jpeg + b"another")
    assert house.web.get(sent.json()["link"]).headers["cache-status"] == "medialink; hit"
    assert house.link("trips/Über 100%.jpg") != sent.json()["link"]
    assert house.web.get("/readyz").json()["store"] == "ok"


def test_a_light_photograph_goes_out_byte_for_byte(house: "House", light_jpeg: bytes) -> None:
    house.put("a.jpg", light_jpeg)
    answer = house.web.get(house.link("a.jpg"))
    assert answer.content == light_jpeg
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "public, max-age=31536000"


def test_a_document_is_delivered_as_it_is(house: "House") -> None:
    pdf = b"%PDF-1.7\n" + b"x" * 2000 + b"\n%%EOF"
    house.put("bills/Rechnung März.pdf", pdf)
    sent = house.send(kind="document", key="bills/Rechnung März.pdf", filename="Rechnung.pdf")
    story = house.story(sent.json()["provider_message_id"])
    assert story["statuses"][-1]["status"] == "delivered"
    answer = house.web.get(sent.json()["link"])
    assert answer.content == pdf
    assert answer.headers["content-type"] == "application/pdf"
    assert "filename*=UTF-8''Rechnung%20M%C3%A4rz.pdf" in answer.headers["content-disposition"]
    assert sent.json()["link"].endswith("/Rechnung-Marz.pdf")


def test_a_link_changes_with_its_content_and_only_then(house: "House", light_jpeg: bytes, heavy_jpeg: bytes) -> None:
    house.put("a.jpg", light_jpeg)
    first = house.link("a.jpg")
    house.put("a.jpg", light_jpeg)
    assert house.link("a.jpg") == first
    house.put("a.jpg", heavy_jpeg)
    assert house.link("a.jpg") != first


def test_a_cached_rendition_outlives_its_source_and_a_lost_one_is_gone(
    build: Build, light_jpeg: bytes, heavy_jpeg: bytes
) -> None:
    first, second = build(), build()
    first.put("a.jpg", light_jpeg)
    link = first.link("a.jpg").removeprefix(first.url)
    first.put("a.jpg", heavy_jpeg)
    assert first.web.get(link).content == light_jpeg
    gone = second.web.get(link)
    assert gone.status_code == 410
    assert gone.json()["error"]["code"] == "source_replaced"
    assert gone.headers["cache-control"] == "no-store"


def test_another_host_finds_the_rendition_in_the_store(build: Build, heavy_jpeg: bytes) -> None:
    first, second = build(), build()
    first.put("a.jpg", heavy_jpeg)
    link = first.link("a.jpg").removeprefix(first.url)
    made = first.web.get(link)
    first.put("a.jpg", b"replaced meanwhile")
    found = second.web.get(link)
    assert (found.content, found.headers["etag"]) == (made.content, made.headers["etag"])
    assert found.headers["cache-status"] == "medialink; fwd=miss; stored; detail=rendition"
    assert second.web.get(link).headers["cache-status"] == "medialink; hit"


@pytest.mark.parametrize("key", ["open/a.jpg", "open/a.pdf"])
def test_a_cold_alias_is_no_hit(build: Build, heavy_jpeg: bytes, key: str) -> None:
    house = build(alias_prefixes="open/")
    house.put(key, heavy_jpeg if key.endswith("jpg") else b"%PDF-1.7\n")
    path = f"/{'image' if key.endswith('jpg') else 'document'}/{key}"
    told = [house.web.get(path).headers["cache-status"] for _ in range(2)]
    assert told == ["medialink; fwd=miss; stored; detail=source", "medialink; hit"]


def test_after_a_restart_everything_is_still_there(build: Build, tmp_path: Path, heavy_jpeg: bytes) -> None:
    first = build(data_dir=tmp_path / "same")
    first.put("a.jpg", heavy_jpeg)
    link = first.link("a.jpg").removeprefix(first.url)
    second = build(data_dir=tmp_path / "same")
    assert second.web.get(link).headers["cache-status"] == "medialink; hit"


def test_a_made_rendition_is_upright_and_says_nothing_of_its_maker(house: "House") -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Camera of the test"
    drawn = Image.new("RGB", (3000, 1500), "red")
    drawn.paste("blue", (0, 0, 1500, 1500))
    out = io.BytesIO()
    drawn.save(out, "JPEG", exif=exif)
    house.put("a.jpg", out.getvalue())
    got = Image.open(io.BytesIO(house.web.get(house.link("a.jpg")).content))
    assert got.size == (1280, 2560)
    assert not got.getexif()
    top, bottom = got.getpixel((400, 200)), got.getpixel((400, 2300))
    assert isinstance(top, tuple)
    assert isinstance(bottom, tuple)
    assert top[2] > 200 > top[0]
    assert bottom[0] > 200 > bottom[2]


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        pytest.param(b"GIF89a\x20\x00\x20\x00" + b"\xff" * 100, "image", "undecodable", id="broken-gif"),
        pytest.param(b"%PDF-1.7 x", "image", "type_refused", id="pdf-as-image"),
        pytest.param(b"<!doctype html><title>x</title>", "document", "type_refused", id="html"),
        pytest.param(b"\x7fELF" + bytes(100), "document", "type_refused", id="executable"),
        pytest.param(b"", "image", "undecodable", id="empty"),
        pytest.param(b"%PDF-1.7 x", "audio", "type_refused", id="pdf-as-audio"),
    ],
)
def test_what_whatsapp_would_refuse_is_refused_before_anything_is_posted(
    house: "House", body: bytes, kind: str, code: str
) -> None:
    house.put("a.bin", body)
    answer = house.send(kind=kind, key="a.bin")
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == code
    assert house.whatsapp.get("/sandbox/messages").json() == []


def test_a_bomb_is_refused_with_its_limit_and_nobody_else_notices(house: "House", light_jpeg: bytes) -> None:
    out = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(out, "PNG")
    house.put("bomb.png", out.getvalue())
    house.put("a.jpg", light_jpeg)
    answer = house.send(key="bomb.png")
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["code"], error["limit_pixels"]) == ("too_many_pixels", 100_000_000)
    assert house.web.get(house.link("a.jpg")).status_code == 200


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"key": "a.jpg", "to": "0170 1234"}, "to"),
        ({"key": "a.jpg", "to": "not a number"}, "to"),
        ({"key": "../a.jpg"}, "key"),
        ({"key": ".medialink/renditions/x"}, "key"),
        ({"key": "a.jpg", "link": "https://x.example/a.jpg"}, "body"),
        ({}, "body"),
        ({"key": "a.jpg", "kind": "film"}, "kind"),
        ({"key": "a.jpg", "caption": "x" * 1025}, "caption"),
        ({"key": "a.jpg", "filename": "a.jpg"}, "filename"),
        ({"key": "a.jpg", "kind": "audio", "caption": "x"}, "caption"),
        ({"key": "a.jpg", "colour": "red"}, "colour"),
        ({"link": "ftp://x.example/a.jpg"}, "link"),
    ],
)
def test_a_wrong_wish_names_its_field(house: "House", wish: dict[str, object], field: str) -> None:
    answer = house.send(**wish)
    assert answer.status_code == 400
    assert answer.json()["error"]["field"] == field


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 10_000])
def test_what_is_no_json_object_is_malformed(house: "House", body: bytes) -> None:
    answer = house.api.post("/messages", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed")


def test_a_body_that_is_too_long_is_not_read(house: "House") -> None:
    answer = house.api.post("/messages", content=b"x" * 70_000)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def test_an_unknown_key_is_not_found(house: "House") -> None:
    assert house.send(key="nothing.jpg").status_code == 404


@pytest.mark.parametrize("path", ["/messages", "/links"])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"D360-API-KEY": "wrong"}])
def test_nobody_sends_without_a_key(house: "House", path: str, headers: dict[str, str]) -> None:
    answer = house.web.post(path, content=b"not even json", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")


def test_a_key_may_come_as_360dialogs(house: "House", light_jpeg: bytes) -> None:
    house.put("a.jpg", light_jpeg)
    headers = {"D360-API-KEY": house.api.headers["authorization"].split()[1]}
    assert house.web.post("/links", json={"kind": "image", "key": "a.jpg"}, headers=headers).status_code == 201


def test_a_caller_may_be_limited_to_prefixes(build: Build, light_jpeg: bytes) -> None:
    house = build()
    limited = build(gateway_keys=f"{hashlib.sha256(b'gateway-token-of-the-test').hexdigest()}=bills/;photos/")
    limited.put("photos/a.jpg", light_jpeg)
    limited.put("secret/a.jpg", light_jpeg)
    assert limited.send(key="photos/a.jpg").status_code == 202
    refused = limited.send(key="secret/a.jpg")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "key_not_allowed")
    foreign_link = house.link("secret/a.jpg").replace(house.url, limited.url)
    assert limited.send(link=foreign_link).status_code == 403


def test_forged_and_unknown_links_are_alike(house: "House", light_jpeg: bytes) -> None:
    house.put("a.jpg", light_jpeg)
    link = house.link("a.jpg")
    forged = [
        link[:-5] + "x" + link[-4:],
        link.replace("/m/", "/m/x", 1),
        link + "x",
        link.replace("a.jpg", "%61.jpg"),
        house.url + "/m/a/b/c",
        house.url + "/nowhere",
        link + "/",
        house.url + "/healthz/",
        house.url + "/image/a.jpg",
    ]
    answers = [house.web.get(one) for one in forged]
    assert [answer.status_code for answer in answers] == [404] * len(forged)
    bodies = [answer.json()["error"] | {"request_id": ""} for answer in answers]
    assert bodies == [bodies[0]] * len(forged)
    assert house.web.get(link).status_code == 200
    assert house.web.get(link + "?a=b").status_code == 200


def test_a_request_that_says_too_much_is_refused(house: "House") -> None:
    for path, headers in (("/" + "x" * 30_000, {}), ("/healthz", {"X-Long": "x" * 30_000})):
        answer = house.web.get(path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (431, "headers_too_large")


def test_a_body_that_shrinks_breaks_its_connection_and_nothing_else(house: "House") -> None:
    pdf = b"%PDF-1.7\n" + bytes(40_000_000)
    house.put("a.pdf", pdf)
    link = house.link("a.pdf", "document")
    (body,) = (f for f in (house.settings.data_dir / "cache" / "files").glob("*/*") if f.stat().st_size > len(pdf))
    with httpx2.stream("GET", link, trust_env=False, verify=NO_TLS) as answer:
        chunks = answer.iter_raw(100_000)
        next(chunks)
        os.truncate(body, 1000)
        with pytest.raises(httpx2.RemoteProtocolError):
            list(chunks)
    assert house.web.get("/healthz").status_code == 200
    assert house.web.get(link).content == pdf


def test_a_record_that_cannot_be_read_is_a_miss(house: "House", light_jpeg: bytes) -> None:
    house.put("a.jpg", light_jpeg)
    link = house.link("a.jpg")
    for file in (house.settings.data_dir / "cache" / "files").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes().replace(b'"outcome"', b'"outc\x00me"'))
    assert house.web.get(link).headers["cache-status"] == "medialink; fwd=miss; stored; detail=source"
    assert house.web.get(link).headers["cache-status"] == "medialink; hit"


def test_a_link_is_given_where_there_is_no_provider(build: Build, light_jpeg: bytes) -> None:
    house = build(d360_api_key=None)
    house.put("a.jpg", light_jpeg)
    assert house.web.get(house.link("a.jpg")).content == light_jpeg
    assert house.send(key="a.jpg").status_code == 404


def test_an_alias_outlives_its_store_for_what_was_asked_before(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    house = build(alias_prefixes="open/")
    out = io.BytesIO()
    Image.new("RGB", (300, 200), "green").save(out, "WEBP")
    house.put("open/a.webp", out.getvalue())
    paths = ("/image/open/a.webp", "/image/open/a.webp.jpg")
    before = [house.web.get(path).content for path in paths]

    async def away(*_: object) -> None:
        raise StoreAway

    monkeypatch.setattr("proxy.delivery.newest.FRESH_S", 0)
    monkeypatch.setattr(FolderStore, "find", away)
    assert [house.web.get(path).content for path in paths] == before
    assert house.web.get("/image/open/b.jpg").status_code == 503


def test_our_own_link_can_be_sent(house: "House", light_jpeg: bytes) -> None:
    house.put("a.jpg", light_jpeg)
    link = house.link("a.jpg")
    sent = house.send(link=link)
    assert (sent.status_code, sent.json()["warnings"]) == (202, [])
    assert house.send(link=link, kind="document").json()["error"]["field"] == "kind"
    forged = house.send(link=link[:-5] + "x" + link[-4:])
    assert (forged.status_code, forged.json()["error"]["field"]) == (400, "link")


def test_a_foreign_link_passes_with_a_warning(house: "House") -> None:
    sent = house.send(link="http://127.0.0.1:9/a.jpg")
    assert sent.status_code == 202
    assert sent.headers["x-medialink-warning"] == "foreign_link"
    story = house.story(sent.json()["provider_message_id"])
    assert story["statuses"][-1]["status"] == "failed"


@pytest.mark.parametrize(
    ("behaviour", "status", "code"),
    [
        ("throttle", 202, None),
        ("fail_before", 504, "send_uncertain"),
        ("fail_after", 504, "send_uncertain"),
        ("lost", 504, "send_uncertain"),
        ("html", 504, "send_uncertain"),
        ("no_id", 504, "send_uncertain"),
    ],
)
def test_a_message_is_sent_again_only_where_it_was_surely_not_taken(
    house: "House", light_jpeg: bytes, behaviour: str, status: int, code: str | None
) -> None:
    house.put("a.jpg", light_jpeg)
    house.whatsapp.put("/sandbox/behaviour", json={"behaviour": behaviour, "times": 1})
    answer = house.send(key="a.jpg")
    assert answer.status_code == status
    assert answer.json().get("error", {}).get("code") == code
    taken = house.whatsapp.get("/sandbox/messages", params={"wait": "20"}).json()
    assert len(taken) == (0 if behaviour in {"fail_before", "html"} else 1)


@pytest.mark.parametrize("behaviour", ["lost", "fail_after"])
def test_a_webhook_settles_what_was_uncertain(house: "House", light_jpeg: bytes, behaviour: str) -> None:
    house.put("a.jpg", light_jpeg)
    house.whatsapp.put("/sandbox/behaviour", json={"behaviour": behaviour, "times": 1})
    message_id = house.send(key="a.jpg").json()["error"]["message_id"]
    (taken,) = house.whatsapp.get("/sandbox/messages", params={"wait": "20"}).json()

    async def look_up() -> LedgerMessage | None:
        ledger = build_ledger(house.settings)
        try:
            await ledger.open()
            return await ledger.message(message_id)
        finally:
            await ledger.close()

    kept = asyncio.run(look_up())
    assert kept is not None
    assert (kept.outcome, kept.status, kept.provider_message_id) == ("accepted", "delivered", taken["id"])
    assert [entry.status for entry in kept.history] == ["sent", "delivered"]


def test_a_refusal_of_the_provider_is_final(build: Build, light_jpeg: bytes) -> None:
    house = build(d360_api_key="wrong")
    house.put("a.jpg", light_jpeg)
    answer = house.send(key="a.jpg")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_refused")


def test_a_provider_that_is_away_took_nothing(build: Build, light_jpeg: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.messaging_doors.PROVIDER_TRIES", 1)
    house = build(provider_url="http://127.0.0.1:9")
    house.put("a.jpg", light_jpeg)
    answer = house.send(key="a.jpg")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "provider_busy")
    assert answer.headers["retry-after"] == "30"


def test_a_ledger_that_fails_after_the_post_does_not_invite_a_second_one(
    house: "House", light_jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise LedgerAway

    house.put("a.jpg", light_jpeg)
    monkeypatch.setattr(Ledger, "finish", away)
    assert house.send(key="a.jpg").status_code == 202
    monkeypatch.setattr(Ledger, "begin", away)
    refused = house.send(key="a.jpg")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "ledger_away")
    assert len(house.whatsapp.get("/sandbox/messages").json()) == 1


@pytest.mark.parametrize("caching", ["fixed", "headers"])
def test_one_link_is_fetched_once_under_both_caching_regimes(build: Build, light_jpeg: bytes, caching: str) -> None:
    house = build(sandbox={"caching": caching})
    house.put("a.jpg", light_jpeg)
    for _ in range(3):
        house.story(house.send(key="a.jpg").json()["provider_message_id"])
    (seen,) = house.fetches()
    assert (seen["count"], seen["hits"]) == (1, 2)


@pytest.mark.parametrize("secret", [None, "wrong", "ü"])
def test_webhooks_need_their_secret(house: "House", secret: str | None) -> None:
    headers = {} if secret is None else {b"X-Webhook-Secret": secret.encode()}
    assert house.web.post("/webhooks", content=b"{}", headers=headers).status_code == 401


def test_a_link_can_expire(house: "House", light_jpeg: bytes) -> None:
    source = house.put("a.jpg", light_jpeg)
    fresh = house.web.get(house.link("a.jpg", expires_in_s=60))
    told = re.fullmatch(r"public, max-age=(\d+), must-revalidate, stale-if-error=0", fresh.headers["cache-control"])
    assert told is not None
    assert 60 <= int(told[1]) <= 3660
    past = house.web.get(own_link(house, source, expires_at=1_000_000_000), headers={"If-None-Match": "*"})
    assert (past.status_code, past.json()["error"]["code"]) == (410, "link_expired")


def test_head_is_get_without_the_body(house: "House", light_jpeg: bytes) -> None:
    house.put("a.jpg", light_jpeg)
    link = house.link("a.jpg")
    get, head = house.web.get(link), house.web.head(link)
    changing = {"date", "x-request-id", "server-timing"}
    assert {k: v for k, v in head.headers.items() if k not in changing} == {
        k: v for k, v in get.headers.items() if k not in changing
    }
    assert head.content == b""


def test_conditions_and_ranges_over_the_wire(house: "House", light_jpeg: bytes) -> None:
    house.put("a.jpg", light_jpeg)
    link = house.link("a.jpg")
    whole = house.web.get(link)
    size = len(light_jpeg)
    not_modified = house.web.get(link, headers={"If-None-Match": whole.headers["etag"]})
    assert (not_modified.status_code, not_modified.content) == (304, b"")
    assert not_modified.headers["cache-control"] == whole.headers["cache-control"]
    assert "content-length" not in not_modified.headers
    by_date = house.web.get(link, headers={"If-Modified-Since": whole.headers["last-modified"]})
    assert by_date.status_code == 304
    part = house.web.get(link, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, light_jpeg[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{size}"
    assert part.headers["content-length"] == "10"
    assert house.web.get(link, headers={"Range": "bytes=-7"}).content == light_jpeg[-7:]
    beyond = house.web.get(link, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert house.web.get(link, headers={"If-Match": '"x"'}).status_code == 412
    posted = house.web.post(link)
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


def test_an_open_prefix_has_aliases(build: Build, light_jpeg: bytes) -> None:
    house = build(alias_prefixes="open/")
    house.put("open/Grüße 100%.jpg", light_jpeg)
    house.put("closed/a.jpg", light_jpeg)
    answer = house.web.get("/image/open/Gr%C3%BC%C3%9Fe%20100%25.jpg")
    assert answer.content == light_jpeg
    assert answer.headers["cache-control"] == "public, max-age=60, stale-if-error=86400"
    for path in ("closed/a.jpg", "open/../closed/a.jpg", "open/%2e%2e/closed/a.jpg", "open//a.jpg", "open%2fa.jpg"):
        assert house.web.get(f"/image/{path}").status_code == 404


def test_a_rule_for_a_prefix_is_heard_in_links_and_aliases(build: Build, light_jpeg: bytes) -> None:
    rules = "open/vip/=private, open/bills/=no-store, open/prices/=stale-while-revalidate=30"
    house = build(alias_prefixes="open/", prefix_rules=rules)
    year = "max-age=31536000"
    for folder, of_links, of_aliases in (
        ("vip", f"private, {year}", "private, max-age=60"),
        ("bills", "no-store", "no-store"),
        ("prices", f"public, {year}", "public, max-age=60, stale-if-error=86400, stale-while-revalidate=30"),
        ("other", f"public, {year}", "public, max-age=60, stale-if-error=86400"),
    ):
        house.put(f"open/{folder}/a.jpg", light_jpeg)
        assert house.web.get(house.link(f"open/{folder}/a.jpg")).headers["cache-control"] == of_links
        assert house.web.get(f"/image/open/{folder}/a.jpg").headers["cache-control"] == of_aliases


def test_an_alias_names_the_rendition_with_the_right_extension(build: Build) -> None:
    house = build(alias_prefixes="open/")
    out = io.BytesIO()
    Image.new("RGB", (300, 200), "green").save(out, "WEBP")
    house.put("open/a.webp", out.getvalue())
    answer = house.web.get("/image/open/a.webp.jpg")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert house.web.get("/image/open/a.webp.png").status_code == 404
    assert house.web.get("/image/open/nothing.jpg").status_code == 404


def own_link(house: "House", source: Source, **fields: Any) -> str:
    """Mint what the house would have minted under other circumstances."""
    link = Link(kind=Kind.IMAGE, key=source.key, version=source.version, recipe=None, media_type="image/jpeg", **fields)
    return Links(house.settings.link_secrets()).mint(link)


@pytest.mark.parametrize(
    ("sharing", "header"), [(Sharing.PRIVATE, "private, max-age=31536000"), (Sharing.NO_STORE, "no-store")]
)
def test_what_may_not_be_shared_says_so_in_every_answer(
    house: "House", light_jpeg: bytes, sharing: Sharing, header: str
) -> None:
    path = own_link(house, house.put("a.jpg", light_jpeg), sharing=sharing)
    answer = house.web.get(path)
    assert answer.headers["cache-control"] == header
    again = house.web.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.headers["cache-control"]) == (304, header)


def test_a_store_that_is_away(build: Build, tmp_path: Path, light_jpeg: bytes) -> None:
    before = build(data_dir=tmp_path / "same")
    before.put("a.jpg", light_jpeg)
    cached = before.link("a.jpg").removeprefix(before.url)
    nowhere = {"store": "s3://bucket", "s3_endpoint_url": "http://127.0.0.1:9", "s3_region": "x"}
    away = build(data_dir=tmp_path / "same", s3_access_key_id="a", s3_secret_access_key="b", **nowhere)
    assert away.web.get(cached).content == light_jpeg
    answer = away.api.post("/links", json={"kind": "image", "key": "b.jpg"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_away")
    assert int(answer.headers["retry-after"]) > 0
    ready = away.web.get("/readyz")
    assert ready.status_code == 200
    assert "does not answer" in ready.json()["store"]
    assert away.web.get("/healthz").status_code == 200


def test_ready_means_that_every_door_answers(house: "House") -> None:
    ready = house.web.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"store": "ok", "cache": "ok", "ledger": "ok", "takedowns": "ok"})


def test_delivery_alone_needs_no_provider_and_no_ledger(build: Build, light_jpeg: bytes, tmp_path: Path) -> None:
    whole = build()
    whole.put("a.jpg", light_jpeg)
    link = whole.link("a.jpg").removeprefix(whole.url)
    alone = build(data_dir=tmp_path / "alone", serve_only="delivery", d360_api_key=None, gateway_keys=None)
    assert alone.web.get(link).content == light_jpeg
    assert alone.send(key="a.jpg").status_code == 404
    assert not list((tmp_path / "alone").glob("ledger*"))


def test_messaging_alone_serves_no_media(build: Build, light_jpeg: bytes) -> None:
    alone = build(serve_only="messaging")
    alone.put("a.jpg", light_jpeg)
    assert alone.web.get(alone.link("a.jpg")).status_code == 404


@pytest.fixture
def log_as() -> Iterator[Callable[..., None]]:
    """Configure the log for one test: it holds on to the standard error of its day."""
    yield configure_logging
    structlog.reset_defaults()


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_defect_of_ours_is_told_to_the_log_under_its_request_id(  # noqa: PLR0913, PLR0917 - a log, a house, a defect
    build: Build,
    light_jpeg: bytes,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    log_as: Callable[..., None],
    form: str,
) -> None:
    async def broken(_self: Renditions, _link: Link, _origin: Origin) -> None:
        password = "sesame"
        raise RuntimeError(f"a defect of {len(password)} letters")

    log_as("info", form)
    house = build()
    house.put("a.jpg", light_jpeg)
    link = house.link("a.jpg")
    monkeypatch.setattr(Renditions, "open", broken)
    answer = house.web.get(link)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], answer.headers["cache-control"]) == (500, "internal", "no-store")
    assert "defect" not in answer.text
    assert answer.headers["x-request-id"] == error["request_id"]
    logged = capfd.readouterr().err
    (line,) = (line for line in logged.splitlines() if "request.broke" in line)
    assert error["request_id"] in line
    assert logged.count("RuntimeError: a defect of 6 letters") == 1
    assert "sesame" not in logged.replace('password = "sesame"', "")


def test_a_whole_run_logs_no_number_no_token_and_no_key(
    build: Build, light_jpeg: bytes, capfd: pytest.CaptureFixture[str], log_as: Callable[..., None]
) -> None:
    log_as("debug", "json")
    house = build()
    house.put("a.jpg", light_jpeg)
    house.put("b.txt", b"\x00\x01")
    sent = house.send(key="a.jpg")
    house.story(sent.json()["provider_message_id"])
    house.send(key="b.txt")
    house.send(key="a.jpg", to="491701234567x")
    house.web.get(sent.json()["link"] + "x")
    house.web.post("/links", headers={"Authorization": "Bearer some-wrong-token"})
    logged = capfd.readouterr().err
    events = [json.loads(line)["event"] for line in logged.splitlines()]
    assert {"media.served", "message.posted", "webhook.taken", "request.failed"} <= set(events)
    token = sent.json()["link"].split("/")[-2]
    for secret in (
        "1701234567",
        token,
        "gateway-token",
        "webhook-secret",
        "provider-key",
        "some-wrong-token",
        "aaaaaaaa",
    ):
        assert secret not in logged
