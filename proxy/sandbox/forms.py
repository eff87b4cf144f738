"""A multipart/form-data body, taken apart where it lies (RFC 7578): nothing of a file is copied.

The heads of the parts are read by the standard library's email parser; it would take a body of 100 MB line by line, so
the parts themselves are found by their boundary.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from mmap import mmap
from typing import TypeAlias

MAX_PARTS = 10
MAX_HEAD_BYTES = 8 * 1024
MAX_BOUNDARY_CHARS = 70
"""RFC 2046, section 5.1.1."""

Body: TypeAlias = bytes | mmap


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A field of a form: what it says of its type, and where its content lies in the body."""

    content_type: str
    start: int
    end: int


def read_form(body: Body, content_type: str) -> Mapping[str, Part] | None:
    """Find the parts by name, the first of each; None when this is no such form, or has too many of them."""
    boundary = _boundary(content_type)
    delimiter = b"--" + boundary
    if not boundary or body[: len(delimiter)] != delimiter:
        return None
    parts: dict[str, Part] = {}
    at = len(delimiter)
    for _ in range(MAX_PARTS):
        if body[at : at + 2] == b"--":
            return parts
        head_end = body.find(b"\r\n\r\n", at, at + MAX_HEAD_BYTES)
        start = head_end + 4
        end = -1 if head_end < 0 else body.find(b"\r\n" + delimiter, start)
        if end < 0:
            return None
        head = BytesHeaderParser().parsebytes(body[at + 2 : head_end])
        part = Part(content_type=str(head.get("Content-Type", "text/plain")), start=start, end=end)
        parts.setdefault(str(head.get_param("name", "", "Content-Disposition")), part)
        at = end + 2 + len(delimiter)
    return parts if body[at : at + 2] == b"--" else None


def _boundary(content_type: str) -> bytes:
    head = Message()
    head["Content-Type"] = content_type
    boundary = head.get_param("boundary", "")
    is_form = head.get_content_type() == "multipart/form-data"
    if not is_form or not isinstance(boundary, str) or len(boundary) > MAX_BOUNDARY_CHARS:
        return b""
    return boundary.encode()
