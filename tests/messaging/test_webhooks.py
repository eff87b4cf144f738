"""Bodies of webhooks: one file each in cases/webhooks."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.messaging.webhooks import Webhook, parse_webhook

UNHURRIED = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
WEBHOOKS = sorted((Path(__file__).parent / "cases" / "webhooks").glob("*.json"))
RECEIVED_AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOTHING = Webhook(statuses=(), senders=(), errors=(), skipped=1)
MEMBERS = [
    "entry",
    "changes",
    "value",
    "statuses",
    "id",
    "status",
    "timestamp",
    "recipient_id",
    "errors",
    "code",
    "messages",
    "from",
]


def json_values() -> st.SearchStrategy[object]:
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    return st.recursive(
        scalars | st.sampled_from(["sent", "failed", "wamid.X"]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=3),
        max_leaves=20,
    )


@pytest.mark.parametrize("file", WEBHOOKS, ids=lambda file: file.stem)
def test_a_webhook_is_read_as_its_case_says(file: Path) -> None:
    case = json.loads(file.read_text())
    found = parse_webhook(json.dumps(case["body"]).encode(), received_at=RECEIVED_AT)
    shown = [asdict(status) | {"at": status.at.isoformat()} for status in found.statuses]
    assert shown == case["statuses"]
    assert found.skipped == case["skipped"]
    assert list(found.senders) == case.get("senders", [])
    assert list(found.errors) == case.get("errors", [])


@pytest.mark.parametrize(
    "body",
    [b"", b"not json", b"\xff\xfe", b"[" * 100_000, b'{"entry":' * 100_000, b"null", b"17"],
    ids=["empty", "text", "not_utf8", "nested", "nested_entries", "null", "number"],
)
def test_what_is_no_webhook_is_skipped_and_counted(body: bytes) -> None:
    assert parse_webhook(body, received_at=RECEIVED_AT) == NOTHING


@UNHURRIED
@given(json_values())
def test_no_json_raises(value: object) -> None:
    parse_webhook(json.dumps(value).encode(), received_at=RECEIVED_AT)


@UNHURRIED
@given(json_values())
def test_no_status_raises_and_each_is_read_or_counted(value: object) -> None:
    body = {"entry": [{"changes": [{"value": {"statuses": [value]}}]}]}
    found = parse_webhook(json.dumps(body).encode(), received_at=RECEIVED_AT)
    assert len(found.statuses) + found.skipped == 1


@UNHURRIED
@given(
    st.fixed_dictionaries(
        {"id": st.just("wamid.X"), "status": st.sampled_from(["sent", "failed"])},
        optional={
            name: json_values()
            for name in ("timestamp", "recipient_id", "recipient_participant_id", "biz_opaque_callback_data", "errors")
        },
    )
)
def test_a_status_survives_whatever_stands_beside_it(item: dict[str, object]) -> None:
    body = {"entry": [{"changes": [{"value": {"statuses": [item]}}]}]}
    (status,) = parse_webhook(json.dumps(body).encode(), received_at=RECEIVED_AT).statuses
    assert (status.message_id, status.status.value) == (item["id"], item["status"])
    assert status.at.tzinfo is UTC
    assert len(status.error_details or "") <= 1000
