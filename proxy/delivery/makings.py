"""Media being judged and made to fit: so many at once, each in a worker process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy.delivery.verdicts import Refused, Verdict, refused_by
from proxy.errors import Busy, RefusedMedium, TooHeavy
from proxy.media.checker import check, recipe
from proxy.media.kinds import LIMITS, MADE, Kind, Rules
from proxy.media.workers import Workers
from proxy.telemetry import metrics


class Makings:
    """`max_at_once` are in hand, from before their source is fetched until their rendition is kept."""

    def __init__(self, workers: Workers, rules: Rules, *, max_at_once: int) -> None:
        self._workers = workers
        self._rules = rules
        self._max_at_once = max_at_once
        self._in_hand = 0
        metrics.MAKING_PLACES.set(max_at_once)

    def recipe(self, kind: Kind) -> str:
        """Name everything of ours that decides what is made."""
        return recipe(kind, self._rules)

    def refuse_by_size(self, kind: Kind, size_bytes: int) -> Refused | None:
        """Refuse what is too heavy and would not be made lighter, before it is looked at."""
        limit_bytes = LIMITS[kind].max_bytes
        if kind in MADE or size_bytes <= limit_bytes:
            return None
        return refused_by(TooHeavy(kind=kind, size_bytes=size_bytes, limit_bytes=limit_bytes))

    @contextmanager
    def place(self) -> Iterator[None]:
        """Count who makes something; one too many is Busy before its source is even asked for."""
        if self._in_hand >= self._max_at_once:
            raise Busy
        self._in_hand += 1
        try:
            with metrics.MAKINGS.track_inprogress():
                yield
        finally:
            self._in_hand -= 1

    async def make(self, kind: Kind, source: Path, target: Path) -> Verdict:
        """Judge a source, and write to `target` what must be made of it.

        Raises:
            Busy: too many wait for a worker.
            DiskFull: there is no room for what was made.
        """
        try:
            with metrics.MAKING_SECONDS.labels(kind).time():
                return await self._workers.run(check, kind, source, target, self._rules)
        except RefusedMedium as error:
            return refused_by(error)
