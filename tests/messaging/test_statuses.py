"""Status webhooks: one file per body in cases/webhooks."""

import itertools
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.messaging.statuses import State, Statuses, parse_statuses, rank, settled

UNHURRIED = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
WEBHOOKS = sorted((Path(__file__).parent / "cases" / "webhooks").glob("*.json"))
RECEIVED_AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
MEMBERS = ["entry", "changes", "value", "statuses", "id", "status", "timestamp", "recipient_id", "errors", "code"]


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
    found = parse_statuses(json.dumps(case["body"]).encode(), received_at=RECEIVED_AT)
    shown = [asdict(status) | {"at": status.at.isoformat()} for status in found.statuses]
    assert shown == case["statuses"]
    assert found.skipped == case["skipped"]


@pytest.mark.parametrize(
    "body",
    [b"", b"not json", b"\xff\xfe", b"[" * 100_000, b'{"entry":' * 100_000, b"null", b"17"],
    ids=["empty", "text", "not_utf8", "nested", "nested_entries", "null", "number"],
)
def test_what_is_no_webhook_is_skipped_and_counted(body: bytes) -> None:
    assert parse_statuses(body, received_at=RECEIVED_AT) == Statuses(statuses=(), skipped=1)


@UNHURRIED
@given(json_values())
def test_no_json_raises(value: object) -> None:
    parse_statuses(json.dumps(value).encode(), received_at=RECEIVED_AT)


@UNHURRIED
@given(json_values())
def test_no_status_raises_and_each_is_read_or_counted(value: object) -> None:
    body = {"entry": [{"changes": [{"value": {"statuses": [value]}}]}]}
    found = parse_statuses(json.dumps(body).encode(), received_at=RECEIVED_AT)
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
    (status,) = parse_statuses(json.dumps(body).encode(), received_at=RECEIVED_AT).statuses
    assert (status.message_id, status.status.value) == (item["id"], item["status"])
    assert status.at.tzinfo is UTC
    assert len(status.error_details or "") <= 1000


def test_states_never_go_backwards() -> None:
    order = [State.SENT, State.FAILED, State.DELIVERED, State.READ, State.PLAYED]
    assert set(order) == set(State)
    assert all(rank(lower) < rank(higher) for lower, higher in itertools.pairwise(order))


def test_only_sent_leaves_the_arrival_open() -> None:
    assert [state for state in State if not settled(state)] == [State.SENT]
