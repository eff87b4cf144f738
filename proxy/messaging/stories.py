"""One message's story, in plain words: what was sent, what was said of it, what our origin saw, and what to do."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from proxy.errors import MedialinkError
from proxy.media.kinds import MediaWarning
from proxy.messaging.causes import Cause
from proxy.messaging.diagnoses import MEDIUM_FAILED, Diagnosis, diagnose
from proxy.messaging.entries import Fetched, LedgerFetch, LedgerMedium, LedgerMessage
from proxy.messaging.standings import ARRIVED, NEVER_TAKEN, OPEN, UNDONE, Standing, standing_of

PATIENCE: Final = timedelta(minutes=5)
"""A post is answered, or given up, well within that; and so are most statuses."""
SHOWN_FETCHES: Final = 20

_OK: Final = range(200, 300)
_BEHIND_A_CDN: Final = "Behind a CDN, only what the CDN did not have comes here."
_NOBODY: Final = (
    "Nobody asked our origin for it. Either WhatsApp had it from an earlier message (it keeps a link for ten minutes), "
    "or a CDN answered in our place, or the request did not reach us: PUBLIC_URL, DNS, a firewall."
)


_ELSEWHERE: Final = (
    "The link names nothing of our store: open it yourself, and look at its host. If it was to name a key, write it as "
    "`s3://...`, or as an alias under ALIAS_PREFIXES."
)
_OF_THE_HOST: Final = frozenset(
    {
        Cause.LINK_NOT_FOUND,
        Cause.LINK_GONE,
        Cause.LINK_FORBIDDEN,
        Cause.LINK_THROTTLED,
        Cause.LINK_REFUSED,
        Cause.LINK_FAILED,
        Cause.LINK_TIMED_OUT,
        Cause.DNS_TIMED_OUT,
    }
)
"""What is done about these is done where the medium lies."""
_ARRIVED: Final = "Nothing: it has arrived."
_UNSURE: Final = (
    "Do not send it again by itself: if it was taken, a webhook will say so. Ask the recipient before you do."
)
_ADVICE: Final[Mapping[Standing, str]] = MappingProxyType(
    {
        **dict.fromkeys(ARRIVED, _ARRIVED),
        **dict.fromkeys(OPEN, _UNSURE),
        Standing.NOT_SENT: "See that PROVIDER_URL can be reached from this machine, then send it again.",
        Standing.ACCEPTED: (
            "See that webhooks come in (`webhook.taken` in the log): WhatsApp tells of most messages within a minute."
        ),
        Standing.SENT: "Wait: WhatsApp has it, and the phone does not: it is off, or without network.",
    }
)
"""What failed or was refused has that of its diagnosis."""
_WHILE_YOUNG: Final[Mapping[Standing, str]] = MappingProxyType(
    {
        Standing.POSTING: "Wait: it is being posted.",
        Standing.ACCEPTED: "Wait: the first status comes within a minute, as a rule.",
    }
)
_NOT_TAKEN: Final = "Nobody asked our origin for it, as the message was not taken."


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that is known of a message. `diagnosis` is there where it failed, or was refused at once."""

    message: LedgerMessage
    standing: Standing
    diagnosis: Diagnosis | None
    fetched: Fetched
    told_at: datetime

    @classmethod
    def of(cls, message: LedgerMessage, fetched: Fetched, *, now: datetime) -> "Story":
        standing = standing_of(message)
        diagnosis = diagnose(message.error_code, message.error_details) if standing in UNDONE else None
        return cls(message=message, standing=standing, diagnosis=diagnosis, fetched=fetched, told_at=now)

    @property
    def _is_ours(self) -> bool:
        return any(medium.rendition_id for medium in self.message.media)

    def paragraphs(self) -> Iterator[Paragraph]:
        yield Paragraph(title="What was sent", lines=tuple(self._sent()))
        yield Paragraph(title="What the provider said", lines=(self._provider(),))
        yield Paragraph(title="What WhatsApp told", lines=tuple(self._told()))
        if self.diagnosis is not None:
            yield Paragraph(title="What went wrong", lines=(self.diagnosis.sentence, *self._compared()))
        if self.message.media:
            yield Paragraph(title="What our origin saw", lines=tuple(self._seen()))
        yield Paragraph(title="What to do", lines=(self._advice(),))

    def _sent(self) -> Iterator[str]:
        message = self.message
        yield f"{moment(message.created_at)}: {message.type} to …{message.recipient_last4}, our id {message.id}"
        for medium in message.media:
            yield from _medium(medium)
        for warning in message.warnings:
            known = warning in frozenset(MediaWarning)
            yield f"note: {warning}: {MediaWarning(warning).sentence}" if known else f"note: {warning}"

    def _provider(self) -> str:
        message = self.message
        said = message.error_details or "no reason"
        match self.standing:
            case Standing.POSTING:
                return "Its answer was never written down: it is on its way now, or the process was ended meanwhile."
            case Standing.NOT_SENT:
                return f"Nothing: no connection came about, so it was not sent ({said})."
            case Standing.UNCERTAIN:
                return f"It is not known whether it took the message ({said})."
            case Standing.REFUSED:
                code = "" if message.error_code is None else f"{message.error_code}, "
                return f"It refused the message at once: {code}{said}"
            case _:
                return f"It took the message as {message.provider_message_id or 'an id that another message has'}."

    def _told(self) -> Iterator[str]:
        for status in self.message.history:
            reason = " ".join(str(part) for part in (status.error_code, status.error_details) if part is not None)
            after = (status.at - self.message.created_at).total_seconds()
            yield f"{moment(status.at)}: {status.status}, {_after(after)}{': ' if reason else ''}{reason}"
        if not self.message.history:
            yield "Nothing yet."

    def _compared(self) -> Iterator[str]:
        """Hold what WhatsApp says against what our origin served: the fault lies with one, or between them."""
        if self.message.error_code != MEDIUM_FAILED or not self._is_ours:
            return
        bad = [fetch for fetch in self.fetched.fetches if fetch.status not in _OK and fetch.code]
        cut = [fetch for fetch in self.fetched.fetches if fetch.status in _OK and not fetch.whole]
        if bad:
            code = bad[-1].code or ""
            yield f"Our origin itself answered {bad[-1].status} {code}: {_SENTENCES.get(code, 'see the log')}"
        elif cut:
            yield f"Our origin was sending, and the reader hung up after {cut[-1].sent_bytes:,} bytes."
        elif self.fetched.fetches:
            yield "Our origin delivered it whole, so what failed lies between it and WhatsApp, or at WhatsApp."
        elif self.diagnosis is None or self.diagnosis.cause is not Cause.FETCHER_THROTTLED:
            yield "Our origin was not asked, so this answer is not ours: look at what stands before it."

    def _seen(self) -> Iterator[str]:
        if not self._is_ours:
            yield "Nothing: the medium lies elsewhere, so who fetched it is not known here."
            return
        fetches = self.fetched.fetches
        if not fetches:
            yield _NOT_TAKEN if self.standing in NEVER_TAKEN else _NOBODY
            return
        statuses = Counter(fetch.status for fetch in fetches)
        summed = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
        more = " at least" if self.fetched.more else ""
        yield f"It was asked for this {_times(len(fetches))}{more} ({summed}). {_BEHIND_A_CDN}"
        for fetch in fetches[:SHOWN_FETCHES]:
            yield _fetch(fetch, begun_at=self.message.created_at)
        if len(fetches) > SHOWN_FETCHES:
            yield f"and {len(fetches) - SHOWN_FETCHES} more (--json has them)"

    def _advice(self) -> str:
        if self.diagnosis is not None:
            is_elsewhere = self.diagnosis.cause in _OF_THE_HOST and not self._is_ours
            return _ELSEWHERE if is_elsewhere else self.diagnosis.advice
        young = self.told_at - self.message.created_at <= PATIENCE
        return (_WHILE_YOUNG.get(self.standing) if young else None) or _ADVICE[self.standing]


def moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _medium(medium: LedgerMedium) -> Iterator[str]:
    if medium.link is None:
        yield f"{medium.kind} by an id of the provider's, or without a link"
        return
    yield f"{medium.kind} by link: {medium.link}"
    if medium.rendition_id is None:
        yield "the link is not ours"
    else:
        yield f"of key {medium.key}, rendition {medium.rendition_id}"


def _fetch(fetch: LedgerFetch, *, begun_at: datetime) -> str:
    early = ", before this message was posted" if fetch.at < begun_at else ""
    whole = "whole" if fetch.whole else "cut off"
    code = f" {fetch.code}" if fetch.code else ""
    agent = f", by {fetch.agent}" if fetch.agent else ""
    return (
        f"{moment(fetch.at)}: {fetch.status}{code}, {fetch.sent_bytes:,} bytes in {fetch.ms:,.0f} ms, "
        f"{whole}{agent}{early}"
    )


def _after(seconds: float) -> str:
    """WhatsApp's clock is another than ours, and cuts to seconds: what would lie before the post lies at it."""
    return f"{max(0, round(seconds)):,} s after"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _sentences(kind: type[MedialinkError]) -> Iterator[tuple[str, str]]:
    for child in kind.__subclasses__():
        yield child.code, child.sentence
        yield from _sentences(child)


_SENTENCES: Final[Mapping[str, str]] = MappingProxyType(
    {code: sentence for code, sentence in _sentences(MedialinkError) if "{" not in sentence}
)
