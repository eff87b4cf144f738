"""The authorities are read once, and are those that a client of its own would have."""

from ssl import CERT_REQUIRED

import httpx2
import pytest

from proxy.messaging.tls import authorities


def test_they_are_read_once_and_held_to() -> None:
    assert authorities() is authorities()
    assert authorities().verify_mode is CERT_REQUIRED
    assert authorities().check_hostname


def test_the_environment_names_no_authority(monkeypatch: pytest.MonkeyPatch) -> None:
    own = httpx2.create_ssl_context(trust_env=False).get_ca_certs()
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    authorities.cache_clear()
    assert authorities().get_ca_certs() == own
