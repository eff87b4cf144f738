"""Links: what they say, and how they keep it to themselves.

A link is `/m/<tag>/<token>/<name>`. The token is a key id and a deterministic AES-SIV box (RFC 5297) around a small
canonical payload, with tag and name as associated data: the same content always has the same link, which WhatsApp
and CDNs cache by its exact string, and a link with any one character changed opens nowhere. All three segments are
made of unreserved characters only (RFC 3986, section 2.3), so that nothing on the way can escape them differently.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from proxy.errors import NotFound
from proxy.media.kinds import Kind, extension_of
from proxy.storage.store import Key

FORMAT = 1
MIN_SECRET_BYTES = 32
MAX_TOKEN_CHARS = 4096
TAG_CHARS = 10
MAX_NAME_BYTES = 64
MAX_OPENED = 2048
"""Links that are remembered once they are open: a box costs 27 us to open, on one core of 2.5 GHz."""
NAMELESS = "file"

_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,4}$")


class Sharing(StrEnum):
    """What the owner of an object lets caches do with it, by the object's own Cache-Control."""

    PUBLIC = "public"
    PRIVATE = "private"
    NO_STORE = "no-store"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One rendition, named. `recipe` is None where the source goes out as it is; `expires_at` is in Unix seconds."""

    kind: Kind
    key: Key
    version: str
    recipe: str | None
    media_type: str
    sharing: Sharing = Sharing.PUBLIC
    expires_at: int | None = None

    @property
    def rendition_id(self) -> str:
        return rendition_id(self.kind, self.key, self.version, self.recipe)


def rendition_id(kind: Kind, key: Key, version: str, recipe: str | None) -> str:
    """Name the bytes that are delivered: 32 hex characters, the same on every host and after every restart."""
    name = json.dumps([kind, key, version, recipe], ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(name.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class _Secrets:
    box: AESSIV
    tag_key: bytes


class Links:
    """Mints and opens link paths. The first key mints; all of them open, so that keys can be rotated."""

    def __init__(self, keys: Mapping[int, bytes], *, show_names: bool = True) -> None:
        if not keys or any(len(secret) < MIN_SECRET_BYTES for secret in keys.values()):
            raise ValueError(f"link keys need at least {MIN_SECRET_BYTES} bytes each")
        self._secrets = {key_id: _derive(secret) for key_id, secret in keys.items()}
        self._minting_id = next(iter(keys))
        self._show_names = show_names
        self._opened = lru_cache(MAX_OPENED)(self._open)

    def mint(self, link: Link) -> str:
        """Return the link's path."""
        secrets = self._secrets[self._minting_id]
        tag = _tag(secrets, link.key)
        name = _name(link.key, link.media_type) if self._show_names else _with_extension(NAMELESS, link.media_type)
        box = secrets.box.encrypt(_pack(link), [tag.encode(), name.encode()])
        return f"/m/{tag}/{_to_text(bytes([self._minting_id]) + box)}/{name}"

    def file_name(self, link: Link) -> str:
        """Name the file for whoever saves it, as its owner named it where names may show."""
        last = link.key.rsplit("/", 1)[-1] if self._show_names else NAMELESS
        extension = extension_of(link.media_type)
        return last if last.lower().endswith(f".{extension}") else f"{_ENDING.sub('', last)}.{extension}"

    def open(self, tag: str, token: str, name: str) -> Link:
        """Read a link back.

        Raises:
            NotFound: the three were not minted together by one of our keys.
        """
        return self._opened(tag, token, name)

    def _open(self, tag: str, token: str, name: str) -> Link:
        raw = _from_text(token)
        secrets = self._secrets.get(raw[0])
        if secrets is None:
            raise NotFound
        try:
            payload = secrets.box.decrypt(raw[1:], [tag.encode(), name.encode()])
        except (InvalidTag, ValueError) as error:
            raise NotFound from error
        return _unpack(payload)


def _derive(secret: bytes) -> _Secrets:
    okm = HKDF(algorithm=SHA256(), length=96, salt=None, info=b"medialink link v1").derive(secret)
    return _Secrets(box=AESSIV(okm[:64]), tag_key=okm[64:])


def _tag(secrets: _Secrets, key: Key) -> str:
    digest = hmac.digest(secrets.tag_key, key.encode(), "sha256")
    return base64.b32encode(digest).decode()[:TAG_CHARS].lower()


def _pack(link: Link) -> bytes:
    fields = [
        FORMAT,
        link.kind,
        link.key,
        link.version,
        link.recipe,
        link.media_type,
        link.sharing,
        link.expires_at,
    ]
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def _unpack(payload: bytes) -> Link:
    """Read what only we can have written; another format number is a link of a later release."""
    fields = json.loads(payload)
    if fields[0] != FORMAT:
        raise NotFound
    _, kind, key, version, recipe, media_type, sharing, expires_at = fields
    return Link(
        kind=Kind(kind),
        key=Key(key),
        version=version,
        recipe=recipe,
        media_type=media_type,
        sharing=Sharing(sharing),
        expires_at=expires_at,
    )


def _to_text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _from_text(token: str) -> bytes:
    """Decode base64url; the few spellings that decode to the same bytes are not ours (RFC 4648, section 3.5)."""
    if not 0 < len(token) <= MAX_TOKEN_CHARS:
        raise NotFound
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotFound from error
    if _to_text(raw) != token:
        raise NotFound
    return raw


def _name(key: Key, media_type: str) -> str:
    last = key.rsplit("/", 1)[-1]
    plain = unicodedata.normalize("NFKD", _ENDING.sub("", last)).encode("ascii", "ignore").decode()
    return _with_extension(re.sub(r"[^A-Za-z0-9_]+", "-", plain).strip("-") or NAMELESS, media_type)


def _with_extension(stem: str, media_type: str) -> str:
    """WhatsApp refuses a medium whose extension and type disagree (Meta's Media page, error 131053)."""
    ending = f".{extension_of(media_type)}"
    return stem[: MAX_NAME_BYTES - len(ending)] + ending
