"""The door to OpenTelemetry: spans are made here, and a thread exports them.

What a span holds is a closed set of names and numbers. An error leaves its code or its class there and never its text:
keys, numbers and links stand in texts.
"""

import asyncio
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from typing import Final
from urllib.parse import unquote, urlsplit

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import get_global_textmap
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, StatusCode, get_current_span

from proxy.errors import MedialinkError
from proxy.telemetry import log
from proxy.telemetry.otel import ENDPOINTS
from proxy.telemetry.redaction import Redaction

__all__ = ["CODE", "ERROR_TYPE", "SERVER_FAILED", "Attributes", "Complaints", "Headers", "Span", "Traces", "fail"]

NAME: Final = "medialink"
FLUSH_LIMIT_S: Final = 2.0
"""How long the end waits for the last spans; the library's own limit is 30 s, longer than platforms wait for us."""
PAUSE_S: Final = 60.0
SERVER_FAILED: Final = 500
CODE: Final = "medialink.error.code"
ERROR_TYPE: Final = "error.type"

_HEADERS: Final = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")

Attributes = Mapping[str, str | int | float | bool]
Headers = Iterable[tuple[bytes, bytes]]


class Traces:
    """Makes spans of this process. Sampling, limits, batches and the exporter go by OpenTelemetry's own variables."""

    def __init__(self) -> None:
        self._log = logging.getLogger("opentelemetry")
        self._complaints = Complaints(Redaction(_secrets(os.environ)), time.monotonic)
        self._log.addHandler(self._complaints)
        self._log.propagate = False
        self._exporter = OTLPSpanExporter()
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer(NAME)
        self._propagator = get_global_textmap()
        self._fields = frozenset(field.encode() for field in self._propagator.fields)

    def are_told_by(self, headers: Headers) -> bool:
        """Say whether a request names a trace of its caller's."""
        return not self._fields.isdisjoint(name for name, _ in headers)

    @contextmanager
    def request(self, name: str, attributes: Attributes, told: Headers = ()) -> Iterator[Span]:
        """Open the span of a request, in the trace that `told` names, else in a new one.

        What is current is never its parent: a pipelined request runs in the context of the one before it.
        """
        with (
            self._tracer.start_as_current_span(
                name,
                context=self._parent(told) if told else Context(),
                kind=SpanKind.SERVER,
                attributes=attributes,
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
            _failures_of(span),
        ):
            yield span

    def _parent(self, told: Headers) -> Context:
        carrier: dict[str, list[str]] = {}
        for field, value in told:
            carrier.setdefault(field.decode("latin-1"), []).append(value.decode("latin-1"))
        return self._propagator.extract(carrier, Context())

    @contextmanager
    def step(self, name: str, attributes: Attributes, *, remote: bool = False) -> Iterator[Span]:
        """Open the span of a step of a request; what nobody asked for, as the round of takedowns, has none."""
        if not get_current_span().is_recording():
            yield INVALID_SPAN
            return
        with (
            self._tracer.start_as_current_span(
                name,
                kind=SpanKind.CLIENT if remote else SpanKind.INTERNAL,
                attributes=attributes,
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
            _failures_of(span),
        ):
            yield span

    async def close(self) -> None:
        """Export what is left, for a bounded time: a collector that is away must not hold up the end."""
        ending = Thread(target=self._provider.shutdown, name="traces-ending", daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, FLUSH_LIMIT_S)
        if ending.is_alive():
            self._exporter.shutdown()  # type: ignore[no-untyped-call]  # the library leaves it unannotated
        self._log.removeHandler(self._complaints)
        self._log.addHandler(logging.NullHandler())


class Complaints(logging.Handler):
    """Tells what OpenTelemetry complains of, at most once a minute: while a collector is away, each batch complains."""

    def __init__(self, redaction: Redaction, clock: Callable[[], float]) -> None:
        super().__init__(logging.WARNING)
        self._redaction = redaction
        self._clock = clock
        self._quiet_until_s = 0.0
        self._untold = 0

    def emit(self, record: logging.LogRecord) -> None:
        now_s = self._clock()
        if now_s < self._quiet_until_s:
            self._untold += 1
            return
        problem = self._redaction.mask(record.getMessage())
        log.warning("traces.trouble", problem=problem, library=record.name, untold=self._untold)
        self._quiet_until_s, self._untold = now_s + PAUSE_S, 0


def fail(span: Span, error_type: str) -> None:
    """Mark a span as failed."""
    span.set_attribute(ERROR_TYPE, error_type)
    span.set_status(StatusCode.ERROR)


@contextmanager
def _failures_of(span: Span) -> Iterator[None]:
    """Note how a span ends that does not end well; an answer such as `not_found` is no failure of ours."""
    try:
        yield
    except MedialinkError as error:
        span.set_attribute(CODE, error.code)
        if error.status >= SERVER_FAILED:
            fail(span, error.code)
        raise
    except BaseException as error:
        fail(span, type(error).__name__)
        raise


def _resource() -> Resource:
    """Describe this process; it is `medialink` unless the environment names it otherwise."""
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: NAME}))
    return resource


def _secrets(environment: Mapping[str, str]) -> Iterator[str]:
    """List what the exporter's variables keep to themselves: the library shows a header that it cannot read."""
    for name in _HEADERS:
        given = environment.get(name, "")
        for text in (given, unquote(given)):
            yield from re.split(r"[,=\s]+", text)
    for name in ENDPOINTS:
        if password := urlsplit(environment.get(name, "")).password:
            yield from (password, unquote(password))
