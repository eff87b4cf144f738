"""Encode pictures of a sticker's size as WebP within a byte budget: quality gives way first, then frames."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Final

from PIL import Image

from proxy.errors import TooHeavy
from proxy.media.kinds import Kind

QUALITY: Final = 85
FLOOR_QUALITY: Final = 20
"""Below it a film gives frames instead: slower is better to look at than blocks."""
_AIM: Final = 0.95
"""Aim a little under the budget, because a prediction is off by a few per cent."""
_MAX_LOOKS: Final = 6
_MAX_CUTS: Final = 6
_SLOPE: Final = 0.04
"""Of the logarithm of the size by a point of quality, where nothing is known yet; measured 0.01 to 0.09."""
_LEAST_SLOPE: Final = 0.01
_EXCERPT_FRAMES: Final = 8
_STILL_METHOD: Final = 4
_FILM_METHOD: Final = 2
"""Four takes twice the time, for a tenth of the bytes (measured on 40 frames of photograph)."""
_WITHOUT_LOSS: Final = {"lossless": True, "quality": 60}
_NO_KEY_FRAMES: Final = {"kmin": 1 << 20, "kmax": (1 << 20) + 1}
"""Nobody seeks in a sticker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """RGBA frames of one size, and how long each is shown; a single one is a still."""

    frames: Sequence[Image.Image]
    durations_ms: Sequence[int]

    def thinned(self, count: int) -> "Film":
        """Show `count` of the frames, in the same time."""
        kept = [number * len(self.frames) // count for number in range(count)]
        ends = [*kept[1:], len(self.frames)]
        return Film(
            frames=[self.frames[number] for number in kept],
            durations_ms=[sum(self.durations_ms[begin:end]) for begin, end in zip(kept, ends, strict=True)],
        )

    def excerpt(self, count: int) -> "Film":
        """Take at most `count` frames that follow each other, from the middle."""
        begin = max(0, (len(self.frames) - count) // 2)
        middle = slice(begin, begin + count)
        return Film(frames=self.frames[middle], durations_ms=self.durations_ms[middle])


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedFilm:
    """`quality` is None where nothing was lost."""

    body: bytes
    frames: int
    quality: int | None
    encodes: int


def encode_film(film: Film, budget_bytes: int) -> EncodedFilm:
    """Encode a still or a film of any content.

    Raises:
        TooHeavy: there is neither quality nor a frame left to give.
    """
    spent = 0
    if _is_drawn(film.excerpt(1)):
        body, spent = _encode(film, None), 1
        if len(body) <= budget_bytes:
            return EncodedFilm(body=body, frames=len(film.frames), quality=None, encodes=spent)
    if len(film.frames) > 1 and (encoded := _encode_moving(film, budget_bytes, spent)):
        return encoded
    return _encode_still(film.excerpt(1), budget_bytes, spent)


def _encode_still(film: Film, budget_bytes: int, spent: int) -> EncodedFilm:
    bodies: dict[int, bytes] = {}

    def weigh(quality: int) -> int:
        bodies[quality] = bodies.get(quality) or _encode(film, quality)
        return len(bodies[quality])

    quality = _choose(weigh, budget_bytes, floor=0)
    if quality is None:
        raise TooHeavy(kind=Kind.STICKER.value, size_bytes=len(bodies[0]), limit_bytes=budget_bytes)
    return EncodedFilm(body=bodies[quality], frames=1, quality=quality, encodes=spent + len(bodies))


def _encode_moving(film: Film, budget_bytes: int, spent: int) -> EncodedFilm | None:
    """Weigh an excerpt, which costs a tenth, and encode the whole where it should fit; None if two frames do not."""
    correction = 1.0
    for _ in range(_MAX_CUTS):
        model = _Model(film)

        def weigh(quality: int, model: "_Model" = model, correction: float = correction) -> float:
            return model.weigh(quality) * correction

        quality = _choose(weigh, budget_bytes * _AIM, floor=FLOOR_QUALITY)
        if quality is None:
            count = model.affordable(FLOOR_QUALITY, budget_bytes * _AIM / correction)
            if count < 2:  # noqa: PLR2004 - nothing moves
                break
            film = film.thinned(count)
            continue
        body = _encode(film, quality)
        spent += 1
        if len(body) <= budget_bytes:
            return EncodedFilm(body=body, frames=len(film.frames), quality=quality, encodes=spent)
        correction = len(body) / model.weigh(quality)
    return None


class _Model:
    """What a film weighs: its first frame whole, and of each other one what changes."""

    def __init__(self, film: Film) -> None:
        self._count = len(film.frames)
        self._excerpt = film.excerpt(_EXCERPT_FRAMES)
        self._parts = cache(self._measure)

    def weigh(self, quality: int) -> float:
        first, other = self._parts(quality)
        return first + other * (self._count - 1)

    def affordable(self, quality: int, budget_bytes: float) -> int:
        """Say how many frames fit: one fewer than there are, at the most."""
        first, other = self._parts(quality)
        return min(self._count - 1, 1 + int(max(0.0, budget_bytes - first) / max(1.0, other)))

    def _measure(self, quality: int) -> tuple[float, float]:
        first, count = len(_encode(self._excerpt.excerpt(1), quality)), len(self._excerpt.frames)
        return first, max(0, len(_encode(self._excerpt, quality)) - first) / (count - 1)


def _choose(weigh: Callable[[int], float], budget_bytes: float, *, floor: int) -> int | None:
    """Find a quality that fits by a secant over the logarithm of the size; None if even the floor does not."""
    quality, slope = QUALITY, _SLOPE
    last: tuple[int, float] | None = None
    for _ in range(_MAX_LOOKS):
        size_bytes = weigh(quality)
        if size_bytes <= budget_bytes:
            return quality
        if quality == floor:
            return None
        if last is not None:
            slope = max(_LEAST_SLOPE, math.log(last[1] / size_bytes) / (last[0] - quality))
        last = quality, size_bytes
        quality = max(floor, quality - math.ceil(math.log(size_bytes / (budget_bytes * _AIM)) / slope))
    return floor if weigh(floor) <= budget_bytes else None


def _is_drawn(still: Film) -> bool:
    """Tell a drawing from a photograph: it is lighter without loss than with, and sharper."""
    return len(_encode(still, None)) <= len(_encode(still, QUALITY))


def _encode(film: Film, quality: int | None) -> bytes:
    out = BytesIO()
    first, *others = film.frames
    loss = _WITHOUT_LOSS if quality is None else {"quality": quality, "alpha_quality": quality}
    if others:
        shown: dict[str, object] = {"duration": list(film.durations_ms), "method": _FILM_METHOD}
        first.save(out, "WEBP", save_all=True, append_images=others, **shown, **_NO_KEY_FRAMES, **loss)
    else:
        first.save(out, "WEBP", method=_STILL_METHOD, **loss)
    return out.getvalue()
