"""A message, from the wish to the provider's answer."""

from dataclasses import dataclass
from typing import assert_never

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from proxy import telemetry
from proxy.delivery.verdicts import in_json
from proxy.errors import ProviderBusy, ProviderRefused, SendUncertain, Unavailable
from proxy.messaging.callers import Callers, read_body
from proxy.messaging.entries import LedgerMedium
from proxy.messaging.give import warned
from proxy.messaging.ledger import Entry, Ledger
from proxy.messaging.outcomes import Accepted, NotSent, Outcome, Refused, Uncertain
from proxy.messaging.prepare import Prepare, Prepared
from proxy.messaging.proof import Proof
from proxy.messaging.provider import Provider
from proxy.messaging.wishes import MAX_WISH_BYTES, SendWish
from proxy.telemetry import metrics

LABELS = {Accepted: "accepted", Refused: "refused", NotSent: "not_sent", Uncertain: "uncertain"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    prepared: Prepared
    accepted: Accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """`proof` is None where the provider is a sandbox, which needs no public address."""

    provider: Provider
    ledger: Ledger
    proof: Proof | None

    async def __call__(self, prepared: Prepared) -> Sent:
        """Post a prepared message, once for certain.

        Raises:
            PublicUrlBroken, ProviderRefused, ProviderBusy: it was not sent.
            SendUncertain: it may have been sent.
        """
        minted, media = prepared.minted, prepared.message.media
        if self.proof is not None and minted is not None:
            await self.proof.require(minted)
        await self.ledger.begin(
            Entry(
                id=prepared.id,
                type=media.kind,
                recipient=prepared.message.to,
                media=(LedgerMedium.of(media.kind, media.link, minted.link if minted else None),),
                warnings=prepared.warnings,
            )
        )
        with metrics.SEND_SECONDS.time():
            outcome = await self.provider.send(prepared.message.payload())
        metrics.SENDS.labels(LABELS[type(outcome)]).inc()
        telemetry.log.info("message.posted", id=prepared.id, outcome=type(outcome).__name__)
        await self._write_down(prepared.id, outcome)
        match outcome:
            case Accepted():
                return Sent(prepared=prepared, accepted=outcome)
            case Refused(code=code, details=details, again=False):
                raise ProviderRefused(provider_code=code, details=details)
            case Refused(details=details) | NotSent(details=details):
                raise ProviderBusy(details=details)
            case Uncertain(details=details):
                raise SendUncertain(message_id=prepared.id, details=details)
            case _:
                assert_never(outcome)

    async def _write_down(self, message_id: str, outcome: Outcome) -> None:
        """Keep what became of the post. A ledger that fails now must not make the caller send again."""
        try:
            await self.ledger.finish(message_id, outcome)
        except Unavailable as error:
            telemetry.log.error("message.not_written_down", id=message_id, error=error.code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """The journey as a service."""

    callers: Callers
    prepare: Prepare
    send: Send

    async def messages(self, request: Request) -> Response:
        """`POST /messages`."""
        caller = self.callers.admit(request)
        wish = SendWish.read(await read_body(request, MAX_WISH_BYTES))
        sent = await self.send(await self.prepare(wish, caller))
        return JSONResponse(sent_in_json(sent), status_code=202, headers=warned(sent.prepared.warnings))


def sent_in_json(sent: Sent) -> dict[str, object]:
    minted = sent.prepared.minted
    return {
        "id": sent.prepared.id,
        "outcome": "accepted",
        "provider_message_id": sent.accepted.message_id,
        "link": sent.prepared.message.media.link,
        "verdict": in_json(minted.verdict) if minted else None,
        "warnings": sent.prepared.warnings,
    }
