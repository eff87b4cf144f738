"""Uploaded media, at 360dialog's paths and at Meta's: put, told, read, sent, deleted."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.conftest import JPEG, KEY, META

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx2

    from tests.sandbox.conftest import Clock, RunSandbox, Sandbox

OURS = {"D360-API-KEY": KEY}
NUMBER_ID = "106540352242922"
PATHS = [("/media", ""), (f"/{NUMBER_ID}/media", ""), (f"/v25.0/{NUMBER_ID}/media", "/v25.0")]
MIB = 1 << 20
PNG = b"\x89PNG\r\n\x1a\n"
STICKER = b"RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00\xff\x01\x00\xff\x01\x00"


def keys(path: str) -> dict[str, str]:
    return OURS if path == "/media" else META


def put(sandbox: Sandbox, *arguments: Any, **form: Any) -> str:
    answer = sandbox.upload(*arguments, **form)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"id"}
    return str(answer.json()["id"])


def refusal(answer: httpx2.Response) -> str:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["type"]) == (400, 100, "OAuthException")
    return str(error["message"])


@pytest.mark.parametrize(("path", "version"), PATHS)
def test_what_was_uploaded_is_told_read_and_deleted(sandbox: Sandbox, path: str, version: str) -> None:
    medium_id = put(sandbox, path=path)
    told = sandbox.http.get(f"{version}/{medium_id}", headers=keys(path)).json()
    url = told.pop("url")
    assert told == {
        "messaging_product": "whatsapp",
        "mime_type": "image/jpeg",
        "sha256": hashlib.sha256(JPEG).hexdigest(),
        "file_size": len(JPEG),
        "id": medium_id,
    }
    read = sandbox.http.get(url, headers=keys(path))
    assert (read.status_code, read.headers["content-type"], read.content) == (200, "image/jpeg", JPEG)
    assert sandbox.http.delete(f"{version}/{medium_id}", headers=keys(path)).json() == {"success": True}
    for gone in (sandbox.http.get, sandbox.http.delete):
        assert "does not exist" in refusal(gone(f"{version}/{medium_id}", headers=keys(path)))
    assert sandbox.http.get(url, headers=keys(path)).status_code == 404


def test_an_address_holds_for_five_minutes_and_for_its_own_medium(sandbox: Sandbox, clock: Clock) -> None:
    first, second = put(sandbox), put(sandbox)
    url = sandbox.http.get(f"/{first}", headers=OURS).json()["url"]
    assert sandbox.http.get(url.replace(first, second), headers=OURS).status_code == 404
    clock.now_s += 299
    assert sandbox.http.get(url, headers=OURS).status_code == 200
    clock.now_s += 1
    assert sandbox.http.get(url, headers=OURS).status_code == 404


@pytest.mark.parametrize("path", [path for path, _ in PATHS])
def test_every_way_to_an_upload_asks_for_the_key(run_sandbox: RunSandbox, path: str) -> None:
    sandbox = run_sandbox(api_key=KEY)
    medium_id = put(sandbox, path=path)
    url = sandbox.http.get(f"/{medium_id}", headers=keys(path)).json()["url"]
    for wrong in ({}, {"D360-API-KEY": "wrong"}, {"Authorization": "Bearer wrong"}):
        assert sandbox.http.post(path, headers=wrong).status_code == 401
        assert sandbox.http.get(f"/{medium_id}", headers=wrong).status_code == 401
        assert sandbox.http.delete(f"/{medium_id}", headers=wrong).status_code == 401
        assert sandbox.http.get(url, headers=wrong).status_code == 401


@pytest.mark.parametrize(
    ("form", "says"),
    [
        pytest.param({"media_type": "text/csv"}, "Received file of type 'text/csv'", id="csv"),
        pytest.param({"media_type": "audio/ogg"}, "Received file of type 'audio/ogg'", id="ogg without its codec"),
        pytest.param({"body": b"\x00" * (5 * MIB + 1)}, "Max file size we currently support: 5MB", id="image"),
        pytest.param({"body": b"\x00" * (500 * 1024 + 1), "media_type": "image/webp"}, "500KB", id="sticker"),
        pytest.param({"body": b"\x00" * (100 * MIB + 1), "media_type": "application/pdf"}, "100MB", id="document"),
        pytest.param({"body": b"\x00" * (101 * MIB), "media_type": "application/pdf"}, "100MB", id="longest form"),
        pytest.param({"messaging_product": "telegram"}, "messaging_product", id="another product"),
        pytest.param({"type": "image/jpeg"}, "messaging_product", id="no product"),
    ],
)
def test_what_is_no_medium_of_whatsapps_is_refused(sandbox: Sandbox, form: dict[str, Any], says: str) -> None:
    assert says in refusal(sandbox.upload(**form))


@pytest.mark.parametrize(
    ("body", "content_type", "says"),
    [
        (b"", "multipart/form-data; boundary=b", "messaging_product"),
        (b"{}", "application/json", "messaging_product"),
        (b"--b\r\n", "multipart/form-data; boundary=b", "messaging_product"),
        (
            b'--b\r\nContent-Disposition: form-data; name="messaging_product"\r\n\r\nwhatsapp\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
            "The parameter file",
        ),
    ],
    ids=["empty", "json", "cut", "no file"],
)
def test_a_body_that_is_no_such_form_is_refused(sandbox: Sandbox, body: bytes, content_type: str, says: str) -> None:
    answer = sandbox.http.post("/media", content=body, headers={**OURS, "Content-Type": content_type})
    assert says in refusal(answer)


def test_the_largest_document_is_taken(sandbox: Sandbox) -> None:
    medium_id = put(sandbox, b"%PDF-" + b"\x00" * (100 * MIB - 5), "application/pdf")
    assert sandbox.http.get(f"/{medium_id}", headers=OURS).json()["file_size"] == 100 * MIB


def test_bytes_that_look_like_the_forms_end_are_kept(sandbox: Sandbox) -> None:
    body = JPEG + b"\r\n--\r\n\r\n--b--\r\n"
    url = sandbox.http.get(f"/{put(sandbox, body)}", headers=OURS).json()["url"]
    assert sandbox.http.get(url, headers=OURS).content == body


def test_an_empty_field_does_not_swallow_the_next(sandbox: Sandbox) -> None:
    url = sandbox.http.get(f"/{put(sandbox, messaging_product='whatsapp', type='')}", headers=OURS).json()["url"]
    assert sandbox.http.get(url, headers=OURS).content == JPEG


def test_a_message_by_id_arrives_and_asks_nobody(sandbox: Sandbox, make_message: Callable[..., dict[str, Any]]) -> None:
    wamid = sandbox.post(make_message("image", {"id": put(sandbox)})).json()["messages"][0]["id"]
    assert [status["status"] for status in sandbox.ended(wamid)["statuses"]] == ["sent", "delivered"]
    assert sandbox.http.get("/sandbox/fetches").json() == []


def test_a_template_shows_an_upload(sandbox: Sandbox, make_message: Callable[..., dict[str, Any]]) -> None:
    header = {"type": "header", "parameters": [{"type": "image", "image": {"id": put(sandbox)}}]}
    content = {"name": "offer", "language": {"code": "de"}, "components": [header]}
    assert sandbox.post(make_message("template", content)).status_code == 200


def test_an_id_that_nobody_got_is_refused(sandbox: Sandbox, make_message: Callable[..., dict[str, Any]]) -> None:
    answer = sandbox.post(make_message("image", {"id": "1234"}))
    assert "image['id'] is not a valid whatsapp business account media attachment ID" in refusal(answer)
    assert sandbox.messages() == []


def test_an_upload_belongs_to_the_number_that_uploaded_it(
    sandbox: Sandbox, make_message: Callable[..., dict[str, Any]]
) -> None:
    medium_id = put(sandbox, path="/v25.0/77/media")
    body = make_message("image", {"id": medium_id})
    assert sandbox.http.post("/v25.0/77/messages", json=body, headers=META).status_code == 200
    assert "not a valid" in refusal(sandbox.http.post("/v25.0/78/messages", json=body, headers=META))
    for number_id, status in (("77", 200), ("78", 400)):
        asked = sandbox.http.get(f"/{medium_id}", headers=META, params={"phone_number_id": number_id})
        assert asked.status_code == status


@pytest.mark.parametrize(
    ("kind", "body", "media_type", "says"),
    [
        ("video", JPEG, "image/jpeg", "Unsupported Video mime type image/jpeg"),
        ("image", PNG, "image/jpeg", "however on processing it is of type image/png"),
        ("sticker", STICKER + b"\x00" * 100 * 1024, "image/webp", "100KB"),
    ],
)
def test_an_upload_that_is_not_what_it_is_sent_as_fails_by_webhook(  # noqa: PLR0913, PLR0917 - a row of the table
    sandbox: Sandbox,
    make_message: Callable[..., dict[str, Any]],
    kind: str,
    body: bytes,
    media_type: str,
    says: str,
) -> None:
    medium_id = put(sandbox, body, media_type)
    wamid = sandbox.post(make_message(kind, {"id": medium_id})).json()["messages"][0]["id"]
    (status,) = sandbox.ended(wamid)["statuses"]
    assert status["status"] == "failed"
    assert says in status["details"]


def test_uploads_are_kept_for_thirty_days(
    sandbox: Sandbox, clock: Clock, make_message: Callable[..., dict[str, Any]]
) -> None:
    body = make_message("image", {"id": put(sandbox)})
    clock.now_s += 30 * 24 * 3600 - 1
    assert sandbox.post(body).status_code == 200
    clock.now_s += 1
    assert sandbox.post(body).status_code == 400


@pytest.mark.parametrize(
    ("bounds", "kept"), [({"max_kept_uploads": 2}, 2), ({"max_kept_upload_bytes": 3 * len(JPEG)}, 2)], ids=str
)
def test_the_oldest_uploads_go_for_new_ones(run_sandbox: RunSandbox, bounds: dict[str, int], kept: int) -> None:
    sandbox = run_sandbox(**bounds)
    ids = [put(sandbox) for _ in range(4)]
    found = [medium_id for medium_id in ids if sandbox.http.get(f"/{medium_id}", headers=OURS).is_success]
    assert found == ids[-kept:]


def test_a_reset_forgets_uploads(sandbox: Sandbox) -> None:
    medium_id = put(sandbox)
    sandbox.http.delete("/sandbox")
    assert sandbox.http.get(f"/{medium_id}", headers=OURS).status_code == 400
