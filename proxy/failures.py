"""Errors become answers: the public side to whoever asked, the private side to the log."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from proxy import telemetry
from proxy.errors import MedialinkError, MethodNotAllowed, NotFound


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
    """Answer what the router refuses in our shape: nothing here, or not by this method."""
    if not isinstance(error, HTTPException) or "Allow" not in (error.headers or {}):
        return await failed(request, NotFound())
    allowed = ", ".join(sorted((error.headers or {})["Allow"].split(", ")))
    response = await failed(request, MethodNotAllowed(allowed=allowed))
    response.headers["Allow"] = allowed
    return response


async def failed_unexpectedly(request: Request, error: Exception) -> Response:
    telemetry.log.error("request.broke", exc_info=error)
    return await failed(request, MedialinkError())
