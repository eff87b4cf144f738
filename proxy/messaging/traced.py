"""Provider and ledger, with spans. Of our traces the provider is told nothing: no header goes to it for them."""

from collections.abc import Sequence
from typing import Final, assert_never

from proxy.messaging.entries import Entry, Kept
from proxy.messaging.ledger import Beside, Ledger
from proxy.messaging.outcomes import Accepted, NotSent, Outcome, Refused, Uncertain
from proxy.messaging.provider import Provider
from proxy.messaging.statuses import Status
from proxy.telemetry.traces import Span, Traces, fail

OUTCOME: Final = "medialink.outcome"


def traced_provider(traces: Traces) -> type[Provider]:
    """Each try has a span; what lies between two is the wait."""

    class TracedProvider(Provider):
        async def _post(self, body: bytes) -> tuple[Outcome, float]:
            with traces.step("provider post", {"http.request.method": "POST"}, remote=True) as span:
                outcome, asked_s = await super()._post(body)
                _note(outcome, span)
                return outcome, asked_s

    return TracedProvider


def _note(outcome: Outcome, span: Span) -> None:
    match outcome:
        case Accepted():
            span.set_attribute(OUTCOME, "accepted")
        case Refused(code=code):
            span.set_attribute(OUTCOME, "refused")
            if code is not None:
                span.set_attribute("medialink.provider.code", code)
        case NotSent():
            span.set_attribute(OUTCOME, "not_sent")
            fail(span, "not_sent")
        case Uncertain():
            span.set_attribute(OUTCOME, "uncertain")
            fail(span, "uncertain")
        case _:
            assert_never(outcome)


def traced_ledger(traces: Traces, *, remote: bool) -> type[Ledger]:
    """Each call of a journey has a span; `remote` says whether the database lies beyond a network."""
    about = {"db.system.name": "postgresql" if remote else "sqlite"}

    class TracedLedger(Ledger):
        async def begin(self, entry: Entry, beside: Sequence[Beside] = ()) -> None:
            with traces.step("ledger begin", about, remote=remote):
                await super().begin(entry, beside)

        async def finish(self, message_id: str, outcome: Outcome) -> None:
            with traces.step("ledger finish", about, remote=remote):
                await super().finish(message_id, outcome)

        async def take(self, statuses: Sequence[Status], beside: Sequence[Beside] = ()) -> list[Kept]:
            with traces.step("ledger record", about, remote=remote):
                return await super().take(statuses, beside)

    return TracedLedger
