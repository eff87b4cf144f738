"""What WhatsApp accepts for each type of medium, transcribed anew so that a mistake in our own table shows.

Source: Meta's "Media" page of 2025-12-02. Whether its MB are 10^6 or 2^20 bytes is not said; only what is over the
larger reading is surely refused.
"""

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

KIB = 1024
MIB = 1024 * KIB

MAX_CAPTION_CHARS = 1024
MAX_CALLBACK_DATA_CHARS = 512
MAX_TEXT_CHARS = 4096
MAX_RECIPIENT_DIGITS = 15
"""E.164, section 6.1."""
MAX_STATIC_STICKER_BYTES = 100 * KIB
STICKER_SIDE_PX = 512

_OFFICE = "application/vnd.openxmlformats-officedocument."


class Kind(StrEnum):
    AUDIO = "audio"
    DOCUMENT = "document"
    IMAGE = "image"
    STICKER = "sticker"
    VIDEO = "video"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """`extensions` by media type, exactly as the type must stand in Content-Type; `fields` of the medium's object."""

    extensions: Mapping[str, tuple[str, ...]]
    max_bytes: int
    fields: frozenset[str]


ACCEPTED: Mapping[Kind, Accepted] = MappingProxyType(
    {
        Kind.AUDIO: Accepted(
            extensions={
                "audio/ogg; codecs=opus": (".ogg",),
                "audio/mpeg": (".mp3",),
                "audio/amr": (".amr",),
                "audio/mp4": (".m4a",),
                "audio/aac": (".aac",),
            },
            max_bytes=16 * MIB,
            fields=frozenset({"id", "link", "voice"}),
        ),
        Kind.DOCUMENT: Accepted(
            extensions={
                "text/plain": (".txt",),
                "application/vnd.ms-excel": (".xls",),
                f"{_OFFICE}spreadsheetml.sheet": (".xlsx",),
                "application/msword": (".doc",),
                f"{_OFFICE}wordprocessingml.document": (".docx",),
                "application/vnd.ms-powerpoint": (".ppt",),
                f"{_OFFICE}presentationml.presentation": (".pptx",),
                "application/pdf": (".pdf",),
            },
            max_bytes=100 * MIB,
            fields=frozenset({"id", "link", "caption", "filename"}),
        ),
        Kind.IMAGE: Accepted(
            extensions={"image/jpeg": (".jpeg", ".jpg"), "image/png": (".png",)},
            max_bytes=5 * MIB,
            fields=frozenset({"id", "link", "caption"}),
        ),
        Kind.STICKER: Accepted(
            extensions={"image/webp": (".webp",)},
            max_bytes=500 * KIB,
            fields=frozenset({"id", "link"}),
        ),
        Kind.VIDEO: Accepted(
            extensions={"video/mp4": (".mp4",), "video/3gpp": (".3gp",), "video/3gp": (".3gp",)},
            max_bytes=16 * MIB,
            fields=frozenset({"id", "link", "caption"}),
        ),
    }
)

_TYPES_BY_EXTENSION = mimetypes.MimeTypes(filenames=()).types_map[True]


def media_type_of(kind: Kind, content_type: str) -> str | None:
    """Find the accepted media type that a Content-Type names, or None.

    Parameters must stand as in the table, with one exception: a text may name its charset.
    """
    named = content_type.strip().lower()
    if named.startswith("text/plain;") and "charset=" in named:
        named = "text/plain"
    return named if named in ACCEPTED[kind].extensions else None


def accepted_as(content_type: str) -> Kind | None:
    """Find the kind that a Content-Type is of: each type is of one."""
    return next((kind for kind in Kind if media_type_of(kind, content_type) is not None), None)


def type_by_extension(kind: Kind, link: str, media_type: str) -> str:
    """Name the type that the link's last segment ends in: the given one where it fits, or where it says nothing."""
    extension = PurePosixPath(unquote(urlsplit(link).path)).suffix.lower()
    if extension in ACCEPTED[kind].extensions[media_type]:
        return media_type
    rows = (row for accepted in ACCEPTED.values() for row in accepted.extensions.items())
    ours = (named for named, extensions in rows if extension in extensions)
    return next(ours, _TYPES_BY_EXTENSION.get(extension, media_type))
