"""One answer for one `Idempotency-Key`: who asks again gets what was answered first, and nothing is posted twice.

The header is of draft-ietf-httpapi-idempotency-key-header. Neither 360dialog nor Meta knows one (facts, section 2).
"""

import hashlib
import hmac
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select, update

from proxy.errors import KeyReused, Malformed, StillSending
from proxy.messaging.database import Database
from proxy.messaging.sealed import Seal, SealBroken
from proxy.messaging.tables import idempotency, messages

HEADER: Final = "Idempotency-Key"
KEPT: Final = timedelta(hours=24)
SWEEP_EVERY_S: Final = 600.0
ROWS_AT_ONCE: Final = 1000
BEGIN_MARGIN_S: Final = 60.0
"""What a request may need beside its media before it stands in the ledger: two calls of the database (15 s each, queue
and all) and the proof of a link (10 s for each of its steps)."""

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An answer as it went out."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to post a message, once; `key` is a hash. Whoever takes it over has another `message_id`."""

    key: str
    message_id: str


def parse_key(text: str) -> str:
    """Read the header, with the quotes of a structured field or without.

    Raises:
        Malformed: it is no key.
    """
    key = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
    if not _KEY.fullmatch(key):
        raise Malformed(field=HEADER, problem="must be 1 to 255 visible ASCII characters")
    return key


@dataclass(frozen=True, slots=True, kw_only=True)
class Idempotency:
    """`secrets` hide what callers chose as keys, the first from now on; answers lie sealed, for they hold numbers.

    A claim of which the ledger has no message after `begin_s` was never posted, and the next request takes it over:
    its process died, or its database was away. `hold` ends a request that is slower than that before it is posted.
    What stands in no ledger (a mark as read) may so be posted twice, and says the same twice.
    """

    database: Database
    seal: Seal
    secrets: tuple[bytes, ...]
    now: Callable[[], datetime]
    begin_s: float

    async def claim(self, caller_key: str, key: str, request: bytes, message_id: str) -> Claim | Said:
        """Claim a key for a request, or give what was answered to it.

        Raises:
            KeyReused: it was another request's.
            StillSending: the first one has no answer: it is on its way, or was posted and its answer lost.
        """
        hidden = self._hidden(f"{caller_key}\0{key}".encode())
        work = partial(self._claim, hidden, self._hidden(request), message_id)
        return await self.database.write(work, idempotent=True)

    async def settle(self, claim: Claim, said: Said) -> None:
        """Keep what was answered, for whoever asks again."""
        sealed = self.seal.close(_written(said))
        change = update(idempotency).where(*_is(claim)).values(sealed=sealed)
        await self.database.write(lambda connection: connection.execute(change), idempotent=True)

    async def release(self, claim: Claim) -> None:
        """Forget a request that was not posted: the next one is the first."""
        gone = delete(idempotency).where(*_is(claim))
        await self.database.write(lambda connection: connection.execute(gone), idempotent=True)

    def hold(self, claim: Claim, connection: Connection) -> None:
        """Let nobody take a claim over until the transaction ends that writes its message into the ledger.

        Raises:
            StillSending: somebody has, and posts in its place.
        """
        mine = select(idempotency.c.message_id).where(idempotency.c.key_hash == claim.key).with_for_update()
        holder = connection.execute(mine).scalar()
        if holder != claim.message_id:
            raise StillSending(message_id=holder or claim.message_id)

    async def sweep(self) -> None:
        """Forget what is older than a day."""
        old = select(idempotency.c.key_hash).where(idempotency.c.begun_at < self.now() - KEPT).limit(ROWS_AT_ONCE)
        gone = delete(idempotency).where(idempotency.c.key_hash.in_(old))
        while await self.database.write(lambda connection: connection.execute(gone).rowcount, idempotent=True):
            pass

    def _hidden(self, text: bytes) -> list[str]:
        return [hmac.new(secret, text, hashlib.sha256).hexdigest() for secret in self.secrets]

    def _claim(self, hidden: list[str], digests: list[str], message_id: str, connection: Connection) -> Claim | Said:
        mine = idempotency.c.key_hash.in_(hidden)
        connection.execute(delete(idempotency).where(mine, idempotency.c.begun_at < self.now() - KEPT))
        found = connection.execute(select(idempotency).where(mine).with_for_update()).first()
        if found is None:
            row = {"key_hash": hidden[0], "request_hash": digests[0], "message_id": message_id, "begun_at": self.now()}
            connection.execute(insert(idempotency).values(row))
            return Claim(key=hidden[0], message_id=message_id)
        if found.message_id == message_id:
            return Claim(key=found.key_hash, message_id=message_id)
        if found.request_hash not in digests:
            raise KeyReused
        if found.sealed is None:
            return self._take_over(found, message_id, connection)
        try:
            return _read(self.seal.open(found.sealed))
        except SealBroken:
            raise StillSending(message_id=found.message_id) from None

    def _take_over(self, found: Row[Any], message_id: str, connection: Connection) -> Claim:
        in_ledger = connection.execute(select(messages.c.id).where(messages.c.id == found.message_id)).first()
        if in_ledger or found.begun_at >= self.now() - timedelta(seconds=self.begin_s):
            raise StillSending(message_id=found.message_id)
        left = Claim(key=found.key_hash, message_id=found.message_id)
        change = update(idempotency).where(*_is(left)).values(message_id=message_id, begun_at=self.now())
        connection.execute(change)
        return Claim(key=found.key_hash, message_id=message_id)


def _is(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    """Find a claim only while it is the same request's."""
    return idempotency.c.key_hash == claim.key, idempotency.c.message_id == claim.message_id


def _written(said: Said) -> bytes:
    headers = [[b64encode(name).decode(), b64encode(value).decode()] for name, value in said.headers]
    return json.dumps([said.status, headers, b64encode(said.body).decode()]).encode()


def _read(written: bytes) -> Said:
    status, headers, body = json.loads(written)
    return Said(
        status=status,
        headers=[(b64decode(name), b64decode(value)) for name, value in headers],
        body=b64decode(body),
    )
