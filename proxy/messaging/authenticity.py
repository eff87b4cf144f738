"""Whether a webhook is from whom it says: by a secret that comes along, or by a signature of its very bytes."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from proxy.errors import HandshakeRefused, Malformed, Unauthorized

SECRET_HEADER: Final = "X-Webhook-Secret"  # noqa: S105 - a name, no secret
SIGNATURE_HEADER: Final = "X-Hub-Signature-256"
MAX_CHALLENGE_CHARS: Final = 256

_SIGNATURE: Final = re.compile(r"sha256=[0-9a-f]{64}")
_CHALLENGE: Final = re.compile(rf"[A-Za-z0-9_.-]{{1,{MAX_CHALLENGE_CHARS}}}")
"""It goes back as it came; nothing in it may mean anything to a browser."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticity:
    """Either proof suffices where both are set. Everything is compared in constant time.

    `secret` is what 360dialog sends as the custom header that its owner set on the webhook; `app_secret` is the key of
    Meta's signature, `verify_token` what Meta shows once before it sends anything (facts, section 5).
    """

    secret: str | None
    app_secret: str | None
    verify_token: str | None

    def shows_secret(self, headers: Mapping[str, str]) -> bool:
        """Tell whether the secret came along; the body need not be read to know.

        Raises:
            Unauthorized: it did not, and no signature either.
        """
        if self.secret is not None and _same(headers.get(SECRET_HEADER, ""), self.secret):
            return True
        if self.app_secret is None or not _SIGNATURE.fullmatch(headers.get(SIGNATURE_HEADER, "")):
            raise self._refused()
        return False

    def require_signature(self, headers: Mapping[str, str], body: bytes) -> None:
        """Hold the signature against the raw bytes: what was signed is an escaped form that nobody can write again.

        Raises:
            Unauthorized: it is of other bytes, or of another key.
        """
        key = (self.app_secret or "").encode()
        expected = f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}"
        if self.app_secret is None or not _same(headers.get(SIGNATURE_HEADER, ""), expected):
            raise self._refused()

    def challenge(self, query: Mapping[str, str]) -> str:
        """Take the handshake, and give what proves that we did.

        Raises:
            HandshakeRefused: the token is another, or nothing is to be subscribed.
            Malformed: what is to be given back is more than a token.
        """
        shown = _same(query.get("hub.verify_token", ""), self.verify_token or "")
        if self.verify_token is None or not shown or query.get("hub.mode") != "subscribe":
            raise HandshakeRefused
        challenge = query.get("hub.challenge", "")
        if not _CHALLENGE.fullmatch(challenge):
            problem = f"must be 1 to {MAX_CHALLENGE_CHARS} letters, digits, and any of _.-"
            raise Malformed(field="hub.challenge", problem=problem)
        return challenge

    def _refused(self) -> Unauthorized:
        known = ((SECRET_HEADER, self.secret), (SIGNATURE_HEADER, self.app_secret))
        names = " or ".join(name for name, value in known if value is not None)
        return Unauthorized(required=f"{names or 'webhook'} header")


def _same(shown: str, known: str) -> bool:
    return hmac.compare_digest(shown.encode(errors="surrogatepass"), known.encode())
