"""Where messages are posted: one is read, taken and answered, or badly treated where the sandbox was told so."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from proxy.sandbox import answers
from proxy.sandbox.carrier import Carrier, Message
from proxy.sandbox.drawer import Drawer
from proxy.sandbox.keys import Keys
from proxy.sandbox.messages import read
from proxy.sandbox.payloads import PHONE_NUMBER_ID
from proxy.sandbox.rates import Gate
from proxy.sandbox.refusals import THROUGHPUT, Refusal
from proxy.sandbox.settings import Behaviour, Order


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
    keys: Keys
    temper: Temper
    gate: Gate
    drawer: Drawer
    carrier: Carrier
    random_bytes: Callable[[int], bytes]

    async def post_message(self, request: Request) -> Response:
        """Take a message at 360dialog's path."""
        return await self._post(request, self.keys.refusal, PHONE_NUMBER_ID)

    async def post_message_to_meta(self, request: Request) -> Response:
        """Take a message at Meta's path, with or without a version."""
        return await self._post(request, self.keys.refusal_of_meta, str(request.path_params["phone_id"]))

    async def _post(
        self, request: Request, key_refusal: Callable[[Request], answers.Reply | None], sender: str
    ) -> Response:
        order = self.temper.spend()
        failure = answers.refused_before(order.behaviour, self.random_bytes) or key_refusal(request)
        if failure is not None:
            return answers.respond(failure)
        posted = read(await request.body())
        if isinstance(posted, Refusal):
            return self._refuse(posted)
        refusal = self.drawer.unknown(posted.media, sender) or self.gate.admit(posted.wa_id)
        if refusal is not None:
            return self._refuse(refusal)
        message = self.carrier.accept(posted, fetch_limited=order.behaviour is Behaviour.FETCH_LIMIT)
        return self._refuse(THROUGHPUT) if message is None else await self._answer(request, order, message)

    def _refuse(self, refusal: Refusal) -> Response:
        return answers.respond(answers.refused(refusal, self.random_bytes))

    async def _answer(self, request: Request, order: Order, message: Message) -> Response:
        """The message moves once its answer is out; where the answer is late or lost, at once."""
        reply = answers.accepted(message.posted, message.id)
        match order.behaviour:
            case Behaviour.SLOW:
                await self.carrier.start(message)
                await _linger(request, order.seconds)
                return answers.respond(reply)
            case Behaviour.LOST:
                await self.carrier.start(message)
                return LostAnswer()
            case Behaviour.FAIL_AFTER:
                reply = answers.failed_after()
            case Behaviour.NO_ID:
                reply = answers.accepted_without_id(message.posted)
        return answers.respond(reply, BackgroundTask(self.carrier.start, message))


class LostAnswer(Response):
    """Close the connection without an answer.

    ASGI knows no such thing. A server whose application ends after an interim status, which is no answer yet (RFC 9110,
    section 15.2), has nothing left but to close.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 -- ASGI's signature
        await send({"type": "http.response.start", "status": HTTPStatus.PROCESSING, "headers": []})


async def _linger(request: Request, seconds: float) -> None:
    """Wait, but not for a caller who has gone: with the body read, all that can still come is the disconnect."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await request.receive()
