"""A status that comes back: authentic, read, kept, and answered quickly."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from proxy import telemetry
from proxy.errors import Unauthorized
from proxy.messaging.callers import read_body
from proxy.messaging.ledger import Ledger
from proxy.messaging.statuses import State, parse_statuses
from proxy.telemetry import metrics

SECRET_HEADER = "X-Webhook-Secret"  # noqa: S105 - a name, no secret
MAX_WEBHOOK_BYTES = 3 * 1024 * 1024
"""Meta's webhook page; 360dialog passes its webhooks on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receive:
    """`secret` is what 360dialog sends as the custom header that its owner set on the webhook."""

    ledger: Ledger
    secret: str
    now: Callable[[], datetime]

    async def webhooks(self, request: Request) -> Response:
        """`POST /webhooks`: 200 only after the commit, because anything else is sent again."""
        presented = request.headers.get(SECRET_HEADER, "")
        if not hmac.compare_digest(presented.encode(), self.secret.encode()):
            raise Unauthorized(required=f"{SECRET_HEADER} header")
        found = parse_statuses(await read_body(request, MAX_WEBHOOK_BYTES), received_at=self.now())
        new = await self.ledger.record(found.statuses)
        telemetry.log.info("webhook.taken", statuses=len(found.statuses), new=new, skipped=found.skipped)
        for status in found.statuses:
            metrics.STATUSES.labels(status.status).inc()
            if status.status is State.FAILED:
                telemetry.log.warning("message.failed", code=status.error_code)
        return Response(status_code=200)
