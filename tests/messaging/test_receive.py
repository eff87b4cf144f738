"""Webhooks over real sockets: who is let in, what is kept, and that nothing authentic is ever refused."""

import hashlib
import hmac
import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
import sqlalchemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.app import create_app
from proxy.errors import SettingsInvalid
from proxy.messaging import bodies, outbox, unread
from proxy.messaging.ledger_urls import parse_ledger_url
from proxy.messaging.sealed import Seal
from proxy.servers import ThreadedServer
from proxy.settings import Settings
from tests.messaging.owners import OwnSystem, body_of, own_system
from tests.messaging.postgres_server import until

SECRET, APP_SECRET, TOKEN = "custom-header", "meta-app-secret", "verify-token"
BY_SECRET = {"X-Webhook-Secret": SECRET}
LEDGER_KEY = "a" * 43
Serve = Callable[..., httpx2.Client]


@pytest.fixture
def serve(url: str, tmp_path: Path) -> Iterator[Serve]:
    """Run messaging alone, on the database of the test."""
    with ExitStack() as running:

        def start(**given: object) -> httpx2.Client:
            known: dict[str, object] = {
                "data_dir": tmp_path / "data",
                "serve_only": "messaging",
                "ledger_url": url,
                "ledger_key": LEDGER_KEY,
                "webhook_secret": SECRET,
            }
            chosen = Settings.read(**(known | given))
            server = running.enter_context(ThreadedServer(create_app(chosen, "messaging")))
            return running.enter_context(httpx2.Client(base_url=server.url, trust_env=False, timeout=60))

        yield start


@pytest.fixture
def owner() -> Iterator[OwnSystem]:
    with own_system() as system:
        yield system


def signed(body: bytes, key: str = APP_SECRET) -> dict[str, str]:
    return {"X-Hub-Signature-256": f"sha256={hmac.new(key.encode(), body, hashlib.sha256).hexdigest()}"}


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    engine = sqlalchemy.create_engine(parse_ledger_url(url).parsed)
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(sqlalchemy.text(query))]
    engine.dispose()
    return found


def test_either_proof_suffices_and_the_body_may_be_written_in_any_way(serve: Serve) -> None:
    web = serve(meta_app_secret=APP_SECRET)
    body = b'{"entry":\t[ {"changes": [{"value":{"messages":[],"x":"\\u00E4\\/"}}]} ] }\n'
    wrong = {"X-Webhook-Secret": "wrong"}
    for headers in (BY_SECRET, signed(body), BY_SECRET | signed(b"other"), wrong | signed(body)):
        answer = web.post("/webhooks", content=body, headers=headers)
        assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(signed(b'{"entry":[]} '), id="other bytes"),
        pytest.param(signed(b'{"entry":[]}', "another"), id="another key"),
        pytest.param(signed(b'{"entry":[]}', ""), id="no key"),
        pytest.param({"X-Hub-Signature-256": signed(b'{"entry":[]}')["X-Hub-Signature-256"].upper()}, id="upper case"),
        pytest.param({"X-Hub-Signature-256": "sha256="}, id="empty"),
        pytest.param({"X-Hub-Signature": "sha1=" + "a" * 40}, id="the older one"),
        pytest.param({"X-Webhook-Secret": ""}, id="no secret"),
        pytest.param({}, id="nothing"),
    ],
)
@pytest.mark.parametrize("secrets", [{}, {"webhook_secret": None}], ids=["both", "signature only"])
def test_a_signature_of_other_bytes_or_of_another_key_is_refused(
    tmp_path: Path, headers: dict[str, str], secrets: dict[str, None]
) -> None:
    given = {"webhook_secret": SECRET, "meta_app_secret": APP_SECRET} | secrets
    chosen = Settings.read(data_dir=tmp_path, serve_only="messaging", **given)
    with ThreadedServer(create_app(chosen, "messaging")) as server:
        answer = httpx2.post(f"{server.url}/webhooks", content=b'{"entry":[]}', headers=headers, trust_env=False)
    assert answer.status_code == 401
    assert "X-Hub-Signature-256" in answer.json()["error"]["message"]
    assert rows(f"sqlite:///{tmp_path / 'ledger.sqlite3'}", "SELECT count(*) FROM unread") == [(0,)]


