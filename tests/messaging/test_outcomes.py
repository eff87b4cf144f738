"""The one table that decides whether a post may be repeated: one file per answer in cases/answers."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.messaging.foreign import MAX_DETAILS_CHARS
from proxy.messaging.outcomes import AGAIN_CODES, Accepted, Refused, Uncertain, classify

UNHURRIED = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
ANSWERS = sorted((Path(__file__).parent / "cases" / "answers").glob("*.json"))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                ["error", "meta", "messages", "contacts", "id", "code", "message", "wa_id", "developerMessage"]
            ),
            inner,
        )
    ),
)


@pytest.mark.parametrize("file", ANSWERS, ids=lambda file: file.stem)
def test_an_answer_is_judged_as_its_case_says(file: Path) -> None:
    case = json.loads(file.read_text())
    body = case["body"] if isinstance(case["body"], str) else json.dumps(case["body"])
    outcome = classify(case["http"], body.encode())
    assert {type(outcome).__name__: asdict(outcome)} == case["outcome"]


def test_every_code_that_is_tried_again_has_a_case() -> None:
    judged = [json.loads(file.read_text())["outcome"].get("Refused", {}) for file in ANSWERS]
    assert {case["code"] for case in judged if case.get("again")} - {None} == AGAIN_CODES


@pytest.mark.parametrize("code", sorted(AGAIN_CODES))
@pytest.mark.parametrize("status", [200, 400, 403, 429, 500, 503])
def test_a_code_overrules_the_http_status(code: int, status: int) -> None:
    body = json.dumps({"error": {"code": code, "message": "m"}}).encode()
    assert classify(status, body) == Refused(code=code, details="m", again=True)


HOSTILE = {
    "nested_deeply": b"[" * 100_000,
    "nested_in_error": b'{"error":' * 100_000,
    "a_number_of_many_digits": b'{"error":{"code":' + b"9" * 10_000 + b"}}",
    "not_utf8": b"\xff\xfe\x00\xd8",
    "nul": b"\x00" * 2000,
    "infinity": b'{"error":{"code":Infinity}}',
    "huge": b'{"error":{"message":"' + b"x" * 60_000 + b'"}}',
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_hostile_body_is_uncertain_and_its_details_bounded(status: int, body: bytes) -> None:
    outcome = classify(status, body)
    assert isinstance(outcome, Uncertain)
    assert 0 < len(outcome.details) <= MAX_DETAILS_CHARS
    assert "\0" not in outcome.details


def test_details_of_a_refusal_are_bounded_and_encodable() -> None:
    body = json.dumps({"error": {"code": 100, "message": "\ud800" + "x" * 5000}}).encode()
    outcome = classify(400, body)
    assert isinstance(outcome, Refused)
    assert len(outcome.details.encode()) == MAX_DETAILS_CHARS


@UNHURRIED
@given(status=st.integers(100, 999), answer=JSON)
def test_no_answer_raises(status: int, answer: object) -> None:
    outcome = classify(status, json.dumps(answer).encode())
    assert isinstance(outcome, Accepted) <= (200 <= status < 300)


@UNHURRIED
@given(status=st.integers(100, 999), body=st.binary())
def test_no_bytes_raise(status: int, body: bytes) -> None:
    assert not isinstance(classify(status, body), Accepted)
