"""Errors become answers: the public side to whoever asked, the private side to the log."""

import asyncio
from collections.abc import Awaitable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy import telemetry
from proxy.delivery.answers import BodyBroke
from proxy.delivery.fetches import REFUSAL
from proxy.errors import Busy, MedialinkError, MethodNotAllowed, NotFound
from proxy.patience import REFUSED
from proxy.telemetry import metrics


async def failed(request: Request, error: Exception) -> Response:
    """Turn any error of ours into an answer; the private side of it goes to the log."""
    if not isinstance(error, MedialinkError):
        raise TypeError from error
    endpoint = getattr(request.scope.get("endpoint"), "__name__", None)
    telemetry.log.info(
        "request.failed",
        code=error.code,
        status=error.status,
        method=request.method,
        endpoint=endpoint,
        cause=repr(error.__cause__),
    )
    metrics.REFUSALS.labels(error.code).inc()
    request.scope[REFUSAL] = error.code
    retry = {"Retry-After": str(error.retry_after_s)} if error.retry_after_s else {}
    return JSONResponse(
        {
            "error": {
                "code": error.code,
                "message": error.message,
                "request_id": telemetry.request_id.get(),
                **error.evidence,
            }
        },
        status_code=error.status,
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **retry},
    )


async def failed_in_http(request: Request, error: Exception) -> Response:
    """Answer what the router refuses in our shape: nothing here, or not by this method; OPTIONS is told the methods.

    RFC 9110, 9.3.7; `*` asks about the server as a whole.
    """
    asks_for_methods = request.method == "OPTIONS"
    if asks_for_methods and request.scope["path"] == "*":
        return Response(status_code=204)
    if not isinstance(error, HTTPException) or "Allow" not in (error.headers or {}):
        return await failed(request, NotFound())
    allowed = ", ".join(sorted([*(error.headers or {})["Allow"].split(", "), "OPTIONS"]))
    response = (
        Response(status_code=204) if asks_for_methods else await failed(request, MethodNotAllowed(allowed=allowed))
    )
    response.headers["Allow"] = allowed
    return response


async def failed_unexpectedly(request: Request, error: Exception) -> Response:
    """Tell of a defect with its trace; of a body that broke on its way out, as much as there is to tell."""
    if isinstance(error, BodyBroke):
        telemetry.log.warning("media.cut", cause=str(error))
        return Response(status_code=MedialinkError.status)
    telemetry.log.error("request.broke", exc_info=error)
    return await failed(request, MedialinkError())


class Refusals:
    """Answers what the connection refused, and who still waits when the server's time to end is over."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if REFUSED in scope:
            await _tell_last(scope[REFUSED], scope, receive, send)
            return
        started = False

        def send_on(message: Message) -> Awaitable[None]:
            nonlocal started
            started = True
            return send(message)

        try:
            await self._app(scope, receive, send_on)
        except asyncio.CancelledError:  # uvicorn cancels a request at the end of its grace, and never else
            if started or scope["type"] != "http":
                raise
            await _tell_last(Busy(), scope, receive, send)


async def _tell_last(error: MedialinkError, scope: Scope, receive: Receive, send: Send) -> None:
    response = await failed(Request(scope), error)
    response.headers["Connection"] = "close"
    await response(scope, receive, send)
