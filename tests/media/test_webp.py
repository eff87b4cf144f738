"""Stickers within their bytes: what gives way, in which order, and what never does."""

import random
from collections.abc import Callable
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from proxy.errors import TooHeavy
from proxy.media.webp import FLOOR_QUALITY, QUALITY, EncodedFilm, Film, encode_film

EDGE = 512
STILL_BYTES, FILM_BYTES = 100_000, 500_000


def film(*frames: Image.Image) -> Film:
    return Film(frames=frames, durations_ms=[80 + number for number in range(len(frames))])


def drawn(number: int = 0) -> Image.Image:
    picture = Image.new("RGBA", (EDGE, EDGE))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((50 + number, 90, 350 + number, 390), fill="red", outline="black", width=9)
    return picture


def photograph(number: int = 0, *, seed: int = 1) -> Image.Image:
    """Cut a window out of a soft landscape; the next number's lies beside it."""
    chance = random.Random(seed)  # noqa: S311 - pixels
    rough = Image.frombytes("RGB", (60, 60), chance.randbytes(60 * 60 * 3))
    wide = rough.resize((900, 900), Image.Resampling.BICUBIC)
    return wide.crop((number * 4, number * 3, number * 4 + EDGE, number * 3 + EDGE)).convert("RGBA")


def noise(seed: int = 0) -> Image.Image:
    return Image.frombytes("RGBA", (EDGE, EDGE), random.Random(seed).randbytes(EDGE * EDGE * 4))  # noqa: S311 - pixels


def opened(encoded: EncodedFilm) -> Image.Image:
    return Image.open(BytesIO(encoded.body), formats=["WEBP"])


def test_a_drawing_loses_nothing() -> None:
    encoded = encode_film(film(drawn()), STILL_BYTES)
    assert (encoded.quality, encoded.frames, encoded.encodes) == (None, 1, 1)
    seen = opened(encoded).convert("RGBA")
    assert seen.getchannel("A").tobytes() == drawn().getchannel("A").tobytes()
    shown = seen.getchannel("A").point(lambda alpha: 255 if alpha else 0)
    assert Image.composite(seen, drawn(), shown).tobytes() == drawn().tobytes()


def test_a_photograph_that_fits_gets_the_usual_quality() -> None:
    encoded = encode_film(film(photograph()), STILL_BYTES)
    assert (encoded.quality, encoded.encodes) == (QUALITY, 1)
    assert len(encoded.body) < STILL_BYTES


@pytest.mark.parametrize("frames", [(noise(),), tuple(map(noise, range(12)))], ids=["still", "film"])
def test_noise_fits_too(frames: tuple[Image.Image, ...]) -> None:
    budget_bytes = STILL_BYTES if len(frames) == 1 else FILM_BYTES
    encoded = encode_film(film(*frames), budget_bytes)
    assert len(encoded.body) <= budget_bytes
    assert opened(encoded).size == (EDGE, EDGE)


def test_a_film_gives_quality_before_frames() -> None:
    frames = [photograph(number) for number in range(20)]
    rich = encode_film(film(*frames), FILM_BYTES)
    poor = encode_film(film(*frames), len(rich.body) * 3 // 4)
    poorest = encode_film(film(*frames), len(rich.body) // 12)
    assert rich.quality is not None
    assert poor.quality is not None
    assert poorest.quality is not None
    assert FLOOR_QUALITY <= poor.quality < rich.quality
    assert poor.frames == rich.frames == len(frames)
    assert 1 < poorest.frames < len(frames)
    assert len(poorest.body) <= len(rich.body) // 12


def test_a_thinned_film_takes_its_time() -> None:
    whole = film(*(drawn(number) for number in range(7)))
    for count in range(1, 8):
        thinned = whole.thinned(count)
        assert len(thinned.frames) == len(thinned.durations_ms) == count
        assert sum(thinned.durations_ms) == sum(whole.durations_ms)
        assert thinned.frames[0] is whole.frames[0]


def test_a_film_is_shown_as_long_as_its_source() -> None:
    whole = film(*(drawn(number * 9) for number in range(5)))
    seen = opened(encode_film(whole, FILM_BYTES))
    durations = []
    for number in range(5):
        seen.seek(number)
        seen.load()
        durations.append(seen.info["duration"])
    assert durations == list(whole.durations_ms)


def test_a_few_encodes_are_enough() -> None:
    encoded = encode_film(film(*(photograph(number) for number in range(30))), 60_000)
    assert encoded.encodes <= 3
    assert len(encoded.body) > 60_000 * 0.6, "the budget is used"


def test_what_fits_nowhere_is_refused() -> None:
    with pytest.raises(TooHeavy) as refused:
        encode_film(film(noise()), 1000)
    assert (refused.value.kind, refused.value.limit_bytes) == ("sticker", 1000)


MAKERS: list[Callable[[int], Image.Image]] = [drawn, photograph, noise]


@settings(max_examples=8, deadline=None)
@given(
    makers=st.lists(st.sampled_from(MAKERS), min_size=1, max_size=4),
    budget_bytes=st.integers(60_000, FILM_BYTES),
)
def test_whatever_it_is_made_of_it_fits(makers: list[Callable[[int], Image.Image]], budget_bytes: int) -> None:
    encoded = encode_film(film(*(maker(number) for number, maker in enumerate(makers))), budget_bytes)
    assert len(encoded.body) <= budget_bytes
    assert 1 <= encoded.frames <= len(makers)
