"""What is counted, and the page that Prometheus reads.

The values of every label are closed sets that stand here, and each series begins at nought with its process. Where
several processes serve, each keeps its numbers in files of one folder, and whoever is asked adds them up.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import product
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from proxy.errors import MedialinkError

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The library's own variable, which it reads when it is imported."""
HAND_OVER_S: Final = 1.0
MAX_KNOWN: Final = 8192
"""Renditions whose fetches are told apart: a megabyte or two; the one that came first is forgotten first."""

KINDS: Final = ("audio", "document", "image", "sticker", "video")
ORIGINS: Final = ("memory", "link", "disk", "store", "source")
OPENED: Final = ("disk", "store", "source")
TURNS: Final = ("first", "second", "third_to_ninth", "later")
RESULTS: Final = ("as_is", "made", "refused")
CALLS: Final = ("find", "fetch", "put", "put_new", "names", "keys", "delete", "check", "remark")
CALL_RESULTS: Final = ("ok", "absent", "away", "busy", "failed")
OUTCOMES: Final = ("accepted", "refused", "not_sent", "uncertain")
FORWARDS: Final = ("taken", "refused", "away", "sealed", "expired")
STATES: Final = ("sent", "failed", "delivered", "read", "played")

_RESULT_OF: Final = {"not_found": "absent", "source_replaced": "absent", "store_away": "away", "busy": "busy"}
_OPEN_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LONG_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0)
_SECOND_TURN: Final = 2
_LATE_TURN: Final = 10

Metric = TypeVar("Metric", Counter, Gauge, Histogram)

disable_created_metrics()  # type: ignore[no-untyped-call]  # they double every series, and nobody asks for them
REGISTRY: Final = CollectorRegistry()


def codes() -> tuple[str, ...]:
    """List every code of the error tree."""

    def of(kind: type[MedialinkError]) -> set[str]:
        return {kind.code}.union(*map(of, kind.__subclasses__()))

    return tuple(sorted(of(MedialinkError)))


def _from_nought(metric: Metric, *values: tuple[str, ...]) -> Metric:
    """Begin every series now: a rate needs a nought to rise from."""
    for labels in product(*values):
        metric.labels(*labels)
    return metric