def handshake(**changed: str) -> dict[str, str]:
    asked = {"mode": "subscribe", "verify_token": TOKEN, "challenge": "1158201444"} | changed
    return {f"hub.{name}": value for name, value in asked.items()}


def test_the_handshake_wants_its_token(serve: Serve) -> None:
    web = serve(meta_verify_token=TOKEN, webhook_secret=None)
    answer = web.get("/webhooks", params=handshake())
    assert (answer.status_code, answer.text) == (200, "1158201444")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    for changed in ({"verify_token": "wrong"}, {"verify_token": ""}, {"verify_token": "\u00e4"}, {"mode": "other"}):
        answer = web.get("/webhooks", params=handshake(**changed))
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "handshake_refused")
    assert web.get("/webhooks").status_code == 403
    for challenge in ("", "<script>", "a" * 257, "a\nb", "\u00e4"):
        answer = web.get("/webhooks", params=handshake(challenge=challenge))
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed")
    assert web.post("/webhooks", content=b"{}").status_code == 401


def test_what_is_not_set_is_not_mounted(serve: Serve) -> None:
    assert serve(webhook_secret=None).post("/webhooks", content=b"{}").status_code == 404
    assert serve().get("/webhooks", params=handshake()).status_code == 405


def test_what_is_not_understood_is_kept_whole_and_sealed_the_newest_of_it(
    serve: Serve, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unread, "MAX_UNREAD", 3)
    web = serve()
    odd = [b"not json", b'{"entry":7}', body_of(("a", "deleted")), b"\xff\x00", b"[" * 5000]
    for body in [*odd, body_of(("a", "sent")), body_of(sender="491701234567")]:
        assert web.post("/webhooks", content=body, headers=BY_SECRET).status_code == 200
    seal = Seal(Settings.read(ledger_key=LEDGER_KEY).ledger_secrets())
    kept = [seal.open(bytes(sealed)) for (sealed,) in rows(url, "SELECT sealed FROM unread ORDER BY id")]  # type: ignore[call-overload] # bytes, of either driver
    assert kept == odd[-3:]
    assert "medialink_webhooks_unread_total" in web.get("/metrics").text


def test_a_failure_is_told_with_our_id_where_it_is_known_and_complaints_by_their_codes(
    serve: Serve, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    web = serve()
    columns = (
        "id, provider_message_id, type, recipient_hash, recipient_last4, outcome, warnings, created_at, updated_at"
    )
    moment = "'2026-11-22 12:00:00+00:00'"
    engine = sqlalchemy.create_engine(parse_ledger_url(url).parsed)
    with engine.begin() as connection:
        values = f"'ours', 'wamid.known', 'image', 'h', '4567', 'accepted', '[]', {moment}, {moment}"
        connection.execute(sqlalchemy.text(f"INSERT INTO messages ({columns}) VALUES ({values})"))  # noqa: S608 - our own words
    engine.dispose()
    told = json.loads(body_of(("wamid.known", "failed"), ("wamid.foreign", "failed")))
    told["entry"][0]["changes"][0]["value"]["errors"] = [{"code": 131016}, {"code": 4}, {"code": 4}, {}]
    assert web.post("/webhooks", json=told, headers=BY_SECRET).status_code == 200
    lines = [
        line for line in capsys.readouterr().out.splitlines() if "message.failed" in line or "webhook.error" in line
    ]
    assert len(lines) == 3
    assert "codes=[4, 131016]" in lines[0]
    assert "id=ours" in lines[1]
    assert "id=" not in lines[2]
    assert all("wamid" not in line for line in lines)


NAMES = re.findall(
    r"\w+",
    "entry changes value field statuses id status timestamp recipient_id errors code messages from error_data details",
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["failed", "sent", "wamid.X"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner,
            max_size=5,
        )
    ),
    max_leaves=30,
)


