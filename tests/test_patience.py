"""How long is too long: the rules by which a round ends a connection."""

from collections.abc import Sequence

import pytest

from proxy.patience import Limits, Patience, Phase, Sight

LIMITS = Limits(head_s=10, body_s=30, idle_s=75, farewell_s=2, pace_bytes_per_s=4096, pace_over_s=30)
SOMETHING, ANOTHER = object(), object()


def waits(phase: Phase, about: object = SOMETHING) -> Sight:
    return Sight(phase=phase, about=about, waiting_bytes=0, taken_bytes=0)


def reads(taken_bytes: int, phase: Phase = Phase.ANSWER) -> Sight:
    return Sight(phase=phase, about=SOMETHING, waiting_bytes=1_000_000, taken_bytes=taken_bytes)


def ended_at(sights: Sequence[tuple[float, Sight]]) -> float | None:
    patience = Patience()
    return next((now_s for now_s, sight in sights if patience.ends(sight, now_s, LIMITS)), None)


@pytest.mark.parametrize(
    ("phase", "limit_s"),
    [(Phase.HEAD, 10), (Phase.BODY, 30), (Phase.IDLE, 76), (Phase.FAREWELL, 2), (Phase.ANSWER, None)],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_each_phase_has_its_time(phase: Phase, limit_s: float | None) -> None:
    assert ended_at([(now_s, waits(phase)) for now_s in range(0, 200, 2)]) == limit_s


def test_another_request_has_a_time_of_its_own() -> None:
    sights = [(now_s, waits(Phase.HEAD, SOMETHING if now_s < 8 else ANOTHER)) for now_s in range(0, 200, 2)]
    assert ended_at(sights) == 18


def test_another_phase_has_a_time_of_its_own() -> None:
    sights = [(now_s, waits(Phase.HEAD if now_s < 8 else Phase.BODY)) for now_s in range(0, 200, 2)]
    assert ended_at(sights) == 38


@pytest.mark.parametrize(("bytes_per_s", "ends_at_s"), [(0, 30), (4000, 30), (4096, None), (1_000_000, None)], ids=str)
def test_a_reader_must_keep_a_pace(bytes_per_s: int, ends_at_s: float | None) -> None:
    assert ended_at([(now_s, reads(now_s * bytes_per_s)) for now_s in range(0, 200, 2)]) == ends_at_s


def test_what_was_read_fast_before_does_not_count_for_a_reader_who_stops() -> None:
    assert ended_at([(now_s, reads(min(now_s, 40) * 1_000_000)) for now_s in range(0, 200, 2)]) == 90


def test_a_reader_who_took_everything_starts_anew() -> None:
    sights = [(now_s, waits(Phase.ANSWER) if now_s == 28 else reads(0)) for now_s in range(0, 200, 2)]
    assert ended_at(sights) == 60


def test_while_bytes_wait_only_the_pace_counts_and_then_the_idle_time_starts() -> None:
    seen = {now_s: reads(now_s * 5000, Phase.IDLE) for now_s in range(2, 100, 2)}
    assert ended_at([(now_s, seen.get(now_s, waits(Phase.IDLE))) for now_s in range(0, 200, 2)]) == 176
