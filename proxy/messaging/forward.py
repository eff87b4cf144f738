"""A message that somebody else wrote, posted once and written down."""

from collections.abc import Sequence
from dataclasses import dataclass

from proxy import telemetry
from proxy.errors import Unavailable
from proxy.messaging.entries import Entry
from proxy.messaging.ledger import Beside, Ledger
from proxy.messaging.outcomes import Outcome
from proxy.messaging.proof import Proof
from proxy.messaging.rewrite import Rewritten
from proxy.messaging.send import LABELS
from proxy.messaging.upstream import Answer, Call, Upstream
from proxy.telemetry import metrics

_OURS = frozenset({b"accept-encoding", b"content-length"})
"""The body has another length, and its answer must be read here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarded:
    """`answer` is the provider's, None where it gave none."""

    rewritten: Rewritten
    outcome: Outcome
    answer: Answer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """`proof` is None where the provider is a sandbox, which needs no public address."""

    upstream: Upstream
    ledger: Ledger
    proof: Proof | None

    async def begin(self, rewritten: Rewritten, beside: Sequence[Beside] = ()) -> None:
        """Do all that comes before the post. What goes to nobody (a mark as read) stands in no ledger.

        Raises:
            PublicUrlBroken, LedgerAway, DiskFull: it is not to be sent.
            Whatever error of ours `beside` raises, which is asked in the ledger's transaction.
        """
        if self.proof is not None and rewritten.minted is not None:
            await self.proof.require(rewritten.minted)
        if rewritten.letter.type:
            await self.ledger.begin(_entry(rewritten), beside)

    async def post(self, rewritten: Rewritten, call: Call) -> Forwarded:
        """Post a message once; it was begun."""
        headers = [(name, value) for name, value in call.headers if name not in _OURS]
        headers.append((b"accept-encoding", b"identity"))
        posted = Call(method=call.method, path=call.path, query=call.query, headers=headers)
        with metrics.SEND_SECONDS.time():
            outcome, answer = await self.upstream.post(posted, rewritten.body)
        metrics.SENDS.labels(LABELS[type(outcome)]).inc()
        telemetry.log.info("message.passed_on", id=rewritten.id, outcome=type(outcome).__name__, **rewritten.counts)
        if rewritten.letter.type:
            await self._write_down(rewritten.id, outcome)
        return Forwarded(rewritten=rewritten, outcome=outcome, answer=answer)

    async def _write_down(self, message_id: str, outcome: Outcome) -> None:
        """Keep what became of the post. A ledger that fails now must not make the caller send again."""
        try:
            await self.ledger.finish(message_id, outcome)
        except Unavailable as error:
            telemetry.log.error("message.not_written_down", id=message_id, error=error.code)


def _entry(rewritten: Rewritten) -> Entry:
    return Entry(
        id=rewritten.id,
        type=rewritten.letter.type,
        recipient=rewritten.letter.recipient,
        media=rewritten.media,
        warnings=rewritten.warnings,
    )
