"""A link, asked for and given: for systems that post their messages themselves."""

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from proxy.delivery.mint import Mint, Minted
from proxy.delivery.verdicts import in_json
from proxy.messaging.callers import Callers, read_body
from proxy.messaging.wishes import MAX_WISH_BYTES, LinkWish
from proxy.storage.store import parse_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Give:
    callers: Callers
    mint: Mint

    async def links(self, request: Request) -> Response:
        """`POST /links`."""
        caller = self.callers.admit(request)
        wish = LinkWish.read(await read_body(request, MAX_WISH_BYTES))
        key = parse_key(wish.key)
        caller.require(key)
        minted = await self.mint.mint(wish.kind, key, wish.expires_in_s)
        headers = {"Location": minted.url, **warned(minted.verdict.warnings)}
        return JSONResponse(minted_in_json(minted), status_code=201, headers=headers)


def minted_in_json(minted: Minted) -> dict[str, object]:
    return {
        "link": minted.url,
        "rendition": minted.link.rendition_id,
        "expires_at": minted.link.expires_at,
        "verdict": in_json(minted.verdict),
    }


def warned(warnings: tuple[str, ...]) -> Mapping[str, str]:
    """Tell the caller what may still go wrong."""
    return {"X-Medialink-Warning": ", ".join(warnings)} if warnings else {}
