"""A system of the owner's own, which takes webhooks, or does not; and webhooks to give to it."""

import json
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.messaging.ledger import Ledger
from proxy.messaging.parcels import Parcel
from proxy.messaging.webhooks import parse_webhook
from proxy.servers import ThreadedServer
from tests.messaging.ledgers import EPOCH, KEY

LONG_S = 30.0


@dataclass
class Clock:
    at: datetime = EPOCH

    def __call__(self) -> datetime:
        return self.at

    def pass_s(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class OwnSystem:
    """`answers` are spent one a webhook, then it is 200; 0 means that no answer comes until `go_on`, then 200."""

    url: str = ""
    got: list[bytes] = field(default_factory=list)
    taken: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)

    async def answer(self, request: Request) -> Response:
        body = await request.body()
        self.got.append(body)
        self.headers.append(dict(request.headers))
        status = self.answers.pop(0) if self.answers else 200
        if not status:
            await anyio.to_thread.run_sync(self.go_on.wait, LONG_S, abandon_on_cancel=True)
            status = 200
        if status == 200:
            self.taken.append(body)
        return Response(b"x" * 100_000, status_code=status, headers={"Location": "/elsewhere"})


@contextmanager
def own_system() -> Iterator[OwnSystem]:
    system = OwnSystem()
    app = Starlette(routes=[Route("/{path:path}", system.answer, methods=["GET", "POST"])])
    with ThreadedServer(app, timeout_graceful_shutdown=0) as server:
        system.url = f"{server.url}/webhooks?for=us"
        try:
            yield system
        finally:
            system.go_on.set()


def body_of(*statuses: tuple[str, str], sender: str | None = None, mark: int = 0) -> bytes:
    """Write a webhook: statuses by message id and name, or a message that came in."""
    value: dict[str, object] = {"mark": mark}
    if statuses:
        value["statuses"] = [{"id": each, "status": state, "recipient_id": "491701234567"} for each, state in statuses]
    if sender is not None:
        value["messages"] = [{"id": f"wamid.in{mark}", "from": sender, "text": {"body": "Guten Tag"}}]
    return json.dumps({"entry": [{"changes": [{"field": "messages", "value": value}]}]}).encode()


def parcel_of(body: bytes, headers: Mapping[str, str] | None = None) -> Parcel:
    return Parcel.of(headers or {}, body, parse_webhook(body, received_at=EPOCH))


async def put(ledger: Ledger, body: bytes) -> None:
    webhook = parse_webhook(body, received_at=EPOCH)
    await ledger.take(webhook.statuses, [ledger.outbox.keeping(Parcel.of({}, body, webhook))])


def ledger_at(url: str, clock: Clock, keys: tuple[bytes, ...] = (KEY,)) -> Ledger:
    return Ledger(url, keys=keys, now=clock)


@asynccontextmanager
async def opened(url: str, clock: Clock, keys: tuple[bytes, ...] | None = None) -> AsyncIterator[Ledger]:
    ledger = ledger_at(url, clock) if keys is None else ledger_at(url, clock, keys)
    await ledger.open()
    try:
        yield ledger
    finally:
        await ledger.close()
