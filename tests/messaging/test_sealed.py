"""Bodies are kept encrypted, and opened by the keys of today and of before."""

import pytest

from proxy.messaging.sealed import Seal, SealBroken

OLD, NEW = b"o" * 32, b"n" * 32
BODY = b'{"from":"491701234567"}'


def test_what_is_sealed_shows_nothing_and_opens_again() -> None:
    sealed = Seal((NEW,)).close(BODY)
    assert b"4917" not in sealed
    assert Seal((NEW,)).open(sealed) == BODY


def test_an_older_key_opens_and_the_newest_seals() -> None:
    rotated = Seal((NEW, OLD))
    assert rotated.open(Seal((OLD,)).close(BODY)) == BODY
    with pytest.raises(SealBroken):
        Seal((OLD,)).open(rotated.close(BODY))


def test_what_was_altered_does_not_open() -> None:
    sealed = bytearray(Seal((NEW,)).close(BODY))
    sealed[20] ^= 1
    with pytest.raises(SealBroken):
        Seal((NEW,)).open(bytes(sealed))
