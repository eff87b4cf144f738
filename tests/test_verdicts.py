"""The verdict before the send: of a key, of a file that comes along, and the same from the command."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import picture

if TYPE_CHECKING:
    from tests.conftest import Command, House

Build = Callable[..., "House"]
LIMIT_BYTES = 1_000_000
BROKEN = b"\xff\xd8\xff\xe0" + bytes(100)


def judged(house: "House", kind: str, body: bytes) -> dict[str, Any]:
    answer = house.api.post("/verdicts", params={"kind": kind}, content=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def drafts(house: "House") -> list[str]:
    return [draft.name for draft in (house.settings.data_dir / "cache" / "drafts").iterdir()]


def test_a_key_is_judged_as_a_sender_would_hear_it(house: "House", light_jpeg: bytes) -> None:
    house.put("a.jpg", light_jpeg)
    house.put("broken.jpg", BROKEN)
    for key in ("a.jpg", "broken.jpg"):
        wish = {"kind": "image", "key": key}
        verdict = house.api.post("/verdicts", json=wish).json()
        link = house.api.post("/links", json=wish)
        if verdict["outcome"] == "refused":
            error = link.json()["error"]
            assert (link.status_code, verdict["code"], verdict["message"]) == (422, error["code"], error["message"])
        else:
            assert verdict == link.json()["verdict"]


def test_an_upload_gets_the_verdict_that_its_bytes_would_get_in_the_store(
    house: "House", heavy_jpeg: bytes, light_jpeg: bytes
) -> None:
    for number, body in enumerate((heavy_jpeg, light_jpeg, BROKEN)):
        house.put(f"{number}.jpg", body)
        stored = house.api.post("/verdicts", json={"kind": "image", "key": f"{number}.jpg"}).json()
        assert judged(house, "image", body) == stored
    assert judged(house, "image", heavy_jpeg)["outcome"] == "made"
    assert drafts(house) == []


def test_the_command_answers_in_the_same_shape(house: "House", medialink: "Command", heavy_jpeg: bytes) -> None:
    file = house.settings.data_dir / "heavy.jpg"
    file.write_bytes(heavy_jpeg)
    for kind in ("image", "video"):
        told = medialink("check", str(file), "--kind", kind, "--json")
        assert json.loads(told.stdout) == judged(house, kind, heavy_jpeg)


def test_a_refusal_names_its_code_the_limit_and_what_to_do(house: "House") -> None:
    heavy = b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(17_000_000)
    assert judged(house, "video", heavy) == {
        "outcome": "refused",
        "code": "too_heavy",
        "message": "17000024 bytes, and WhatsApp takes at most 16777216 as video. Make the file smaller.",
        "kind": "video",
        "size_bytes": 17_000_024,
        "limit_bytes": 16_777_216,
    }


def test_a_file_that_is_too_heavy_is_a_verdict_however_it_comes(house: "House", medialink: "Command") -> None:
    file = house.settings.data_dir / "huge.pdf"
    with file.open("wb") as opened:
        opened.write(b"%PDF-1.7\n")
        opened.truncate(100 * 2**20 + 1)
    told = medialink("check", str(file), "--kind", "document", "--json")
    assert told.returncode == 1
    assert json.loads(told.stdout)["code"] == "too_heavy"
    with file.open("rb") as body:
        answer = house.api.post("/verdicts", params={"kind": "document"}, content=body)
    assert (answer.status_code, answer.json()) == (200, json.loads(told.stdout))


def in_pieces(body: bytes) -> Iterator[bytes]:
    for at in range(0, len(body), 100_000):
        yield body[at : at + 100_000]


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "in chunks"])
def test_an_upload_over_what_is_taken_in_is_refused(build: Build, announced: bool) -> None:  # noqa: FBT001 - a row
    house = build(max_source_bytes=LIMIT_BYTES)
    body = b"%PDF-1.7\n" + bytes(LIMIT_BYTES)
    sent = body if announced else in_pieces(body)
    answer = house.api.post("/verdicts", params={"kind": "document"}, content=sent)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert drafts(house) == []
    assert judged(house, "document", body[:LIMIT_BYTES])["outcome"] == "as_is"


@pytest.mark.parametrize(
    ("params", "headers", "field"),
    [
        ({"kind": "picture"}, {}, "?kind="),
        ({"kind": "image"}, {"Content-Type": "multipart/form-data; boundary=x"}, "body"),
        ({}, {}, "body"),
    ],
    ids=["kind", "form", "neither"],
)
def test_a_wrong_question_says_what_to_ask(
    house: "House", params: dict[str, str], headers: dict[str, str], field: str
) -> None:
    answer = house.api.post("/verdicts", params=params, headers=headers, content=b"%PDF-")
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(f"{field}: ")


def test_nobody_uploads_without_a_key_and_a_caller_judges_its_own_keys_only(build: Build, light_jpeg: bytes) -> None:
    house = build()
    assert house.web.post("/verdicts", params={"kind": "image"}, content=light_jpeg).status_code == 401
    limited = build(gateway_keys=f"{house.settings.gateway_keys.get_secret_value()}=shop/")  # type: ignore[union-attr]
    limited.put("other/a.jpg", light_jpeg)
    answer = limited.api.post("/verdicts", json={"kind": "image", "key": "other/a.jpg"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "key_not_allowed")
    assert judged(limited, "image", light_jpeg)["outcome"] == "as_is"


def test_uploads_are_limited_by_client(build: Build, light_jpeg: bytes) -> None:
    house = build(misses_per_minute=6)
    asked = [house.api.post("/verdicts", params={"kind": "image"}, content=light_jpeg) for _ in range(7)]
    assert [answer.status_code for answer in asked] == [200] * 6 + [429]


def test_one_upload_too_many_is_busy_at_once(build: Build) -> None:
    """Who sends half a body holds a place."""
    house = build(decode_queue=0)
    host, port = house.url.removeprefix("http://").split(":")
    token = house.api.headers["authorization"]
    head = f"POST /verdicts?kind=image HTTP/1.1\r\nHost: {host}\r\nAuthorization: {token}\r\nContent-Length: 9\r\n\r\n"
    with socket.create_connection((host, int(port))) as half:
        half.sendall(head.encode() + b"half")
        until = time.monotonic() + 20
        while not drafts(house):
            assert time.monotonic() < until
        answer = house.api.post("/verdicts", params={"kind": "image"}, content=picture(20, 20))
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
        assert answer.headers["retry-after"]
    while drafts(house):
        assert time.monotonic() < until, "who hung up leaves nothing"
    assert judged(house, "image", picture(20, 20))["outcome"] == "as_is"
