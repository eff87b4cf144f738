"""Where messages are posted: one is read, taken and answered, or badly treated where the sandbox was told so."""

import asyncio
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus

from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

from proxy.sandbox import answers
from proxy.sandbox.carrier import Carrier, Message
from proxy.sandbox.messages import read
from proxy.sandbox.refusals import Refusal
from proxy.sandbox.settings import Behaviour, Order

_VERSION = re.compile(r"v[0-9]{1,3}\.[0-9]")


class Temper:
    """The order in force, and how many requests it is still good for."""

    def __init__(self, order: Order) -> None:
        self._first = order
        self.order = order

    def spend(self) -> Order:
        """Take one request's share of the order."""
        order = self.order
        if not order.times:
            return Order()
        self.order = replace(order, times=order.times - 1)
        return order

    def reset(self) -> None:
        self.order = self._first


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    api_key: str | None
    temper: Temper
    carrier: Carrier
    random_bytes: Callable[[int], bytes]

    async def post_message(self, request: Request) -> Response:
        """Take a message at 360dialog's path."""
        return await self._post(request, request.headers.get("D360-API-KEY", ""), answers.key_refused())

    async def post_message_to_meta(self, request: Request) -> Response:
        """Take a message at Meta's path, with or without a version."""
        if not _VERSION.fullmatch(request.path_params.get("version", "v1.0")):
            raise HTTPException(HTTPStatus.NOT_FOUND)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        presented = token.strip() if scheme.lower() == "bearer" else ""
        return await self._post(request, presented, answers.token_refused(self.random_bytes))

    async def _post(self, request: Request, presented: str, key_refused: answers.Reply) -> Response:
        order = self.temper.spend()
        failure = answers.refused_before(order.behaviour)
        if failure is not None:
            return _respond(failure)
        if not self._is_accepted(presented):
            return _respond(key_refused)
        posted = read(await request.body())
        if isinstance(posted, Refusal):
            return _respond(answers.refused(posted, self.random_bytes))
        message = self.carrier.accept(posted)
        if message is None:
            return _respond(answers.refused(answers.THROUGHPUT, self.random_bytes))
        return await self._answer(request, order, message)

    def _is_accepted(self, key: str) -> bool:
        if self.api_key is None:
            return bool(key)
        return secrets.compare_digest(key.encode(), self.api_key.encode())

    async def _answer(self, request: Request, order: Order, message: Message) -> Response:
        """The message moves once its answer is out; where the answer is late or lost, at once."""
        reply = answers.accepted(message.posted, message.id)
        match order.behaviour:
            case Behaviour.SLOW:
                await self.carrier.start(message)
                await _linger(request, order.seconds)
                return _respond(reply)
            case Behaviour.LOST:
                await self.carrier.start(message)
                return LostAnswer()
            case Behaviour.FAIL_AFTER:
                reply = answers.failed_after()
            case Behaviour.NO_ID:
                reply = answers.accepted_without_id(message.posted)
        return _respond(reply, BackgroundTask(self.carrier.start, message))


class LostAnswer(Response):
    """Close the connection without an answer.

    ASGI knows no such thing. A server whose application ends after an interim status, which is no answer yet (RFC 9110,
    section 15.2), has nothing left but to close.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 -- ASGI's signature
        await send({"type": "http.response.start", "status": HTTPStatus.PROCESSING, "headers": []})


def _respond(reply: answers.Reply, background: BackgroundTask | None = None) -> Response:
    kind = HTMLResponse if isinstance(reply.content, str) else JSONResponse
    return kind(reply.content, reply.status, background=background)


async def _linger(request: Request, seconds: float) -> None:
    """Wait, but not for a caller who has gone: with the body read, all that can still come is the disconnect."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await request.receive()
