"""Everything that can go wrong, drawn once.

MedialinkError
├── Malformed                400  malformed
├── Unauthorized             401  unauthorized
├── KeyNotAllowed            403  key_not_allowed
├── AccountNotAllowed        403  account_not_allowed   the house's account, of a caller that is limited to prefixes
├── HandshakeRefused         403  handshake_refused
├── NotFound                 404  not_found             forged, unknown and closed look alike
├── MessageUnknown           404  message_unknown       of no message that is in the ledger
├── MethodNotAllowed         405  method_not_allowed
├── Gone
│   ├── LinkExpired          410  link_expired
│   ├── SourceReplaced       410  source_replaced
│   └── TakenDown            410  taken_down
├── StillSending             409  still_sending         the first request of an Idempotency-Key has no answer
├── KeyReused                422  key_reused            an Idempotency-Key of another request
├── TooLarge                 413  too_large             more than we take in
├── TooManyRequests          429  rate_limited          of one address, for what is not cached; carries Retry-After
├── HeadersTooLarge          431  headers_too_large
├── RefusedMedium                                       what WhatsApp would refuse, or what cannot be made to fit
│   ├── TypeRefused          422  type_refused
│   ├── TooHeavy             422  too_heavy
│   ├── TooManyPixels        422  too_many_pixels
│   ├── TooComplex           422  too_complex           more frames, scans, tiles or tags than are decoded
│   ├── Undecodable          422  undecodable
│   └── DecodeLimit          422  decode_limit          time or memory ran out; asked again after a minute
├── ImportRefused            422  import_refused        a foreign link that may not be imported, or cannot be
├── Unavailable                                         all carry Retry-After
│   ├── StoreAway            503  store_away
│   ├── LedgerAway           503  ledger_away
│   ├── Busy                 503  busy
│   ├── CacheAway            503  cache_away
│   ├── DiskFull             503  disk_full
│   ├── ImportAway           503  import_away           the host of a foreign link
│   ├── OutboxFull           503  outbox_full           its sender keeps it, and comes again
│   └── CdnAway              503  cdn_away
├── SendFailed
│   ├── PublicUrlBroken      502  public_url_broken     our own link could not be fetched: nothing was posted
│   ├── ProviderRefused      502  provider_refused      final: nothing was sent
│   ├── ProviderBusy         503  provider_busy         nothing was sent, and may be sent again
│   └── SendUncertain        504  send_uncertain        perhaps sent: never send again by itself
└── SettingsInvalid          500  settings_invalid      every mistake at once

A class has a status, a stable code and one public sentence. Its fields are the evidence: they fill the sentence,
stand beside it in the answer, and are all that is kept of a refusal that is remembered.
"""

from dataclasses import asdict, dataclass
from typing import ClassVar


