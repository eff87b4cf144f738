"""Whether what an origin answered can become a message: None, or the `details` of the failure."""

from collections.abc import Mapping
from http import HTTPStatus

from proxy.sandbox import details
from proxy.sandbox.limits import (
    ACCEPTED,
    KIB,
    MAX_STATIC_STICKER_BYTES,
    MIB,
    STICKER_SIDE_PX,
    Kind,
    media_type_of,
    type_by_extension,
)
from proxy.sandbox.looks import look_at_webp, processed_type
from proxy.sandbox.media import Medium, Wanted

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


def judge_answer(medium: Medium, status: int, phrase: str, headers: Mapping[str, str]) -> str | None:
    """Judge what is known before the body is read; `headers` by lower-case name."""
    content_type = headers.get("content-type", "application/octet-stream")
    if status in _REDIRECTS or (status == HTTPStatus.OK and content_type.strip().lower().startswith("text/html")):
        return details.NOT_A_MEDIUM
    if status != HTTPStatus.OK:
        return details.http_failure(status, phrase)
    media_type = media_type_of(medium.kind, content_type)
    if media_type is None:
        return judge_type(medium, content_type)
    extension_type = type_by_extension(medium.kind, medium.link, media_type)
    if extension_type != media_type:
        return details.not_as_declared(_called(medium), media_type, extension_type)
    declared_bytes = headers.get("content-length", "")
    if declared_bytes.isascii() and declared_bytes.isdigit() and int(declared_bytes) > ACCEPTED[medium.kind].max_bytes:
        return details.too_big(limit_of(medium.kind))
    return None


def judge_type(medium: Wanted, content_type: str) -> str | None:
    if media_type_of(medium.kind, content_type) is not None:
        return None
    return details.unsupported(_called(medium), content_type, ACCEPTED[medium.kind].extensions)


def judge_body(medium: Wanted, headers: Mapping[str, str], size_bytes: int, head: bytes) -> str | None:
    """Judge a body whose answer was fit; `head` is its first looks.HEAD_BYTES."""
    if size_bytes > ACCEPTED[medium.kind].max_bytes:
        return details.too_big(limit_of(medium.kind))
    declared = media_type_of(medium.kind, headers["content-type"]) or ""
    processed = processed_type(declared, head)
    if processed != declared:
        return details.not_as_declared(_called(medium), declared, processed)
    return _judge_sticker(size_bytes, head) if medium.kind is Kind.STICKER else None


def _judge_sticker(size_bytes: int, head: bytes) -> str | None:
    picture = look_at_webp(head)
    if picture is None or (picture.width, picture.height) != (STICKER_SIDE_PX, STICKER_SIDE_PX):
        return details.STICKER
    if not picture.animated and size_bytes > MAX_STATIC_STICKER_BYTES:
        return details.too_big(f"{MAX_STATIC_STICKER_BYTES // KIB}KB")
    return None


def _called(medium: Wanted) -> str:
    return "Voice" if medium.voice else medium.kind.capitalize()


def limit_of(kind: Kind) -> str:
    """Say how much a kind may weigh, as WhatsApp does."""
    limit = ACCEPTED[kind].max_bytes
    return f"{limit // MIB}MB" if limit >= MIB else f"{limit // KIB}KB"
