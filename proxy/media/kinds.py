"""What WhatsApp accepts, as data, and the judgements that follow from it.

Source: Meta's "Media" page of 2025-12-02 and its audio page of 2026-02-17. Meta does not say whether its MB are
10^6 or 2^20 bytes, so a made rendition aims at the smaller and only what is over the larger is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from proxy.errors import TooHeavy, TypeRefused


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


OPUS = "audio/ogg; codecs=opus"
UNKNOWN = "application/octet-stream"

LIMITS: Mapping[Kind, Limits] = MappingProxyType(
    {
        Kind.AUDIO: Limits(
            media_types=("audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", OPUS),
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
STILL_STICKER = Limits(media_types=("image/webp",), aim_bytes=100_000, max_bytes=100 * 1024)
STICKER_EDGE_PX = 512

MADE = frozenset({Kind.IMAGE, Kind.STICKER})
"""What is made to fit; all else goes as it is, or not at all."""

IMAGE_SOURCES = (
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/gif",
    "image/tiff",
    "image/bmp",
    "image/heic",
    "image/avif",
)
"""What can be made into an image or a sticker; the first two may also go as images as they are."""

EXTENSIONS: Mapping[str, str] = MappingProxyType(
    {
        "application/epub+zip": "epub",
        "application/gzip": "gz",
        "application/java-archive": "jar",
        "application/msword": "doc",
        "application/ogg": "ogx",
        "application/pdf": "pdf",
        "application/postscript": "ps",
        "application/rtf": "rtf",
        "application/vnd.android.package-archive": "apk",
        "application/vnd.microsoft.portable-executable": "exe",
        "application/vnd.ms-excel": "xls",
        "application/vnd.ms-excel.sheet.binary.macroEnabled.12": "xlsb",
        "application/vnd.ms-excel.sheet.macroEnabled.12": "xlsm",
        "application/vnd.ms-powerpoint": "ppt",
        "application/vnd.ms-powerpoint.presentation.macroEnabled.12": "pptm",
        "application/vnd.ms-word.document.macroEnabled.12": "docm",
        "application/vnd.oasis.opendocument.presentation": "odp",
        "application/vnd.oasis.opendocument.spreadsheet": "ods",
        "application/vnd.oasis.opendocument.text": "odt",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
        "application/vnd.rar": "rar",
        "application/x-7z-compressed": "7z",
        "application/x-executable": "elf",
        "application/x-mach-binary": "macho",
        "application/x-ms-shortcut": "lnk",
        "application/x-msi": "msi",
        "application/x-ole-storage": "ole",
        "application/xml": "xml",
        "application/zip": "zip",
        "audio/aac": "aac",
        "audio/amr": "amr",
        "audio/amr-wb": "awb",
        "audio/flac": "flac",
        "audio/mp4": "m4a",
        "audio/mpeg": "mp3",
        "audio/ogg": "ogg",
        OPUS: "ogg",
        "audio/wav": "wav",
        "image/avif": "avif",
        "image/bmp": "bmp",
        "image/gif": "gif",
        "image/heic": "heic",
        "image/jpeg": "jpg",
        "image/png": "png",
        "image/svg+xml": "svg",
        "image/tiff": "tiff",
        "image/webp": "webp",
        "text/html": "html",
        "text/plain": "txt",
        "text/x-script": "sh",
        "video/3gpp": "3gp",
        "video/mp4": "mp4",
        "video/ogg": "ogv",
        "video/quicktime": "mov",
        "video/webm": "webm",
        "video/x-matroska": "mkv",
        "video/x-msvideo": "avi",
        UNKNOWN: "bin",
    }
)
"""Every type that `sniff` can tell, and the extension that a link to it ends in."""

NEVER_A_DOCUMENT = frozenset(
    {
        "application/java-archive",
        "application/vnd.android.package-archive",
        "application/vnd.microsoft.portable-executable",
        "application/x-executable",
        "application/x-mach-binary",
        "application/x-ms-shortcut",
        "application/x-msi",
        "image/svg+xml",
        "text/html",
        "text/x-script",
    }
)
"""What runs where it is opened: we do not serve it, whatever it is called."""


class MediaWarning(StrEnum):
    """A rule that Meta does not state clearly: the medium passes, and this says why it may still fail."""

    SIZE_UNCONFIRMED = "size_unconfirmed"
    TYPE_UNCONFIRMED = "type_unconfirmed"

    @property
    def sentence(self) -> str:
        return _SENTENCES[self]


_SENTENCES: Mapping[MediaWarning, str] = MappingProxyType(
    {
        MediaWarning.SIZE_UNCONFIRMED: (
            "The size is within the limit if WhatsApp's MB are 2^20 bytes, over it if they are 10^6: it may be refused."
        ),
        MediaWarning.TYPE_UNCONFIRMED: (
            "This type is not in WhatsApp's table of documents: it may be refused. PDF is the safest."
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRules:
    """What we want of an image beyond WhatsApp's own limits.

    Over `heavy_bytes`, or `heavy_edge_px` on its long side, it is made to fit both, but one that is more than 2.5 times
    as long as it is wide stays longer, so that it can be read; over `max_pixels` it is not decoded at all.
    """

    heavy_bytes: int = 1_000_000
    heavy_edge_px: int = 2560
    max_pixels: int = 100_000_000
    aim_bytes: int = LIMITS[Kind.IMAGE].aim_bytes
    max_bytes: int = LIMITS[Kind.IMAGE].max_bytes

    @property
    def budget_bytes(self) -> int:
        return min(self.heavy_bytes, self.aim_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What we want of media of every kind. `strict` takes no document whose type is not in Meta's table."""

    image: ImageRules = field(default_factory=ImageRules)
    strict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AsIs:
    """The source is delivered byte for byte. Pixels are known for pictures only, before any turn by EXIF."""

    media_type: str
    size_bytes: int
    width: int | None = None
    height: int | None = None
    warnings: tuple[MediaWarning, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What was made of a source. `quality` is JPEG's, None for PNG; `steps` say in plain words what was done."""

    media_type: str
    size_bytes: int
    width: int
    height: int
    quality: int | None
    encodes: int
    source_media_type: str
    source_size_bytes: int
    source_width: int
    source_height: int
    steps: tuple[str, ...]
    warnings: tuple[MediaWarning, ...] = ()


def extension_of(media_type: str) -> str:
    return EXTENSIONS.get(media_type, EXTENSIONS[UNKNOWN])


def judge_type(kind: Kind, media_type: str, *, strict: bool = False) -> tuple[MediaWarning, ...]:
    """Say whether bytes of this type can go as they are.

    Raises:
        TypeRefused: WhatsApp does not take the type as this kind, or does not say so and we are strict, or it would
            run where it is opened.
    """
    accepted = LIMITS[kind].media_types
    if media_type in accepted:
        return ()
    if kind is Kind.DOCUMENT and media_type not in NEVER_A_DOCUMENT and not strict:
        return (MediaWarning.TYPE_UNCONFIRMED,)
    raise TypeRefused(kind=kind.value, media_type=media_type, accepted=", ".join(accepted))


def judge_size(kind: Kind, size_bytes: int, limits: Limits) -> tuple[MediaWarning, ...]:
    """Say whether this many bytes are within the limits under both readings of MB, or one.

    Raises:
        TooHeavy: they are over the limit under both.
    """
    if size_bytes > limits.max_bytes:
        raise TooHeavy(kind=kind.value, size_bytes=size_bytes, limit_bytes=limits.max_bytes)
    return (MediaWarning.SIZE_UNCONFIRMED,) if size_bytes > limits.aim_bytes else ()


def judge_channels(channels: int) -> None:
    """Hold Ogg Opus to Meta's "mono input only" (audio page of 2026-02-17).

    Raises:
        TypeRefused: it has more than one channel.
    """
    if channels != 1:
        accepted = ", ".join(f"mono {one}" if one == OPUS else one for one in LIMITS[Kind.AUDIO].media_types)
        raise TypeRefused(kind=Kind.AUDIO.value, media_type=f"{channels}-channel {OPUS}", accepted=accepted)


def sticker_limits(*, animated: bool) -> Limits:
    return LIMITS[Kind.STICKER] if animated else STILL_STICKER
