"""Messaging's part of the map: its doors and its routes. A service that only delivers never imports this."""

import asyncio
import random
import secrets
import string
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import SecretStr
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Scope

from proxy.delivery.links import Links
from proxy.delivery.mint import Mint
from proxy.delivery.uploads import Uploads
from proxy.errors import Unauthorized
from proxy.gateway_doors import Draft, build_gateway, build_importing
from proxy.messaging.authenticity import Authenticity
from proxy.messaging.bodies import Bodies
from proxy.messaging.callers import Callers
from proxy.messaging.chores import Chore, at_work
from proxy.messaging.fetch_log import EVERY_S as FETCHES_EVERY_S
from proxy.messaging.fetch_log import FetchLog
from proxy.messaging.forward import Forward
from proxy.messaging.give import Give
from proxy.messaging.idempotency import BEGIN_MARGIN_S, SWEEP_EVERY_S, Idempotency
from proxy.messaging.importing import Importing
from proxy.messaging.judge import Judge
from proxy.messaging.ledger import SETTLE_EVERY_S, Ledger
from proxy.messaging.owner import Owner
from proxy.messaging.prepare import Prepare
from proxy.messaging.proof import Proof
from proxy.messaging.provider import Provider, Retries, Timeouts
from proxy.messaging.receive import MAX_WEBHOOK_BYTES, Receive
from proxy.messaging.relay import EVERY_S as RELAY_EVERY_S
from proxy.messaging.relay import LOOK_EVERY_S, Relay, Watch
from proxy.messaging.retention import EVERY_S as RETENTION_EVERY_S
from proxy.messaging.retention import Retention
from proxy.messaging.sealed import Seal
from proxy.messaging.send import Post, Send
from proxy.messaging.upstream import Upstream
from proxy.settings import Settings, parse_gateway_keys

if TYPE_CHECKING:
    from proxy.telemetry.traces import Traces

