"""The tree of errors: drawn as it is, told in sentences, remembered by evidence."""

import pickle
import re
from collections.abc import Iterator
from dataclasses import fields

import pytest

from proxy import errors
from proxy.errors import MedialinkError, RefusedMedium, TooHeavy, refusal

EXAMPLES: dict[str, object] = {"field": "to", "problem": "must be digits", "mistakes": ("STORE: is wrong",)}


def everything(kind: type[MedialinkError] = MedialinkError) -> Iterator[type[MedialinkError]]:
    for child in kind.__subclasses__():
        yield child
        yield from everything(child)


def an_example(kind: type[MedialinkError]) -> MedialinkError:
    return kind(**{field.name: EXAMPLES.get(field.name, 7) for field in fields(kind)})


@pytest.mark.parametrize("kind", list(everything()), ids=lambda kind: kind.__name__)
class TestEveryError:
    def test_stands_in_the_drawing(self, kind: type[MedialinkError]) -> None:
        drawn = errors.__doc__ or ""
        leaf = rf"{kind.__name__} +{kind.status}  {kind.code}\b"
        branch = rf"{kind.__name__}\s"
        assert re.search(leaf if not kind.__subclasses__() else branch, drawn)

    def test_is_told_in_a_sentence(self, kind: type[MedialinkError]) -> None:
        message = an_example(kind).message
        assert "{" not in message
        assert len(message) > 10

    def test_survives_a_process_border(self, kind: type[MedialinkError]) -> None:
        error = an_example(kind)
        again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        assert (type(again), again.evidence) == (kind, error.evidence)


def test_only_what_hangs_on_the_moment_is_not_remembered_for_good() -> None:
    assert {kind.code for kind in RefusedMedium.__subclasses__() if not kind.lasting} == {"decode_limit"}


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in everything() if not kind.__subclasses__()]
    assert sorted(codes) == sorted(set(codes))


@pytest.mark.parametrize("kind", RefusedMedium.__subclasses__(), ids=lambda kind: kind.__name__)
def test_a_refusal_is_remembered_by_code_and_evidence(kind: type[RefusedMedium]) -> None:
    error = an_example(kind)
    again = refusal(error.code, error.evidence)
    assert (type(again), again.message) == (kind, error.message)


@pytest.mark.parametrize(("code", "evidence"), [("of_a_later_release", {}), (TooHeavy.code, {"unknown": 1})])
def test_a_refusal_of_another_release_stays_a_refusal(code: str, evidence: dict[str, object]) -> None:
    assert type(refusal(code, evidence)) is RefusedMedium
