"""The routes of uploaded media, 360dialog's and Meta's: put there, looked up, read, deleted.

Source: Meta's "Media" page of 2025-12-02: the address of a medium holds for five minutes.
"""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from tempfile import TemporaryFile
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from proxy.sandbox import answers
from proxy.sandbox.details import too_big
from proxy.sandbox.drawer import Drawer, Upload
from proxy.sandbox.keys import Keys
from proxy.sandbox.limits import ACCEPTED, Kind
from proxy.sandbox.payloads import PHONE_NUMBER_ID
from proxy.sandbox.refusals import Refusal, bad_parameter, no_such_object
from proxy.sandbox.verdicts import limit_of

MAX_FORM_BYTES = ACCEPTED[Kind.DOCUMENT].max_bytes + 64 * 1024
"""The biggest medium, and the form around it."""
MAX_BODY_BYTES = 2 * MAX_FORM_BYTES
"""What is between the two is read to its end, so that its sender hears why it is refused."""
ADDRESS_S = 300
ADDRESS_PATH = "/whatsapp_business/attachments/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploads:
    keys: Keys
    drawer: Drawer
    clock: Callable[[], float]
    random_bytes: Callable[[int], bytes]
    address_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    async def post(self, request: Request) -> Response:
        """Take an upload at 360dialog's path."""
        return await self._post(request, self.keys.refusal(request), PHONE_NUMBER_ID)

    async def post_to_meta(self, request: Request) -> Response:
        return await self._post(request, self.keys.refusal_of_meta(request), str(request.path_params["phone_id"]))

    async def get(self, request: Request) -> Response:
        """Tell what is kept, and for five minutes where; `phone_number_id` must be the uploader's where it is given."""
        found = self._find(request)
        if not isinstance(found, Upload):
            return answers.respond(found)
        expires = str(int(self.clock()) + ADDRESS_S)
        address = urlencode({"mid": found.id, "ext": expires, "hash": self._hash(found.id, expires)})
        return JSONResponse(
            {
                "url": f"{request.base_url}{ADDRESS_PATH[1:]}?{address}",
                "mime_type": found.media_type,
                "sha256": found.sha256,
                "file_size": found.size_bytes,
                "id": found.id,
                "messaging_product": "whatsapp",
            }
        )

    async def delete(self, request: Request) -> Response:
        found = self._find(request)
        if not isinstance(found, Upload):
            return answers.respond(found)
        self.drawer.delete(found.id)
        return JSONResponse({"success": True})

    async def get_bytes(self, request: Request) -> Response:
        """Answer a medium at the address that was told for it, with a key, and for as long as the address holds."""
        refusal = self.keys.refusal_of_either(request)
        if refusal is not None:
            return answers.respond(refusal)
        medium_id, expires = request.query_params.get("mid", ""), request.query_params.get("ext", "")
        is_ours = hmac.compare_digest(
            request.query_params.get("hash", "").encode(), self._hash(medium_id, expires).encode()
        )
        upload = self.drawer.find(medium_id) if is_ours and self.clock() < int(expires) else None
        if upload is None:
            return Response(status_code=HTTPStatus.NOT_FOUND)
        headers = {"Content-Length": str(upload.size_bytes)}
        return StreamingResponse(upload.pieces(), media_type=upload.media_type, headers=headers)

    async def _post(self, request: Request, refusal: answers.Reply | None, owner: str) -> Response:
        if refusal is not None:
            return answers.respond(refusal)
        with ExitStack() as opened:
            form = opened.enter_context(TemporaryFile())
            size_bytes = 0
            async for chunk in request.stream():
                size_bytes += len(chunk)
                if size_bytes <= MAX_FORM_BYTES:
                    form.write(chunk)
            if size_bytes > MAX_FORM_BYTES:
                refusal_of_size = bad_parameter(too_big(limit_of(Kind.DOCUMENT)))
                return answers.respond(answers.refused(refusal_of_size, self.random_bytes))
            content_type = request.headers.get("Content-Type", "")
            upload = await asyncio.to_thread(self.drawer.look, form, content_type, owner)
            if isinstance(upload, Refusal):
                return answers.respond(answers.refused(upload, self.random_bytes))
            opened.pop_all()
            self.drawer.keep(upload)
            return JSONResponse({"id": upload.id})

    def _find(self, request: Request) -> Upload | answers.Reply:
        refusal = self.keys.refusal_of_either(request)
        if refusal is not None:
            return refusal
        medium_id = str(request.path_params["medium_id"])
        upload = self.drawer.find(medium_id, request.query_params.get("phone_number_id"))
        return upload or answers.refused(no_such_object(medium_id), self.random_bytes)

    def _hash(self, medium_id: str, expires: str) -> str:
        return hmac.new(self.address_key, f"{medium_id}:{expires}".encode(), hashlib.sha256).hexdigest()
