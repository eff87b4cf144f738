"""Who may call: 360dialog knows its callers by a key in a header of its own, Meta by a bearer token."""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request

from proxy.sandbox import answers

_VERSION = re.compile(r"v[0-9]{1,3}\.[0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Without an `api_key` any key is taken, but not none."""

    api_key: str | None
    random_bytes: Callable[[int], bytes]

    def refusal(self, request: Request) -> answers.Reply | None:
        """Look at the key that goes with 360dialog's paths."""
        return None if self._knows(request.headers.get("D360-API-KEY", "")) else answers.key_refused()

    def refusal_of_meta(self, request: Request) -> answers.Reply | None:
        """Look at the token that goes with Meta's paths, with or without a version.

        Raises:
            HTTPException: 404, what stands in the version's place is none.
        """
        if not _VERSION.fullmatch(request.path_params.get("version", "v1.0")):
            raise HTTPException(HTTPStatus.NOT_FOUND)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        knows = scheme.lower() == "bearer" and self._knows(token.strip())
        return None if knows else answers.token_refused(self.random_bytes)

    def refusal_of_either(self, request: Request) -> answers.Reply | None:
        """Look at what the caller shows, where both have the same path."""
        is_360dialogs = "version" not in request.path_params and "D360-API-KEY" in request.headers
        return self.refusal(request) if is_360dialogs else self.refusal_of_meta(request)

    def _knows(self, key: str) -> bool:
        if self.api_key is None:
            return bool(key)
        return secrets.compare_digest(key.encode(), self.api_key.encode())
