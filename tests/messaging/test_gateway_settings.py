"""Where the gateway may not stand: no key goes where it does not belong."""

from typing import Any

import pytest

from proxy.errors import SettingsInvalid
from proxy.safety import doubtful
from proxy.settings import Settings

HASH = "a" * 64
REAL: dict[str, Any] = {"gateway_keys": HASH, "public_url": "https://media.example.com"}
NEAR: dict[str, Any] = {"gateway_keys": HASH, "provider_url": "http://127.0.0.1:8081"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        pytest.param({"waba_key": "caller"}, "needs GATEWAY_KEYS", id="nobody may call"),
        pytest.param({**NEAR, "waba_key": "house"}, "D360_API_KEY is not set", id="no key of the house"),
        pytest.param(
            {**REAL, "waba_key": "house", "d360_api_key": "k", "provider_url": "https://graph.facebook.com"},
            "house is for 360dialog",
            id="Meta by the key of the house",
        ),
        pytest.param(
            {**REAL, "waba_key": "caller", "provider_url": "https://waba.example.com"}, "alone", id="somebody else"
        ),
        pytest.param(
            {**REAL, "waba_key": "caller", "provider_url": "https://evil360dialog.io"}, "alone", id="who sounds so"
        ),
        pytest.param(
            {**REAL, "waba_key": "caller", "provider_url": "http://waba-v2.360dialog.io"}, "by https", id="in clear"
        ),
        pytest.param({"gateway_keys": HASH, "waba_key": "caller"}, "PUBLIC_URL that is https", id="no public address"),
        pytest.param({**NEAR, "waba_key": "both"}, "WABA_KEY", id="an unknown word"),
    ],
)
def test_the_gateway_does_not_stand_where_a_key_would_go_astray(given: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsInvalid, match=says):
        Settings.read(**given)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({**REAL, "waba_key": "caller"}, id="360dialog, the caller's key"),
        pytest.param({**REAL, "waba_key": "house", "d360_api_key": "k"}, id="360dialog, the house's key"),
        pytest.param({**REAL, "waba_key": "caller", "provider_url": "https://graph.facebook.com"}, id="Meta"),
        pytest.param({**NEAR, "waba_key": "caller"}, id="a sandbox"),
        pytest.param({**NEAR, "waba_key": "house", "d360_api_key": "k"}, id="a sandbox by the house's key"),
    ],
)
def test_the_gateway_stands_before_either_provider_and_a_sandbox(given: dict[str, Any]) -> None:
    assert Settings.read(**given).waba_key == given["waba_key"]


def test_a_gateway_with_callers_keys_sends_for_real_too() -> None:
    assert "MODE" in "".join(doubtful(Settings.read(**REAL, waba_key="caller")))
    assert "MODE" not in "".join(doubtful(Settings.read(**REAL)))
