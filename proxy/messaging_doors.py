"""Messaging's part of the map: its doors and its routes. A service that only delivers never imports this."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.routing import Route

from proxy.delivery.mint import Mint
from proxy.delivery.uploads import Uploads
from proxy.messaging.callers import Callers
from proxy.messaging.give import Give
from proxy.messaging.judge import Judge
from proxy.messaging.ledger import Ledger
from proxy.messaging.prepare import Prepare
from proxy.messaging.proof import Proof
from proxy.messaging.provider import Provider, Retries, Timeouts
from proxy.messaging.receive import Receive
from proxy.messaging.send import Post, Send
from proxy.settings import Settings, parse_gateway_keys

PROVIDER_TRIES = 3
PROVIDER_RETRY_TOTAL_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Messaging:
    """The doors that a message needs; it sends only where there is a provider."""

    ledger: Ledger
    prepare: Prepare
    provider: Provider | None
    send: Send | None

    async def close(self) -> None:
        if self.provider is not None:
            await self.provider.close()
        await self.ledger.close()


def build_ledger(settings: Settings) -> Ledger:
    return Ledger(
        settings.ledger_url or f"sqlite:///{settings.data_dir / 'ledger.sqlite3'}",
        number_key=settings.ledger_secret(),
        now=_now,
    )


def build_messaging(settings: Settings, mint: Mint) -> Messaging:
    ledger = build_ledger(settings)
    prepare = Prepare(mint=mint, new_id=_new_id)
    if settings.d360_api_key is None:
        return Messaging(ledger=ledger, prepare=prepare, provider=None, send=None)
    provider = Provider(
        settings.provider_url,
        settings.d360_api_key.get_secret_value(),
        timeouts=Timeouts(answer_s=settings.provider_timeout_s),
        retries=Retries(tries=PROVIDER_TRIES, total_s=PROVIDER_RETRY_TOTAL_S),
    )
    send = Send(provider=provider, ledger=ledger, proof=Proof() if settings.real_provider else None)
    return Messaging(ledger=ledger, prepare=prepare, provider=provider, send=send)


def messaging_routes(settings: Settings, messaging: Messaging, mint: Mint, uploads: Uploads) -> Iterator[Route]:
    """List what is mounted: a journey whose settings are absent is not."""
    if settings.gateway_keys is not None:
        callers = Callers(parse_gateway_keys(settings.gateway_keys.get_secret_value()))
        give = Give(callers=callers, mint=mint)
        yield Route("/links", give.links, methods=["POST"])
        judge = Judge(callers=callers, mint=mint, uploads=uploads)
        yield Route("/verdicts", judge.verdicts, methods=["POST"])
        if messaging.send is not None:
            post = Post(callers=callers, prepare=messaging.prepare, send=messaging.send)
            yield Route("/messages", post.messages, methods=["POST"])
    if settings.webhook_secret is not None:
        receive = Receive(ledger=messaging.ledger, secret=settings.webhook_secret.get_secret_value(), now=_now)
        yield Route("/webhooks", receive.webhooks, methods=["POST"])


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return secrets.token_urlsafe(12)