def test_no_authentic_body_is_ever_refused(serve: Serve, owner: OwnSystem) -> None:
    web = serve(forward_webhooks_to=owner.url)
    seen: list[bytes] = []

    @settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
    @given(JSON, JSON)
    def take(whole: object, part: object) -> None:
        wrapped = {"entry": [{"changes": [{"field": "messages", "value": part}, {"value": {"statuses": [part]}}]}]}
        for body in (whole, wrapped):
            seen.append(json.dumps(body).encode())
            assert web.post("/webhooks", content=seen[-1], headers=BY_SECRET).status_code == 200

    take()
    for hostile in (
        b"",
        b"[" * 100_000,
        b'{"entry":' * 50_000,
        b"1" * 100_000,
        b'{"entry":[{"changes":[' + b"1," * 9999,
    ):
        seen.append(hostile)
        assert web.post("/webhooks", content=hostile, headers=BY_SECRET).status_code == 200
    until(lambda: len(owner.taken) == len(seen))
    assert sorted(owner.taken) == sorted(seen)


def test_a_body_of_three_megabytes_is_taken_whole_and_no_byte_more(serve: Serve, owner: OwnSystem, url: str) -> None:
    web = serve(forward_webhooks_to=owner.url)
    body = body_of(*((f"wamid.{number:04}", "delivered") for number in range(2000)))
    body += b" " * (3 * 1024 * 1024 - len(body))
    assert web.post("/webhooks", content=body, headers=BY_SECRET).status_code == 200
    assert web.post("/webhooks", content=body + b" ", headers=BY_SECRET).status_code == 413
    assert rows(url, "SELECT count(*) FROM statuses") == [(2000,)]
    until(lambda: owner.taken)
    assert owner.taken == [body]


def test_of_long_bodies_only_so_many_are_held(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MAX_LONG_AT_ONCE", 1)
    web = serve(meta_app_secret=APP_SECRET)
    long = b" " * (bodies.SHORT_BYTES + 1)
    parts = urlsplit(str(web.base_url))
    head = "POST /webhooks HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\nX-Hub-Signature-256: sha256=" + "a" * 64
    with closing(socket.create_connection((str(parts.hostname), int(parts.port or 0)))) as slow:
        slow.sendall(head.encode() + b"\r\n\r\n" + long)
        until(lambda: web.post("/webhooks", content=long, headers=BY_SECRET).status_code == 503)
        assert web.post("/webhooks", content=b"{}", headers=BY_SECRET).status_code == 200
    until(lambda: web.post("/webhooks", content=long, headers=BY_SECRET).status_code == 200)


def test_what_is_too_much_to_keep_is_left_with_its_sender_but_for_its_statuses(
    serve: Serve, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MAX_BODIES", 0)
    monkeypatch.setattr("proxy.messaging_doors.LOOK_EVERY_S", 0.01)
    web = serve(forward_webhooks_to="http://127.0.0.1:9/")
    body = body_of(("a", "sent"))
    until(lambda: web.post("/webhooks", content=body, headers=BY_SECRET).status_code == 503)
    assert web.post("/webhooks", content=body, headers=BY_SECRET).json()["error"]["code"] == "outbox_full"
    assert rows(url, "SELECT count(*) FROM statuses") == [(1,)]


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ftp://host/",
            "https://",
            "https://user@host/",
            "https://user:p@host/",
            "//host",
            "nothing",
            "https://h:99999/",
        ),
        "https://host/#part",
        "https://ho st/",
        "https://media.example.com/webhooks/",
        "https://media.example.com/webhooks?a",
    ],
)
def test_a_url_that_nobody_should_post_to_is_refused(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="FORWARD_WEBHOOKS_TO"):
        Settings.read(forward_webhooks_to=url, public_url="https://media.example.com")


@pytest.mark.parametrize("url", ["https://erp.example.com/hooks?tenant=7", "http://10.0.0.7:8000/", "http://[::1]:1/"])
def test_a_system_of_ones_own_may_be_anywhere(url: str) -> None:
    assert Settings.read(forward_webhooks_to=url).forward_url == url
    assert Settings.read(forward_webhooks_to="none").forward_url is None
