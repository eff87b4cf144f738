"""Where uploaded media are kept: each lies in the form that brought it, in a temporary file that has no name.

Source: Meta's "Media" page of 2025-12-02: uploads are kept for 30 days, and belong to the number that uploaded them.
"""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from typing import BinaryIO

from proxy.sandbox import details
from proxy.sandbox.forms import Part, read_form
from proxy.sandbox.limits import ACCEPTED, accepted_as
from proxy.sandbox.looks import HEAD_BYTES
from proxy.sandbox.media import Uploaded, Wanted
from proxy.sandbox.refusals import Refusal, bad_parameter
from proxy.sandbox.settings import SandboxSettings
from proxy.sandbox.verdicts import judge_body, judge_type, limit_of

KEPT_S = 30 * 24 * 3600.0
PIECE_BYTES = 256 * 1024
PRODUCT = b"whatsapp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A medium in a form's file; `owner` is the id of the number that it belongs to."""

    id: str
    owner: str
    media_type: str
    sha256: str
    size_bytes: int
    head: bytes
    kept_at_s: float
    form: BinaryIO
    start: int

    def pieces(self) -> Iterator[bytes]:
        """Read the medium, though it may be thrown away meanwhile."""
        descriptor = os.dup(self.form.fileno())
        try:
            at, end = self.start, self.start + self.size_bytes
            while at < end and (piece := os.pread(descriptor, min(PIECE_BYTES, end - at), at)):
                at += len(piece)
                yield piece
        finally:
            os.close(descriptor)


class Drawer:
    """Keeps a number of uploads and of bytes; the oldest go for new ones."""

    def __init__(
        self, settings: SandboxSettings, clock: Callable[[], float], random_bytes: Callable[[int], bytes]
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._random_bytes = random_bytes
        self._uploads: OrderedDict[str, Upload] = OrderedDict()

    def keep(self, upload: Upload) -> None:
        """Keep what was looked at; its file is the drawer's from here on."""
        self._uploads[upload.id] = upload
        while len(self._uploads) > self._settings.max_kept_uploads or (
            len(self._uploads) > 1 and self._size_bytes() > self._settings.max_kept_upload_bytes
        ):
            self._uploads.popitem(last=False)[1].form.close()

    def find(self, medium_id: str, owner: str | None = None) -> Upload | None:
        """Find what was uploaded, by `owner` where one is named, and not too long ago."""
        upload = self._uploads.get(medium_id)
        if upload is None or self._clock() - upload.kept_at_s >= KEPT_S:
            return None
        return upload if owner in {None, upload.owner} else None

    def delete(self, medium_id: str) -> None:
        self._uploads.pop(medium_id).form.close()

    def clear(self) -> None:
        for medium_id in tuple(self._uploads):
            self.delete(medium_id)

    def unknown(self, media: tuple[Wanted, ...], owner: str) -> Refusal | None:
        """Say which medium of a message was never uploaded by its sender."""
        for medium in media:
            if isinstance(medium, Uploaded) and self.find(medium.id, owner) is None:
                name = f"{medium.kind}['id']"
                return bad_parameter(f"Param {name} is not a valid whatsapp business account media attachment ID")
        return None

    def judge(self, medium: Uploaded) -> str | None:
        """Say whether an upload can become a message of that kind: None, or the details of the failure."""
        upload = self.find(medium.id)
        if upload is None:
            return details.GONE
        return judge_type(medium, upload.media_type) or judge_body(
            medium, {"content-type": upload.media_type}, upload.size_bytes, upload.head
        )

    def look(self, form: BinaryIO, content_type: str, owner: str) -> Upload | Refusal:
        """Find the medium in a form, and its hash: a second's work where it is big, and it changes nothing here."""
        if not form.tell():
            return bad_parameter("The parameter messaging_product is required.")
        form.flush()
        with mmap(form.fileno(), 0, access=ACCESS_READ) as body:
            found = _file_of(body, content_type)
            if isinstance(found, Refusal):
                return found
            with memoryview(body) as view, view[found.start : found.end] as content:
                digest = hashlib.sha256(content).hexdigest()
            return Upload(
                id=str(10**15 + int.from_bytes(self._random_bytes(8), "big") % (9 * 10**15)),
                owner=owner,
                media_type=found.content_type,
                sha256=digest,
                size_bytes=found.end - found.start,
                head=body[found.start : min(found.end, found.start + HEAD_BYTES)],
                kept_at_s=self._clock(),
                form=form,
                start=found.start,
            )

    def _size_bytes(self) -> int:
        return sum(upload.start + upload.size_bytes for upload in self._uploads.values())


def _file_of(body: mmap, content_type: str) -> Part | Refusal:
    parts = read_form(body, content_type) or {}
    product, file = parts.get("messaging_product"), parts.get("file")
    if product is None or body[product.start : product.end] != PRODUCT:
        return bad_parameter("The parameter messaging_product is required.")
    if file is None:
        return bad_parameter("The parameter file is required.")
    kind = accepted_as(file.content_type)
    if kind is None:
        types = ", ".join(media_type for accepted in ACCEPTED.values() for media_type in accepted.extensions)
        return bad_parameter(
            f"Param file must be a file with one of the following types: {types}. "
            f"Received file of type '{file.content_type}'."
        )
    is_too_big = file.end - file.start > ACCEPTED[kind].max_bytes
    return bad_parameter(details.too_big(limit_of(kind))) if is_too_big else file
