"""Hostile bytes: whatever is broken, there is a verdict or a typed refusal, and what was made keeps the limits."""

from io import BytesIO
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from proxy.errors import RefusedMedium
from proxy.media.checker import check
from proxy.media.kinds import LIMITS, STILL_STICKER, AsIs, ImageRules, Kind, Made, Rules
from tests.media.mutations import mutate, seeds

RULES = Rules(image=ImageRules(max_pixels=300_000, heavy_bytes=20_000, heavy_edge_px=320))
PICTURES = [
    name for name in seeds() if name.split()[0] in {"jpeg", "png", "gif", "webp", "tiff", "bmp", "heic", "avif"}
]


def judge(kind: Kind, data: bytes) -> AsIs | Made | str:
    """Give a verdict, or the code of a refusal; hold what was made to its promises."""
    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "source", Path(folder) / "target"
        source.write_bytes(data)
        try:
            verdict = check(kind, source, target, RULES)
        except RefusedMedium as refused:
            assert not target.exists()
            return refused.code
        if isinstance(verdict, Made):
            hold(kind, verdict, target.read_bytes())
        assert verdict.media_type in LIMITS[kind].media_types or verdict.warnings
        return verdict


def hold(kind: Kind, verdict: Made, body: bytes) -> None:
    with Image.open(BytesIO(body)) as made:
        made.load()
        assert made.size == (verdict.width, verdict.height)
        assert made.mode in {"RGB", "RGBA"}
        still = not getattr(made, "is_animated", False)
    assert len(body) == verdict.size_bytes
    limit_bytes = RULES.image.budget_bytes if kind is Kind.IMAGE else LIMITS[kind].aim_bytes
    assert len(body) <= (min(limit_bytes, STILL_STICKER.aim_bytes) if still else limit_bytes)


@pytest.mark.parametrize("name", PICTURES)
def test_the_seeds_are_whole(name: str) -> None:
    for kind in (Kind.IMAGE, Kind.STICKER):
        assert isinstance(judge(kind, seeds()[name]), AsIs | Made), kind


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(Kind),
    name=st.sampled_from(sorted(seeds())),
    other=st.sampled_from(sorted(seeds())),
    random=st.randoms(use_true_random=False),
)
def test_whatever_is_broken_has_a_verdict(kind: Kind, name: str, other: str, random: Random) -> None:
    judge(kind, mutate(seeds()[name], seeds()[other], random))


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from([Kind.IMAGE, Kind.STICKER]),
    name=st.sampled_from(PICTURES),
    random=st.randoms(use_true_random=False),
)
def test_whatever_is_broken_of_a_picture_has_a_verdict(kind: Kind, name: str, random: Random) -> None:
    judge(kind, mutate(seeds()[name], seeds()["jpeg"], random))


def test_mutations_go_past_the_door() -> None:
    """Mutants that are all refused by their first bytes would prove nothing."""
    random = Random(5)  # noqa: S311 - no secret
    answers = [judge(Kind.IMAGE, mutate(seeds()[name], seeds()["png"], random)) for name in PICTURES for _ in range(8)]
    assert sum(isinstance(answer, AsIs | Made) for answer in answers) > len(answers) / 10
    assert sum(answer == "undecodable" for answer in answers) > len(answers) / 5
