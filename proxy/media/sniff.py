"""Tell a medium's type from its bytes; neither its name nor its declared type is asked."""

import codecs
import re
from typing import BinaryIO, Final

from proxy.media import containers, frames
from proxy.media.kinds import UNKNOWN

WINDOW_BYTES: Final = 64 * 1024
"""How much of the beginning is looked at; what must be looked for elsewhere has bounds of its own."""

_SIGNATURES: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"#!AMR\n", "audio/amr"),
    (b"#!AMR-WB\n", "audio/amr-wb"),
    (b"fLaC", "audio/flac"),
    (b"\x7fELF", "application/x-executable"),
    (b"\xfe\xed\xfa\xce", "application/x-mach-binary"),
    (b"\xfe\xed\xfa\xcf", "application/x-mach-binary"),
    (b"\xce\xfa\xed\xfe", "application/x-mach-binary"),
    (b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (b"\xca\xfe\xba\xbe", "application/x-mach-binary"),  # also a Java class: both run
    (b"L\0\0\0\x01\x14\x02\0", "application/x-ms-shortcut"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"{\\rtf", "application/rtf"),
    (b"%!PS", "application/postscript"),
)
_PATTERNS: Final = (
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb"RIFF.{4}WAVE", re.DOTALL), "audio/wav"),
    (re.compile(rb"RIFF.{4}AVI ", re.DOTALL), "video/x-msvideo"),
    (re.compile(rb"\x1a\x45\xdf\xa3.{0,60}webm", re.DOTALL), "video/webm"),
    (re.compile(rb"\x1a\x45\xdf\xa3"), "video/x-matroska"),
    (re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL), "image/bmp"),
    (re.compile(rb"MZ.{0,62}\0", re.DOTALL), "application/vnd.microsoft.portable-executable"),
    (re.compile(rb"#![ \t]*/"), "text/x-script"),
    (re.compile(rb"(?:\xef\xbb\xbf)?[\t\n\x0c\r ]*%PDF-"), "application/pdf"),
)
_PDF_LEEWAY_BYTES: Final = 1024
"""Readers look for %PDF- this far in (PDF Reference 1.7, appendix H, note 13)."""

_HIGH: Final = bytes(range(0x80, 0x100))
_ASCII_SHARE: Final = 20
"""One byte of so many at least is ASCII in an 8-bit text: line ends, blanks, digits."""
_CONTROL: Final = re.compile("[\0-\x08\x0e-\x1f]")
_PROLOGUE: Final = re.compile(
    r"\s*(?:<!--.*?-->|<\?(?P<xml>xml\b)?.*?\?>|<!doctype\s+(?P<doctype>[\w:]+)[^>\[]*(?:\[.*?\]\s*)?>)",
    re.DOTALL | re.IGNORECASE,
)
_TAG: Final = re.compile(r"\s*<(?:[\w.-]+:)?(?P<name>[a-z][\w.-]*|!--|!doctype\s+html)", re.IGNORECASE)
_HTML_TAGS: Final = frozenset(
    # WHATWG MIME Sniffing, "Identifying a resource with an unknown MIME type", and what else begins a page
    {"!--", "a", "b", "body", "br", "div", "font", "h1", "head", "html", "iframe", "p", "script", "style", "table"}
    | {"title", "base", "button", "center", "embed", "form", "frameset", "h2", "img", "input", "link", "meta"}
    | {"object", "span", "template"}
)


def sniff(file: BinaryIO, size_bytes: int) -> str:
    """Look at a bounded part of an open file.

    Returns a type that `EXTENSIONS` knows; `application/octet-stream` for what is not recognised. Hostile bytes can
    only be told as something else, never raise.
    """
    file.seek(0)
    head = file.read(WINDOW_BYTES)
    return (
        _by_signature(head)
        or containers.tell(file, head, size_bytes)
        or frames.tell(file, head, size_bytes)
        or _by_text(head, whole=len(head) >= size_bytes)
        or ("application/pdf" if b"%PDF-" in head[:_PDF_LEEWAY_BYTES] else UNKNOWN)
    )


def _by_signature(head: bytes) -> str | None:
    for signature, media_type in _SIGNATURES:
        if head.startswith(signature):
            return media_type
    for pattern, media_type in _PATTERNS:
        if pattern.match(head):
            return media_type
    return None


def _by_text(head: bytes, *, whole: bool) -> str | None:
    text = _decode(head, whole=whole) or _decode_eight_bits(head)
    if not text or _CONTROL.search(text):
        return None
    return _by_markup(text) or "text/plain"


def _decode(head: bytes, *, whole: bool) -> str | None:
    utf_16 = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    decoder = codecs.getincrementaldecoder("utf-16" if utf_16 else "utf-8-sig")("strict")
    try:
        return decoder.decode(head, final=whole)
    except UnicodeDecodeError:
        return None


def _decode_eight_bits(head: bytes) -> str | None:
    """Read what an old system wrote in a code page. Which one it is does not matter here: tags are ASCII."""
    return head.decode("latin-1") if len(head.translate(None, _HIGH)) * _ASCII_SHARE >= len(head) else None


def _by_markup(text: str) -> str | None:
    position, xml, doctype = 0, False, ""
    while found := _PROLOGUE.match(text, position):
        position = found.end()
        xml = xml or found["xml"] is not None
        doctype = doctype or (found["doctype"] or "").lower()
    tag = _TAG.match(text, position)
    name = tag["name"].lower() if tag else ""
    if "svg" in (doctype, name):
        return "image/svg+xml"
    if doctype == "html" or name in _HTML_TAGS or name.startswith("!doctype"):
        return "text/html"
    return "application/xml" if xml else None
