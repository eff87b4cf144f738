"""The provider's own API, with links that work: what callers of 360dialog or Meta call instead, by another base URL."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from proxy import telemetry
from proxy.errors import (
    AccountNotAllowed,
    Busy,
    Malformed,
    MedialinkError,
    MethodNotAllowed,
    ProviderBusy,
    SendUncertain,
    TooLarge,
    Unavailable,
)
from proxy.messaging.callers import Caller, Callers, presented_key, read_body
from proxy.messaging.forward import Forward, Forwarded
from proxy.messaging.graph_errors import AWAY, UNKNOWN, GraphError, graph_error
from proxy.messaging.hops import METHODS, house_key_header, onward, segments_of, sends_a_message
from proxy.messaging.idempotency import HEADER, Claim, Idempotency, Said, parse_key
from proxy.messaging.ledger import Beside
from proxy.messaging.outcomes import NotSent, Outcome, may_be_sent_again
from proxy.messaging.rewrite import LinkFailed, Rewrite, Rewritten
from proxy.messaging.slots import read_letter
from proxy.messaging.upstream import Call, Passing, Upstream
from proxy.telemetry import metrics

MAX_MESSAGE_BYTES: Final = 256 * 1024
"""A text of 4,096 characters, each written as an escape, has 25 KB."""
MAX_PASSED_BYTES: Final = 101 * 1024 * 1024
"""WhatsApp's largest medium is 100 MB, and a form is around it."""
GONE_STATUS: Final = 499
"""nginx's, for the log: who has hung up hears nothing."""


class HungUp(Exception):
    """The caller is gone, and nothing was posted."""