ANSWERS: Final = _from_nought(
    Counter(
        "medialink_media_answers",
        "Answers about media by origin: memory, disk, store or source; link is a 304 that the link alone gave.",
        ["origin"],
        registry=REGISTRY,
    ),
    ORIGINS,
)
FETCHES: Final = _from_nought(
    Counter(
        "medialink_rendition_fetches",
        "Whole bodies by the turn of their rendition, as each process counts it.",
        ["turn"],
        registry=REGISTRY,
    ),
    TURNS,
)
OPEN_SECONDS: Final = _from_nought(
    Histogram(
        "medialink_media_open_seconds",
        "From the request to an opened rendition.",
        ["origin"],
        buckets=_OPEN_S,
        registry=REGISTRY,
    ),
    OPENED,
)
RENDITIONS: Final = _from_nought(
    Counter("medialink_renditions", "Media that were judged, and made to fit.", ["kind", "result"], registry=REGISTRY),
    KINDS,
    RESULTS,
)
SAVED_BYTES: Final = _from_nought(
    Counter("medialink_rendition_saved_bytes", "Bytes that making took off sources.", ["kind"], registry=REGISTRY),
    KINDS,
)
REFUSALS: Final = _from_nought(
    Counter("medialink_refusals", "Answers that were errors.", ["code"], registry=REGISTRY), codes()
)
MAKING_SECONDS: Final = _from_nought(
    Histogram(
        "medialink_making_seconds",
        "Judging a medium and making it fit, with the wait for a slot.",
        ["kind"],
        buckets=_LONG_S,
        registry=REGISTRY,
    ),
    KINDS,
)
MAKINGS: Final = Gauge(
    "medialink_makings", "Media at work or in the queue.", multiprocess_mode="livesum", registry=REGISTRY
)
MAKING_PLACES: Final = Gauge(
    "medialink_making_places",
    "How many may be: one more is told that we are busy.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
NOT_STORED: Final = Counter(
    "medialink_renditions_not_stored", "Renditions that the store refused to keep.", registry=REGISTRY
)
FETCHES_LEFT_OUT: Final = Counter(
    "medialink_fetches_left_out", "Fetches that were not written down, as there were too many.", registry=REGISTRY
)
STORE_CALLS: Final = _from_nought(
    Counter("medialink_store_calls", "Calls to the store.", ["call", "result"], registry=REGISTRY), CALLS, CALL_RESULTS
)
STORE_SECONDS: Final = _from_nought(
    Histogram(
        "medialink_store_call_seconds",
        "A call to the store, with the wait for a thread.",
        ["call"],
        buckets=_LONG_S,
        registry=REGISTRY,
    ),
    CALLS,
)
SENDS: Final = _from_nought(
    Counter("medialink_sends", "Messages that were posted.", ["outcome"], registry=REGISTRY), OUTCOMES
)
SEND_SECONDS: Final = Histogram(
    "medialink_send_seconds", "A message at the provider, with its retries.", buckets=_LONG_S, registry=REGISTRY
)
STATUSES: Final = _from_nought(
    Counter("medialink_statuses", "Statuses that webhooks brought.", ["status"], registry=REGISTRY), STATES
)
UNREAD: Final = Counter(
    "medialink_webhooks_unread", "Webhooks of which something was not understood.", registry=REGISTRY
)
WEBHOOK_ERRORS: Final = Counter(
    "medialink_webhook_errors", "What WhatsApp complained of, about no message of ours.", registry=REGISTRY
)
FORWARDED: Final = _from_nought(
    Counter("medialink_webhooks_forwarded", "Posts of webhooks to their owner.", ["result"], registry=REGISTRY),
    FORWARDS,
)
OUTBOX: Final = Gauge(
    "medialink_outbox_webhooks",
    "Webhooks that wait to be passed on.",
    multiprocess_mode="livemostrecent",
    registry=REGISTRY,
)
OUTBOX_OLDEST_SECONDS: Final = Gauge(
    "medialink_outbox_oldest_seconds",
    "How long the oldest of them has waited.",
    multiprocess_mode="livemostrecent",
    registry=REGISTRY,
)


class Fetches:
    """Counts what goes out, as plain integers: the library's counter takes a microsecond or more, a hit fifty."""

    def __init__(self) -> None:
        self._origins = dict.fromkeys(ORIGINS, 0)
        self._turns = dict.fromkeys(TURNS, 0)
        self._known: dict[str, int] = {}
        self._handing_over = Lock()

    def answered(self, origin: str) -> None:
        self._origins[origin] += 1

    def fetched(self, rendition: str, origin: str) -> None:
        self._origins[origin] += 1
        turn = self._known.get(rendition, 0) + 1
        if turn == 1 and len(self._known) >= MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[rendition] = turn
        if turn >= _LATE_TURN:
            self._turns["later"] += 1
        elif turn > _SECOND_TURN:
            self._turns["third_to_ninth"] += 1
        else:
            self._turns["second" if turn == _SECOND_TURN else "first"] += 1

    def hand_over(self) -> None:
        """Give what was counted since the last time to the library."""
        with self._handing_over:
            for counts, counter in ((self._origins, ANSWERS), (self._turns, FETCHES)):
                for label, count in counts.items():
                    if count:
                        counter.labels(label).inc(count)
                        counts[label] -= count


_fetches: Final = Fetches()
answered, fetched, hand_over = _fetches.answered, _fetches.fetched, _fetches.hand_over


@asynccontextmanager
async def handed_over() -> AsyncIterator[None]:
    """Hand over every second, so that another process that is asked knows of it."""

    async def go_on() -> None:
        while True:
            await asyncio.sleep(HAND_OVER_S)
            hand_over()

    going = asyncio.create_task(go_on())
    try:
        yield
    finally:
        going.cancel()
        hand_over()


@contextmanager
def store_call(call: str) -> Iterator[None]:
    """Measure a call to the store, and count what came of it."""
    began_s = time.perf_counter()
    result = "failed"
    try:
        yield
        result = "ok"
    except MedialinkError as error:
        result = _RESULT_OF.get(error.code, result)
        raise
    finally:
        STORE_CALLS.labels(call, result).inc()
        STORE_SECONDS.labels(call).observe(time.perf_counter() - began_s)


def exposition() -> bytes:
    """Write the page, for all processes that share the folder."""
    hand_over()
    folder = os.environ.get(FOLDER)
    if folder is None:
        return generate_latest(REGISTRY)
    _bury_the_dead(Path(folder))
    registry = CollectorRegistry()
    MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _bury_the_dead(folder: Path) -> None:
    """Take away what a process that died said of its present; what it counted stays."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
