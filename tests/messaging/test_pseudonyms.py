"""Numbers, kept so that they can be recognised and not read."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import Malformed
from proxy.messaging.pseudonyms import NOBODY, Pseudonyms, last4

NUMBER = "491701234567"
PSEUDONYMS = Pseudonyms((b"k" * 32,))
OF_NUMBER = {PSEUDONYMS.of(NUMBER)}


def test_a_pseudonym_tells_numbers_apart_and_nothing_else() -> None:
    assert PSEUDONYMS.of(NUMBER) == PSEUDONYMS.of(NUMBER)
    assert PSEUDONYMS.of(NUMBER) != PSEUDONYMS.of("491701234568")
    assert NUMBER not in PSEUDONYMS.of(NUMBER)
    assert PSEUDONYMS.of(None) == NOBODY


def test_a_pseudonym_depends_on_the_key() -> None:
    assert PSEUDONYMS.of(NUMBER) != Pseudonyms((b"l" * 32,)).of(NUMBER)
    assert PSEUDONYMS.of(NUMBER) != hashlib.sha256(NUMBER.encode()).hexdigest()


def test_a_number_of_before_a_rotation_is_known_again() -> None:
    rotated = Pseudonyms((b"l" * 32, b"k" * 32))
    assert rotated.of(NUMBER) != PSEUDONYMS.of(NUMBER)
    assert rotated.all_of(NUMBER) == (rotated.of(NUMBER), PSEUDONYMS.of(NUMBER))
    assert rotated.redact(f"to {NUMBER}", OF_NUMBER) == "to …4567"


def test_a_short_key_is_refused() -> None:
    with pytest.raises(Malformed):
        Pseudonyms((b"k" * 15,))


def test_the_last_four_digits_are_kept() -> None:
    assert last4(NUMBER) == "4567"


REDACTED = {
    "alone": ("491701234567", "…4567"),
    "with_plus": ("to +491701234567.", "to +…4567."),
    "double_zero": ("to 00491701234567", "to …4567"),
    "spaced": ("to +49 170 1234567 failed", "to +…4567 failed"),
    "bracketed": ("(49) 170-123.45.67", "(…4567"),
    "in_a_url": ("/v1/contacts/491701234567?x=1", "/v1/contacts/…4567?x=1"),
    "between_letters": ("wa491701234567x", "wa…4567x"),
    "after_a_code": ("code 400 491701234567", "code 400 …4567"),
    "before_a_figure": ("491701234567 16 MB", "…4567 16 MB"),
    "twice": ("491701234567, 491701234567", "…4567, …4567"),
    "somebody_else": ("to 491701234568", "to 491701234568"),
    "part_of_a_longer_run": ("id 4917012345670", "id 4917012345670"),
    "no_number": ("Downloading media failed with http code 404", "Downloading media failed with http code 404"),
    "empty": ("", ""),
}


@pytest.mark.parametrize(("text", "redacted"), REDACTED.values(), ids=REDACTED.keys())
def test_a_known_number_is_blacked_out(text: str, redacted: str) -> None:
    assert PSEUDONYMS.redact(text, OF_NUMBER) == redacted


def test_the_longest_number_is_blacked_out_with_its_prefix() -> None:
    longest = "123456789012345"
    assert PSEUDONYMS.redact(f"to 00{longest}", {PSEUDONYMS.of(longest)}) == "to …2345"


@settings(deadline=None, max_examples=50)
@given(before=st.text(), after=st.text(), written=st.sampled_from([NUMBER, "49 170 1234567", "+49-170-123-4567"]))
def test_no_surroundings_hide_a_number(before: str, after: str, written: str) -> None:
    text = f"{before.rstrip('0123456789')} {written} {after.lstrip('0123456789')}"
    assert written not in PSEUDONYMS.redact(text, OF_NUMBER)
