import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Malformed
from proxy.storage.store import MAX_KEY_BYTES, check_key, check_prefix, parse_key, reserved_key

GOOD = {
    "plain": "a",
    "folders": "2026/11/photo.jpg",
    "hidden": ".hidden/.file",
    "dots-in-names": "..a/b..c/...",
    "reserved-word-deeper": "a/.medialink/b",
    "reserved-word-as-a-beginning": ".medialinks/b",
    "signs": "a+b %25#?'(1)&=;:@*.jpg",
    "cyrillic": "фото/Отпуск.jpg",
    "rtl-override": "\u202eabc",
    "emoji": "👩‍👩‍👧.png",
    "longest-segment": "x" * 255,
    "longest-segment-of-two-bytes": "ж" * 127,
    "longest-key": "/".join(["x" * 255] * 3 + ["y" * 254, "z"]),
}
BAD = {
    "empty": "",
    "slash": "/",
    "absolute": "/etc/passwd",
    "trailing-slash": "a/",
    "empty-segment": "a//b",
    "dot": ".",
    "dot-segment": "a/./b",
    "climbs": "..",
    "climbs-first": "../a",
    "climbs-inside": "a/../b",
    "climbs-last": "a/..",
    "backslash": "a\\b",
    "nul": "a\0b",
    "newline": "a\nb",
    "delete": "a\x7fb",
    "c1-control": "a\x85b",
    "half-a-surrogate-pair": "a\ud800b",
    "undecoded-byte": os.fsdecode(b"a\xff"),
    "segment-too-long": "x" * 256,
    "segment-too-long-in-bytes": "ж" * 128,
    "key-too-long": "/".join(["x" * 255] * 3 + ["y" * 255, "z"]),
    "reserved": ".medialink/renditions/x",
    "reserved-itself": ".medialink",
    "reserved-in-capitals": ".MediaLink/x",
    "reserved-with-the-kelvin-sign": ".medialin\u212a/x",
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD.keys())
def test_a_good_key_is_taken_as_it_is(text: str) -> None:
    assert parse_key(text) == text


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_a_bad_key_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse_key(text)
    assert refused.value.field == "key"
    assert refused.value.message.startswith("key: ")


def test_the_longest_key_is_just_as_long_as_allowed() -> None:
    assert len(GOOD["longest-key"]) == MAX_KEY_BYTES == len(BAD["key-too-long"]) - 1


@given(st.text(st.characters() | st.sampled_from("/.\\"), max_size=40))
def test_what_is_taken_cannot_leave_its_place(text: str) -> None:
    try:
        key = parse_key(text)
    except Malformed:
        return
    assert os.path.normpath(os.path.join("/base", key)) == f"/base/{key}"  # noqa: PTH118 # pathlib hides double slashes
    assert all(unicodedata.category(char) not in {"Cc", "Cs"} for char in key)
    assert len(key.encode()) <= MAX_KEY_BYTES


def test_our_own_keys_pass_the_door_and_not_the_wall() -> None:
    ours = reserved_key("renditions/x")
    check_key(ours)
    with pytest.raises(Malformed):
        parse_key(ours)


@pytest.mark.parametrize("name", ["", "../x", "a/../../x", "/x", ".medialink/x"])
def test_a_key_of_our_own_may_not_climb_either(name: str) -> None:
    with pytest.raises(Malformed):
        check_key(reserved_key(name))


@pytest.mark.parametrize("key", GOOD.values(), ids=GOOD.keys())
def test_whatever_a_good_key_begins_with_is_a_good_prefix(key: str) -> None:
    for end in range(len(key) + 1):
        check_prefix(key[:end])


@pytest.mark.parametrize(
    "prefix",
    ["/", "//", "a//", "./", "../", "a/../", ".medialink/", ".MediaLink/x", "a\\b", "a\n", "x" * 256, "x" * 256 + "/"],
)
def test_a_prefix_of_no_key_is_refused_with_a_reason(prefix: str) -> None:
    with pytest.raises(Malformed, match=r"^PREFIX: must"):
        check_prefix(prefix, field="PREFIX")
