"""What WhatsApp accepts, as data.

Source: Meta's "Media" page of 2025-12-02 and its audio page of 2026-02-17. Meta does not say whether its MB are
10^6 or 2^20 bytes, so a made rendition aims at the smaller and only what is over the larger is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Kind(StrEnum):
    AUDIO = "audio"
    DOCUMENT = "document"
    IMAGE = "image"
    STICKER = "sticker"
    VIDEO = "video"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`aim_bytes` is safe under both readings of MB, `max_bytes` under the larger one."""

    media_types: tuple[str, ...]
    aim_bytes: int
    max_bytes: int


LIMITS: Mapping[Kind, Limits] = MappingProxyType(
    {
        Kind.AUDIO: Limits(
            media_types=("audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg; codecs=opus"),
            aim_bytes=16_000_000,
            max_bytes=16 * 1024 * 1024,
        ),
        Kind.DOCUMENT: Limits(
            media_types=(
                "text/plain",
                "application/vnd.ms-excel",
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
                "application/msword",
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
                "application/vnd.ms-powerpoint",
                "application/vnd.openxmlformats-officedocument.presentationml.presentation",
                "application/pdf",
            ),
            aim_bytes=100_000_000,
            max_bytes=100 * 1024 * 1024,
        ),
        Kind.IMAGE: Limits(
            media_types=("image/jpeg", "image/png"),
            aim_bytes=5_000_000,
            max_bytes=5 * 1024 * 1024,
        ),
        Kind.STICKER: Limits(media_types=("image/webp",), aim_bytes=500_000, max_bytes=500 * 1024),
        Kind.VIDEO: Limits(
            media_types=("video/3gpp", "video/mp4"),
            aim_bytes=16_000_000,
            max_bytes=16 * 1024 * 1024,
        ),
    }
)
