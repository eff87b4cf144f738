"""JSON with places: strict, bounded, and no byte moves but those that were to change."""

import json
import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Malformed
from proxy.messaging.json_texts import MAX_DEPTH, MAX_VALUES, Array, Edit, Object, Text, Value, read_object, splice
from proxy.messaging.json_texts import written_anew as anew

plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20
)
objects = st.dictionaries(st.text(), values, max_size=5)
layouts = st.tuples(st.sampled_from([",", " ,\n", ", "]), st.sampled_from([":", " :\t", ": "]), st.booleans())


def written(value: dict[str, Any], layout: tuple[str, str, bool]) -> bytes:
    comma, colon, escaped = layout
    return json.dumps(value, separators=(comma, colon), ensure_ascii=escaped).encode()


def texts(value: Value) -> list[Text]:
    match value:
        case Text():
            return [value]
        case Array(items=items):
            return [text for item in items for text in texts(item)]
        case Object(members=members):
            return [text for _, inner in members for text in texts(inner)]
        case _:
            return []


def with_each_text(value: Any, change: Any) -> Any:
    match value:
        case str():
            return change(value)
        case list():
            return [with_each_text(item, change) for item in value]
        case dict():
            return {name: with_each_text(inner, change) for name, inner in value.items()}
        case _:
            return value


@given(objects, layouts, st.text())
def test_what_is_spliced_parses_to_the_same_but_for_what_was_replaced(
    value: dict[str, Any], layout: tuple[str, str, bool], put: str
) -> None:
    body = written(value, layout)
    edits = [anew(text, text.value + put) for text in texts(read_object(body))]
    assert json.loads(splice(body, edits)) == with_each_text(value, lambda text: text + put)


@given(objects, layouts)
def test_the_bytes_of_a_text_are_where_it_says(value: dict[str, Any], layout: tuple[str, str, bool]) -> None:
    body = written(value, layout)
    for text in texts(read_object(body)):
        assert json.loads(body[text.start : text.end]) == text.value
    assert splice(body, []) == body


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:\\u0123ae-.+ntf \t', max_size=40).map(str.encode))
def test_nothing_is_taken_for_json_that_python_does_not_take(body: bytes) -> None:
    try:
        read_object(body)
    except Malformed:
        return
    assert isinstance(json.loads(body), dict)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'"a"', id="a string"),
        pytest.param(b"{", id="half"),
        pytest.param(b'{"a":1}x', id="something behind"),
        pytest.param(b'{"a":1}{}', id="two objects"),
        pytest.param(b'\xef\xbb\xbf{"a":1}', id="byte order mark"),
        pytest.param('{"a":1}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'{"a":"\xff"}', id="not UTF-8"),
        pytest.param(b'{"a":"\xed\xa0\x80"}', id="a surrogate in UTF-8"),
        pytest.param(b'{"a":NaN}', id="NaN"),
        pytest.param(b'{"a":-Infinity}', id="Infinity"),
        pytest.param(b'{"a":01}', id="leading nought"),
        pytest.param(b'{"a":1.}', id="no digit behind the point"),
        pytest.param(b'{"a":+1}', id="a plus"),
        pytest.param(b'{"a":"\n"}', id="a line break in a string"),
        pytest.param(b'{"a":"\\x41"}', id="an unknown escape"),
        pytest.param(b'{"a":"\\u12g4"}', id="half an escape"),
        pytest.param(b"{'a':1}", id="single quotes"),
        pytest.param(b'{"a":1,}', id="comma at the end"),
        pytest.param(b'{,"a":1}', id="comma at the start"),
        pytest.param(b'{"a":[1,]}', id="comma at the end of a list"),
        pytest.param(b'{"a":[,1]}', id="comma at the start of a list"),
        pytest.param(b'{"a" 1}', id="no colon"),
        pytest.param(b'{"a":1 "b":2}', id="no comma"),
        pytest.param(b"{a:1}", id="a bare name"),
        pytest.param(b'{"a":truefalse}', id="two words"),
        pytest.param(b'{"a":]}', id="a wrong bracket"),
        pytest.param(b'{"a":1} // b', id="a comment"),
        pytest.param(b"image%5Blink%5D=a", id="a form"),
    ],
)
def test_what_can_be_read_in_two_ways_is_not_read(body: bytes) -> None:
    with pytest.raises(Malformed, match="body"):
        read_object(body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"a":"\\ud800"}', id="half a character"),
        pytest.param(b'{"a":1e999,"b":-0.0E-7}', id="numbers that no float holds"),
        pytest.param(b'{"a":' + b"9" * 5000 + b"}", id="more digits than Python converts"),
        pytest.param(b' \r\n{ "a" : [ ] , "b" : { } }\t', id="space everywhere"),
        pytest.param('{"ä":"\u2028\U0001f600\x7f"}'.encode(), id="what needs no escape"),
    ],
)
def test_what_the_standard_allows_is_read(body: bytes) -> None:
    assert splice(body, []) == body
    assert read_object(body).members


def test_a_name_that_stands_twice_is_kept_twice() -> None:
    both = read_object(b'{"link":"a","x":1,"li\\u006ek":"b"}').texts("link")
    assert [text.value for text in both] == ["a", "b"]


def test_an_edit_may_put_something_where_nothing_was() -> None:
    body = b' { "a":"b"}'
    read = read_object(body)
    assert splice(body, [anew(read.texts("a")[0], "c"), Edit(read.inside, read.inside, b'"n":1,')]) == (
        b' {"n":1, "a":"c"}'
    )


def test_depth_and_count_are_bounded() -> None:
    assert read_object(b'{"a":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}").members
    with pytest.raises(Malformed, match="deep"):
        read_object(b'{"a":' + b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1) + b"}")
    with pytest.raises(Malformed, match="values"):
        read_object(b'{"a":[' + b"1," * MAX_VALUES + b"1]}")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"a":"' + b"a" * 262_144, id="a string without an end"),
        pytest.param(b'{"a":"' + b"\\u0041" * 43_000, id="escapes without an end"),
        pytest.param(b'{"a":' + b" " * 262_144, id="space without an end"),
        pytest.param(b'{"a":' + b"1" * 262_144 + b"x", id="digits without an end"),
        pytest.param(b'{"a":[' + b"[]," * 80_000, id="lists without an end"),
    ],
)
def test_hostile_bodies_are_refused_soon(body: bytes) -> None:
    started = time.process_time()
    with pytest.raises(Malformed):
        read_object(body)
    assert time.process_time() - started < 1.0


def test_a_number_passes_as_it_is_written() -> None:
    body = b'{"a":1.10,"b":"c"}'
    text = read_object(body).texts("b")[0]
    assert splice(body, [anew(text, "d")]) == b'{"a":1.10,"b":"d"}'
    assert math.isclose(json.loads(body)["a"], 1.1)
