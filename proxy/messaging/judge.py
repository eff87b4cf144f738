"""A verdict, asked for before anything is sent: of a key in the store, or of a file that comes along."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from proxy.delivery.mint import Mint
from proxy.delivery.uploads import Uploads
from proxy.delivery.verdicts import Verdict, in_json
from proxy.errors import Malformed
from proxy.media.kinds import Kind
from proxy.messaging.callers import Caller, Callers, read_body
from proxy.messaging.wishes import MAX_WISH_BYTES, VerdictWish
from proxy.storage.store import parse_key

KIND_PARAMETER = "kind"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """A refusal is an answer here, not an error: 200, and the same words that a sender would hear."""

    callers: Callers
    mint: Mint
    uploads: Uploads

    async def verdicts(self, request: Request) -> Response:
        """`POST /verdicts` with a wish in JSON, or `POST /verdicts?kind=` with the file itself."""
        caller = self.callers.admit(request)
        uploaded = KIND_PARAMETER in request.query_params
        verdict = await (self._of_upload(request) if uploaded else self._of_key(request, caller))
        return JSONResponse(in_json(verdict))

    async def _of_key(self, request: Request, caller: Caller) -> Verdict:
        wish = VerdictWish.read(await read_body(request, MAX_WISH_BYTES))
        key = parse_key(wish.key)
        caller.require(key)
        _, verdict = await self.mint.verdict(wish.kind, key)
        return verdict

    async def _of_upload(self, request: Request) -> Verdict:
        try:
            kind = Kind(request.query_params[KIND_PARAMETER])
        except ValueError:
            raise Malformed(field="?kind=", problem=f"must be one of {', '.join(Kind)}") from None
        if request.headers.get("content-type", "").lower().startswith("multipart/"):
            raise Malformed(field="body", problem="is a form; send the bytes of the file alone (curl -T FILE)")
        announced_bytes = int(request.headers.get("content-length", "0"))
        return await self.uploads.judge(kind, _body_of(request), announced_bytes)


async def _body_of(request: Request) -> AsyncIterator[bytes]:
    try:
        async for piece in request.stream():
            yield piece
    except ClientDisconnect as error:
        raise Malformed(field="body", problem="ended before it was whole") from error
