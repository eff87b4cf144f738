"""What must be kept whole for a while, encrypted: bodies hold numbers and texts."""

from base64 import urlsafe_b64encode

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_PURPOSE = b"medialink ledger, sealed bodies"
"""Another key than that of the hashes, made of the same secret."""


class SealBroken(Exception):
    """It was sealed under a key that is no longer known, or has been altered."""


class Seal:
    """The first key seals; each of them opens what it sealed before a rotation."""

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        self._fernet = MultiFernet([Fernet(_derived(key)) for key in keys])

    def close(self, body: bytes) -> bytes:
        return self._fernet.encrypt(body)

    def open(self, sealed: bytes) -> bytes:
        """Give what was sealed.

        Raises:
            SealBroken: no key of ours opens it.
        """
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken as error:
            raise SealBroken from error


def _derived(key: bytes) -> bytes:
    return urlsafe_b64encode(HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(key))