@dataclass(eq=False)
class MedialinkError(Exception):
    """The root: one handler turns any of these into an answer, one into an exit code."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    sentence: ClassVar[str] = "Something went wrong on our side. The log knows more under this request id."
    retry_after_s: ClassVar[int | None] = None

    @property
    def evidence(self) -> dict[str, object]:
        return asdict(self)

    @property
    def message(self) -> str:
        return self.sentence.format(**self.evidence)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        """Cross a process border by evidence, not by args."""
        return _rebuild, (type(self), self.evidence)


def _rebuild(kind: type[MedialinkError], evidence: dict[str, object]) -> MedialinkError:
    return kind(**evidence)


@dataclass(eq=False)
class Malformed(MedialinkError):
    field: str
    problem: str
    status: ClassVar[int] = 400
    code: ClassVar[str] = "malformed"
    sentence: ClassVar[str] = "{field}: {problem}."


@dataclass(eq=False)
class Unauthorized(MedialinkError):
    required: str
    status: ClassVar[int] = 401
    code: ClassVar[str] = "unauthorized"
    sentence: ClassVar[str] = "Nobody gets in here without a valid {required}."


@dataclass(eq=False)
class KeyNotAllowed(MedialinkError):
    key: str
    status: ClassVar[int] = 403
    code: ClassVar[str] = "key_not_allowed"
    sentence: ClassVar[str] = "This gateway key may not use {key}. Use a key under one of its prefixes."


class AccountNotAllowed(MedialinkError):
    status = 403
    code = "account_not_allowed"
    sentence = (
        "This gateway key is limited to prefixes: it sends messages, and does nothing else in the house's account."
    )


class HandshakeRefused(MedialinkError):
    status = 403
    code = "handshake_refused"
    sentence = "The verify token is not ours. Set the same one here (META_VERIFY_TOKEN) and at Meta."


class NotFound(MedialinkError):
    status = 404
    code = "not_found"
    sentence = "There is nothing here."


@dataclass(eq=False)
class MessageUnknown(MedialinkError):
    message_id: str
    status: ClassVar[int] = 404
    code: ClassVar[str] = "message_unknown"
    sentence: ClassVar[str] = (
        "The ledger has no message {message_id}. Give our id, the provider's (wamid...) or the callback data that a "
        "webhook carries; `medialink messages` lists what is there, for LEDGER_RETENTION_DAYS."
    )


@dataclass(eq=False)
class MethodNotAllowed(MedialinkError):
    allowed: str
    status: ClassVar[int] = 405
    code: ClassVar[str] = "method_not_allowed"
    sentence: ClassVar[str] = "This address takes {allowed} only."


class Gone(MedialinkError):
    status = 410


class LinkExpired(Gone):
    code = "link_expired"
    sentence = "This link has expired. Ask its sender for a new one."


class SourceReplaced(Gone):
    code = "source_replaced"
    sentence = "The version that this link names is no longer in the store. Mint a new link."


class TakenDown(Gone):
    code = "taken_down"
    sentence = "This medium was taken down by its owner, and is not delivered any more."


@dataclass(eq=False)
class StillSending(MedialinkError):
    message_id: str
    status: ClassVar[int] = 409
    code: ClassVar[str] = "still_sending"
    sentence: ClassVar[str] = (
        "The first request with this Idempotency-Key has no answer yet, or its answer was lost, and it is not posted "
        "twice. Ask again later; once the ledger has {message_id}, it tells what became of it."
    )
    retry_after_s: ClassVar[int | None] = 5


@dataclass(eq=False)
class KeyReused(MedialinkError):
    status: ClassVar[int] = 422
    code: ClassVar[str] = "key_reused"
    sentence: ClassVar[str] = "This Idempotency-Key was used for another request within a day. Take a new one."


@dataclass(eq=False)
class TooLarge(MedialinkError):
    size_bytes: int | None
    limit_bytes: int
    status: ClassVar[int] = 413
    code: ClassVar[str] = "too_large"
    sentence: ClassVar[str] = "More than the {limit_bytes} bytes that are taken in. Send less."


@dataclass(eq=False)
class TooManyRequests(MedialinkError):
    limit_per_minute: int
    status: ClassVar[int] = 429
    code: ClassVar[str] = "rate_limited"
    sentence: ClassVar[str] = (
        "One address may cause {limit_per_minute} new media or verdicts a minute. Wait; what is cached is still served."
    )
    retry_after_s: ClassVar[int | None] = 10


@dataclass(eq=False)
class HeadersTooLarge(MedialinkError):
    part: str
    limit_bytes: int
    status: ClassVar[int] = 431
    code: ClassVar[str] = "headers_too_large"
    sentence: ClassVar[str] = "The {part} of the request is over {limit_bytes} bytes. Send less."


class RefusedMedium(MedialinkError):
    """A verdict against a source: WhatsApp would refuse it, and it was not or could not be made to fit."""

    status = 422
    code = "refused"
    sentence = "WhatsApp would refuse this medium."
    lasting: ClassVar[bool] = True


@dataclass(eq=False)
class TypeRefused(RefusedMedium):
    kind: str
    media_type: str
    accepted: str
    code: ClassVar[str] = "type_refused"
    sentence: ClassVar[str] = (
        "The bytes are {media_type}, which WhatsApp does not take as {kind}. Use one of: {accepted}."
    )


@dataclass(eq=False)
class TooHeavy(RefusedMedium):
    kind: str
    size_bytes: int
    limit_bytes: int
    code: ClassVar[str] = "too_heavy"
    sentence: ClassVar[str] = (
        "{size_bytes} bytes, and WhatsApp takes at most {limit_bytes} as {kind}. Make the file smaller."
    )


@dataclass(eq=False)
class TooManyPixels(RefusedMedium):
    width: int
    height: int
    limit_pixels: int
    code: ClassVar[str] = "too_many_pixels"
    sentence: ClassVar[str] = (
        "{width}x{height} is more than the {limit_pixels} pixels that are decoded. Scale the picture down."
    )


@dataclass(eq=False)
class TooComplex(RefusedMedium):
    limit: str
    code: ClassVar[str] = "too_complex"
    sentence: ClassVar[str] = "The file holds more than the {limit} that are decoded. Use a simpler file."


@dataclass(eq=False)
class Undecodable(RefusedMedium):
    media_type: str
    reason: str
    code: ClassVar[str] = "undecodable"
    sentence: ClassVar[str] = "The {media_type} cannot be decoded: {reason}. Export it again and replace it."


@dataclass(eq=False)
class DecodeLimit(RefusedMedium):
    limit: str
    code: ClassVar[str] = "decode_limit"
    sentence: ClassVar[str] = "Decoding took more than the allowed {limit}. Use a smaller or simpler file."
    lasting: ClassVar[bool] = False


def refusal(code: str, evidence: dict[str, object]) -> RefusedMedium:
    """Make again what was remembered of a refusal; one that this release does not know stays a plain one."""
    known: dict[str, type[RefusedMedium]] = {kind.code: kind for kind in RefusedMedium.__subclasses__()}
    try:
        return known[code](**evidence)
    except (KeyError, TypeError):
        return RefusedMedium()


@dataclass(eq=False)
class ImportRefused(MedialinkError):
    problem: str
    status: ClassVar[int] = 422
    code: ClassVar[str] = "import_refused"
    sentence: ClassVar[str] = (
        "The link names no object of our store, and cannot be imported: it {problem}. "
        "Put the file into the store, or at a host of IMPORT_HOSTS."
    )


class Unavailable(MedialinkError):
    status = 503
    retry_after_s = 5


class StoreAway(Unavailable):
    code = "store_away"
    sentence = "The store of the media does not answer. Try again in a few seconds."


class LedgerAway(Unavailable):
    code = "ledger_away"
    sentence = "The ledger of the messages does not answer. Try again in a few seconds."


class Busy(Unavailable):
    code = "busy"
    sentence = "As many media as fit are being prepared. Try again in a few seconds."


class CacheAway(Unavailable):
    code = "cache_away"
    sentence = (
        "The folder of the disk cache cannot be used. See that CACHE_DIR is there and may be written, then retry."
    )


class DiskFull(Unavailable):
    code = "disk_full"
    sentence = "The disk is full, so nothing new can be kept. Free space or lower CACHE_MAX_BYTES, then retry."
    retry_after_s = 60


@dataclass(eq=False)
class ImportAway(Unavailable):
    details: str
    code: ClassVar[str] = "import_away"
    sentence: ClassVar[str] = (
        "The host of the foreign link does not deliver the file now ({details}). Try again in a few seconds."
    )


class OutboxFull(Unavailable):
    code = "outbox_full"
    sentence = "Too many webhooks wait to be passed on. See that FORWARD_WEBHOOKS_TO takes them; this one comes again."
    retry_after_s = 60


class CdnAway(Unavailable):
    code = "cdn_away"
    sentence = (
        "The takedown is in force here, but CloudFront did not take the invalidation: it may deliver on what it keeps. "
        "Run the same command again."
    )


class SendFailed(MedialinkError):
    status = 502


@dataclass(eq=False)
class PublicUrlBroken(SendFailed):
    problem: str
    code: ClassVar[str] = "public_url_broken"
    sentence: ClassVar[str] = (
        "Nothing was posted: our own link could not be fetched through PUBLIC_URL ({problem}). "
        "WhatsApp would fail too; make PUBLIC_URL reachable."
    )


@dataclass(eq=False)
class ProviderRefused(SendFailed):
    provider_code: int | None
    details: str
    code: ClassVar[str] = "provider_refused"
    sentence: ClassVar[str] = "The provider refused the message: {details}. It was not sent."


@dataclass(eq=False)
class ProviderBusy(SendFailed):
    details: str
    status: ClassVar[int] = 503
    code: ClassVar[str] = "provider_busy"
    sentence: ClassVar[str] = "The provider took nothing ({details}). The message was not sent; send it again later."
    retry_after_s: ClassVar[int | None] = 30


@dataclass(eq=False)
class SendUncertain(SendFailed):
    message_id: str
    details: str
    status: ClassVar[int] = 504
    code: ClassVar[str] = "send_uncertain"
    sentence: ClassVar[str] = (
        "It is not known whether the provider took the message ({details}). Do not send it again by itself: "
        "if it was taken, a webhook will say so of {message_id}."
    )


@dataclass(eq=False)
class SettingsInvalid(MedialinkError):
    mistakes: tuple[str, ...]
    code: ClassVar[str] = "settings_invalid"

    @property
    def message(self) -> str:
        return "\n".join(("These settings are wrong:", *(f"  {mistake}" for mistake in self.mistakes)))