ID_CHARS = string.ascii_letters + string.digits
ID_LENGTH = 16
"""95 bits."""
PROVIDER_TRIES = 3
PROVIDER_RETRY_TOTAL_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Messaging:
    """The doors that a message needs; it sends only where there is a provider, and others' only by an upstream."""

    ledger: Ledger
    prepare: Prepare
    provider: Provider | None
    send: Send | None
    proof: Proof | None
    upstream: Upstream | None
    importing: Importing | None
    relay: Relay | None
    idempotency: Idempotency
    chores: tuple[Chore, ...]

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        await self.ledger.open()
        async with at_work(self.chores):
            yield
        await self.close()

    async def close(self) -> None:
        if self.importing is not None:
            await self.importing.close()
        if self.upstream is not None:
            await self.upstream.close()
        if self.relay is not None:
            await self.relay.owner.close()
        if self.provider is not None:
            await self.provider.close()
        await self.ledger.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The doors that fetches need to be written down; `own` is the ledger where nobody else opens it."""

    log: FetchLog
    own: Ledger | None
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        async with at_work([Chore(name="fetches", do=self._round, every_s=FETCHES_EVERY_S, at_last=True)]):
            yield
        if self.own is not None:
            await self.own.close()

    async def _round(self) -> None:
        """Write down what waits; a ledger that is away must not keep delivery from starting."""
        if self.own is not None and not self.opened.is_set():
            await self.own.open()
            self.opened.set()
        await self.log.write_down()


def build_recording(settings: Settings, links: Links, ledger: Ledger | None) -> Recording:
    """Note fetches in the ledger that is open already, else in one of its own."""
    used = ledger or build_ledger(settings)
    return Recording(log=FetchLog(used.database, links.open), own=None if ledger else used)


def build_ledger(settings: Settings, traces: "Traces | None" = None) -> Ledger:
    ledger_of = Ledger
    if traces is not None:
        from proxy.messaging.traced import traced_ledger  # noqa: PLC0415 - OpenTelemetry is behind it

        ledger_of = traced_ledger(traces, remote=settings.ledger_url.startswith("postgresql"))
    return ledger_of(
        settings.ledger_place,
        keys=settings.ledger_secrets(),
        now=_now,
    )


def build_messaging(
    settings: Settings, mint: Mint, traces: "Traces | None" = None, draft: Draft | None = None
) -> Messaging:
    """Build the doors; `draft` gives files for what is imported, and commands, which import nothing, have none."""
    ledger = build_ledger(settings, traces)
    prepare = Prepare(mint=mint, new_id=new_id)
    proof = Proof() if settings.real_provider else None
    timeouts = Timeouts(answer_s=settings.provider_timeout_s)
    upstream = Upstream(settings.provider_url, timeouts=timeouts) if settings.waba_key is not None else None
    provider = _build_provider(settings, timeouts, traces)
    relay = _build_relay(settings, ledger)
    ledger_keys = settings.ledger_secrets()
    idempotency = Idempotency(
        database=ledger.database,
        seal=Seal(ledger_keys),
        secrets=ledger_keys,
        now=_now,
        begin_s=settings.gateway_wait_s + BEGIN_MARGIN_S,
    )
    return Messaging(
        ledger=ledger,
        prepare=prepare,
        provider=provider,
        send=None if provider is None else Send(provider=provider, ledger=ledger, proof=proof),
        proof=proof,
        upstream=upstream,
        importing=build_importing(settings, mint, draft) if draft and settings.foreign_links == "import" else None,
        relay=relay,
        idempotency=idempotency,
        chores=tuple(_chores(settings, ledger, relay, idempotency)),
    )


def _build_provider(settings: Settings, timeouts: Timeouts, traces: "Traces | None") -> Provider | None:
    if settings.d360_api_key is None:
        return None
    provider_of = Provider
    if traces is not None:
        from proxy.messaging.traced import traced_provider  # noqa: PLC0415 - OpenTelemetry is behind it

        provider_of = traced_provider(traces)
    return provider_of(
        settings.provider_url,
        settings.d360_api_key.get_secret_value(),
        timeouts=timeouts,
        retries=Retries(tries=PROVIDER_TRIES, total_s=PROVIDER_RETRY_TOTAL_S),
    )


def _build_relay(settings: Settings, ledger: Ledger) -> Relay | None:
    if settings.forward_url is None or not settings.takes_webhooks:
        return None
    return Relay(outbox=ledger.outbox, owner=Owner(settings.forward_url), spread=random.random)


def _chores(settings: Settings, ledger: Ledger, relay: Relay | None, idempotency: Idempotency) -> Iterator[Chore]:
    retention = Retention(database=ledger.database, days=settings.ledger_retention_days, now=_now)
    yield Chore(name="retention", do=retention.sweep, every_s=RETENTION_EVERY_S)
    yield Chore(name="idempotency", do=idempotency.sweep, every_s=SWEEP_EVERY_S)
    yield Chore(name="unsettled", do=ledger.settle_rest, every_s=SETTLE_EVERY_S, at_last=True)
    yield Chore(name="outbox", do=Watch(outbox=ledger.outbox).round, every_s=LOOK_EVERY_S)
    if relay is not None:
        yield Chore(name="relay", do=relay.round, every_s=RELAY_EVERY_S, wake=relay.wake)


def messaging_routes(settings: Settings, messaging: Messaging, mint: Mint, uploads: Uploads) -> Iterator[Route]:
    """List what is mounted: a journey whose settings are absent is not."""
    if settings.gateway_keys is not None:
        callers = _callers(settings.gateway_keys)
        give = Give(callers=callers, mint=mint)
        yield Route("/links", give.links, methods=["POST"])
        judge = Judge(callers=callers, mint=mint, uploads=uploads)
        yield Route("/verdicts", judge.verdicts, methods=["POST"])
        if messaging.send is not None:
            post = Post(callers=callers, prepare=messaging.prepare, send=messaging.send)
            yield Route("/messages", post.messages, methods=["POST"])
        if messaging.upstream is not None:
            gateway = build_gateway(
                settings,
                callers=callers,
                mint=mint,
                importing=messaging.importing,
                forward=Forward(upstream=messaging.upstream, ledger=messaging.ledger, proof=messaging.proof),
                idempotency=messaging.idempotency,
                new_id=new_id,
            )
            yield Route("/waba/{path:path}", gateway)
    if settings.takes_webhooks:
        receive = Receive(
            authenticity=Authenticity(
                secret=_secret(settings.webhook_secret),
                app_secret=_secret(settings.meta_app_secret),
                verify_token=_secret(settings.meta_verify_token),
            ),
            bodies=Bodies(MAX_WEBHOOK_BYTES),
            ledger=messaging.ledger,
            wake=messaging.relay.wake.set if messaging.relay else None,
            now=_now,
        )
        methods = ["POST"] if settings.meta_verify_token is None else ["GET", "POST"]
        yield Route("/webhooks", receive.webhooks, methods=methods)


def known_callers(settings: Settings) -> Callable[[Scope], bool] | None:
    """Give what tells whether a request shows a gateway key, where there are any."""
    if settings.gateway_keys is None:
        return None
    callers = _callers(settings.gateway_keys)

    def knows(scope: Scope) -> bool:
        try:
            callers.admit(Request(scope))
        except Unauthorized:
            return False
        return True

    return knows


def _callers(gateway_keys: SecretStr) -> Callers:
    return Callers(parse_gateway_keys(gateway_keys.get_secret_value()))


def _secret(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()


def _now() -> datetime:
    return datetime.now(UTC)


def new_id() -> str:
    """Make an id that a shell takes as it is: one that began with a dash would be an option of `medialink message`."""
    return "".join(secrets.choice(ID_CHARS) for _ in range(ID_LENGTH))
