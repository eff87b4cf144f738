"""A webhook that comes: authentic, read, kept, and answered quickly; what it brings is for its owner, too."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from proxy import telemetry
from proxy.errors import OutboxFull
from proxy.messaging.authenticity import SECRET_HEADER, Authenticity
from proxy.messaging.bodies import Bodies
from proxy.messaging.diagnoses import diagnose
from proxy.messaging.entries import Kept
from proxy.messaging.ledger import Beside, Ledger
from proxy.messaging.parcels import Parcel
from proxy.messaging.statuses import State
from proxy.messaging.webhooks import Webhook, parse_webhook
from proxy.telemetry import metrics

__all__ = ["MAX_WEBHOOK_BYTES", "SECRET_HEADER", "Receive"]

MAX_WEBHOOK_BYTES: Final = 3 * 1024 * 1024
"""Meta's webhook page; 360dialog passes its webhooks on."""
MAX_CODES_TOLD: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Receive:
    """`wake` is called when there is something to pass on; it is None where nothing is."""

    authenticity: Authenticity
    bodies: Bodies
    ledger: Ledger
    wake: Callable[[], None] | None
    now: Callable[[], datetime]

    async def webhooks(self, request: Request) -> Response:
        """`POST /webhooks`, and Meta's handshake by `GET`."""
        return await self._take(request) if request.method == "POST" else self._greet(request)

    def _greet(self, request: Request) -> Response:
        challenge = self.authenticity.challenge(request.query_params)
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return PlainTextResponse(challenge, headers=headers)

    async def _take(self, request: Request) -> Response:
        """Answer 200 only after the commit, because anything else is sent again."""
        shows_secret = self.authenticity.shows_secret(request.headers)
        body = await self.bodies.read(request)
        if not shows_secret:
            self.authenticity.require_signature(request.headers, body)
        webhook = parse_webhook(body, received_at=self.now())
        beside: list[Beside] = []
        if webhook.skipped:
            beside.append(self.ledger.unread.keeping(body))
        is_left = self.wake is not None and self.ledger.outbox.is_full
        if self.wake is not None and not is_left:
            beside.append(self.ledger.outbox.keeping(Parcel.of(request.headers, body, webhook)))
        kept = await self.ledger.take(webhook.statuses, beside)
        _tell(webhook, kept)
        if is_left:
            raise OutboxFull
        if self.wake is not None:
            self.wake()
        return Response(status_code=200)


def _tell(webhook: Webhook, kept: list[Kept]) -> None:
    telemetry.log.info(
        "webhook.taken",
        statuses=len(webhook.statuses),
        new=sum(each.new for each in kept),
        inbound=len(webhook.senders),
        skipped=webhook.skipped,
    )
    if webhook.skipped:
        metrics.UNREAD.inc()
    if webhook.errors:
        metrics.WEBHOOK_ERRORS.inc(len(webhook.errors))
        codes = sorted({code for code in webhook.errors if code is not None})
        telemetry.log.warning("webhook.error", codes=codes[:MAX_CODES_TOLD], errors=len(webhook.errors))
    for status, of_ours in zip(webhook.statuses, kept, strict=True):
        metrics.STATUSES.labels(status.status).inc()
        if status.status is State.FAILED:
            known = {} if of_ours.message_id is None else {"id": of_ours.message_id}
            cause = diagnose(status.error_code, status.error_details).cause
            telemetry.log.warning("message.failed", code=status.error_code, cause=cause.value, **known)