class Posted(NamedTuple):
    """`is_final`: who asks again gets this answer, for the message may have been taken."""

    response: Response
    is_final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """An ASGI app for all below `/waba/`. The provider sees the `house_key`, where there is one, else the caller's."""

    callers: Callers
    rewrite: Rewrite
    forward: Forward
    upstream: Upstream
    idempotency: Idempotency
    house_key: str | None
    wait_s: float
    new_id: Callable[[], str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            answer = await self._answer(request)
        except LinkFailed as failure:
            answer = _refused(graph_error(failure.error, failure.where), failure.error.code)
        except MethodNotAllowed as error:
            answer = _refused(graph_error(error), error.code, {"Allow": error.allowed})
        except MedialinkError as error:
            answer = _refused(graph_error(error), error.code)
        except HungUp:
            answer = Response(status_code=GONE_STATUS)
        except Exception as error:  # noqa: BLE001 - a defect of ours, told in the shape that the caller can read
            telemetry.log.error("request.broke", exc_info=error)
            answer = _refused(graph_error(MedialinkError()), MedialinkError.code)
        if isinstance(answer, Response):
            await answer(scope, receive, send)
            return
        async with aclosing(answer):
            passed = StreamingResponse(answer.body(), answer.status)
            passed.raw_headers = answer.headers
            await passed(scope, receive, send)

    async def _answer(self, request: Request) -> Response | Passing:
        caller = self.callers.admit(request)
        if request.method not in METHODS:
            raise MethodNotAllowed(allowed=", ".join(sorted(METHODS)))
        segments = segments_of(request.scope["raw_path"])
        call = Call(
            method=request.method,
            path=request.scope["raw_path"].removeprefix(b"/waba"),
            query=request.scope["query_string"],
            headers=onward(request.scope["headers"], key=self._key(request, segments)),
        )
        if sends_a_message(request.method, segments):
            return await self._send(request, caller, call)
        if self.house_key is not None and "" not in caller.prefixes:
            raise AccountNotAllowed
        return await self._pass(request, call)

    def _key(self, request: Request, segments: tuple[str, ...]) -> tuple[bytes, bytes]:
        """Give the one key header that the provider is to see: ours, or the very key that let the caller in."""
        if self.house_key is not None:
            return house_key_header(self.house_key, segments)
        header, key = presented_key(request)
        return header.encode(), (f"Bearer {key}" if header == "authorization" else key).encode()

    async def _send(self, request: Request, caller: Caller, call: Call) -> Response:
        body = await read_body(request, MAX_MESSAGE_BYTES)
        own_id = self.new_id()
        if HEADER not in request.headers:
            rewritten = await self._begin(request, caller, body, own_id)
            return (await self._post(rewritten, call)).response
        _, caller_key = presented_key(request)
        asked = b"\0".join((call.path, call.query, body))
        claimed = await self.idempotency.claim(caller_key, parse_key(request.headers[HEADER]), asked, own_id)
        if isinstance(claimed, Said):
            return _replayed(claimed)
        try:
            rewritten = await self._begin(request, caller, body, own_id, [partial(self.idempotency.hold, claimed)])
        except Exception:
            await _tried(self.idempotency.release(claimed))
            raise
        posted = await self._post(rewritten, call)
        await self._remember(claimed, posted)
        return posted.response

    async def _begin(
        self, request: Request, caller: Caller, body: bytes, own_id: str, beside: Sequence[Beside] = ()
    ) -> Rewritten:
        """Do all that comes before the post: whatever goes wrong here, nothing was posted."""
        letter = read_letter(body)
        try:
            async with asyncio.timeout(self.wait_s):
                rewritten = await self.rewrite(letter, caller, own_id=own_id)
        except TimeoutError:
            raise Busy from None
        if await request.is_disconnected():
            telemetry.log.info("gateway.hung_up", id=rewritten.id)
            raise HungUp
        await self.forward.begin(rewritten, beside)
        return rewritten

    async def _post(self, rewritten: Rewritten, call: Call) -> Posted:
        """Post a message: whatever goes wrong from here on, it may have been taken."""
        forwarded = await self.forward.post(rewritten, call)
        return Posted(_told(forwarded), is_final=not may_be_sent_again(forwarded.outcome))

    async def _remember(self, claim: Claim, posted: Posted) -> None:
        """Keep the answer, or forget the request where it was not taken."""
        response = posted.response
        said = Said(status=response.status_code, headers=response.raw_headers, body=bytes(response.body))
        await _tried(self.idempotency.settle(claim, said) if posted.is_final else self.idempotency.release(claim))

    async def _pass(self, request: Request, call: Call) -> Response | Passing:
        answer = await self.upstream.pass_on(call, _body_of(request))
        if isinstance(answer, Passing):
            return answer
        return _unanswered(answer)


async def _tried(writing: Awaitable[None]) -> None:
    """Write down what became of a claim. A ledger that fails now must not change what the caller is told."""
    try:
        await writing
    except Unavailable as error:
        telemetry.log.error("answer.not_written_down", error=error.code)


def _replayed(said: Said) -> Response:
    response = Response(said.body, said.status)
    response.raw_headers = [*said.headers, (b"idempotent-replayed", b"true")]
    return response


def _told(forwarded: Forwarded) -> Response:
    """Give the provider's answer as it is, and beside it what was done."""
    rewritten = forwarded.rewritten
    notes = {
        "X-Medialink-Id": rewritten.id,
        "X-Medialink-Links": ", ".join(f"{what}={count}" for what, count in rewritten.counts.items()),
    }
    if rewritten.warnings:
        notes["X-Medialink-Warning"] = ", ".join(rewritten.warnings)
    answer = forwarded.answer
    if answer is None:
        return _unanswered(forwarded.outcome, notes)
    response = Response(answer.body, answer.status)
    response.raw_headers = [
        *((name, value) for name, value in answer.headers if name != b"content-length"),
        (b"content-length", str(len(answer.body)).encode()),
        *((name.lower().encode(), value.encode()) for name, value in notes.items()),
    ]
    return response


def _unanswered(outcome: Outcome, notes: Mapping[str, str] | None = None) -> Response:
    """Say whether it may be asked again, in words and by the code: clients try 131016 again, and not 131000."""
    if isinstance(outcome, NotSent):
        details = f"The provider could not be reached, and was told nothing ({outcome.details}). Try again."
        error = GraphError(status=503, code=AWAY, details=details, retry_after_s=ProviderBusy.retry_after_s)
        return _refused(error, ProviderBusy.code, notes)
    details = "The provider did not answer. It may have done what was asked: do not ask again by itself."
    return _refused(GraphError(status=504, code=UNKNOWN, details=details), SendUncertain.code, notes)


def _refused(error: GraphError, code: str, notes: Mapping[str, str] | None = None) -> Response:
    """Answer in the provider's shape; `code` is ours, for the log and the metrics."""
    telemetry.log.info("gateway.refused", code=code, status=error.status)
    metrics.REFUSALS.labels(code).inc()
    headers = {"Cache-Control": "no-store", **(notes or {})}
    if error.retry_after_s:
        headers["Retry-After"] = str(error.retry_after_s)
    return JSONResponse(error.payload(telemetry.request_id.get() or ""), error.status, headers)


def _body_of(request: Request) -> AsyncIterator[bytes] | None:
    """Give a body as it comes, where one is announced.

    Raises:
        TooLarge: it is announced to be more than is passed on, or turns out so on the way.
    """
    announced = request.headers.get("content-length", "")
    if announced == "0" or (not announced and "transfer-encoding" not in request.headers):
        return None
    if announced and int(announced) > MAX_PASSED_BYTES:
        raise TooLarge(size_bytes=int(announced), limit_bytes=MAX_PASSED_BYTES)
    return _pieces(request)


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    passed_bytes = 0
    try:
        async for piece in request.stream():
            passed_bytes += len(piece)
            if passed_bytes > MAX_PASSED_BYTES:
                raise TooLarge(size_bytes=None, limit_bytes=MAX_PASSED_BYTES)
            yield piece
    except ClientDisconnect as error:
        raise Malformed(field="body", problem="ended before it was whole") from error
