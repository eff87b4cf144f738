"""Request ids and log events, for every room."""

import logging
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from typing import Literal

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.telemetry.redaction import Redaction

log: structlog.stdlib.BoundLogger = structlog.get_logger("medialink")

_levels = logging.getLogger("medialink")
"""Knows the level in a tenth of a microsecond; structlog builds a logger to know it."""

_JSON = structlog.processors.JSONRenderer()
_TEXT = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
"""Both get a trace as plain text: structlog's own choice shows local variables, and keys and numbers are among them."""

request_id: ContextVar[str] = ContextVar("request_id", default="-")


def configure_logging(level: str, form: Literal["auto", "json", "text"], secrets: Iterable[str] = ()) -> None:
    """Send our events, and the libraries' warnings, to standard error; no line shows one of the secrets."""
    _levels.setLevel(level.upper())
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    about = (_add_request_id, structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True))
    shown = (structlog.processors.format_exc_info, Redaction(secrets), _JSON if as_json else _TEXT)
    theirs = logging.StreamHandler(sys.stderr)
    theirs.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *about],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *shown],
        )
    )
    logging.basicConfig(handlers=[theirs], level=logging.WARNING, force=True)
    logging.getLogger("uvicorn.error").addFilter(_is_not_a_trace_of_ours)
    structlog.configure(
        processors=[*about, *shown],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _is_not_a_trace_of_ours(record: logging.LogRecord) -> bool:
    """Drop uvicorn's trace of an exception: `request.broke` has it, with the request's id."""
    return not record.getMessage().startswith("Exception in ASGI application")


def _add_request_id(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if (current := request_id.get()) != "-":
        event.setdefault("request_id", current)
    return event


def tell_served(key: str, rendition: str, verdict: str, size_bytes: int, origin: str) -> None:
    """Log a medium that goes out: what had to be brought as `info`; the hits, too many to log each, as `debug`."""
    hit = origin == "disk"
    if hit and not _levels.isEnabledFor(logging.DEBUG):
        return
    tell = log.debug if hit else log.info
    tell("media.served", key=key, rendition=rendition, verdict=verdict, bytes=size_bytes, origin=origin)


class RequestIds:
    """Gives every request an id of ours, for the log, the error body and `X-Request-Id`."""

    def __init__(self, app: ASGIApp, new_id: Callable[[], str]) -> None:
        self._app = app
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        current = self._new_id()
        request_id.set(current)

        def send_with_id(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", current.encode())]
            return send(message)

        await self._app(scope, receive, send_with_id)
