"""Exit codes: what a script may do next hangs on them."""

import pytest

from proxy.console import exit_code
from proxy.errors import (
    Busy,
    LedgerAway,
    Malformed,
    MedialinkError,
    NotFound,
    ProviderBusy,
    ProviderRefused,
    SendUncertain,
    SettingsInvalid,
    StoreAway,
    TooLarge,
    Undecodable,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(Undecodable(media_type="image/jpeg", reason="it is cut short"), 1, id="refused"),
        pytest.param(TooLarge(size_bytes=2, limit_bytes=1), 1, id="too-large"),
        pytest.param(ProviderRefused(provider_code=100, details="no"), 1, id="refused-by-the-provider"),
        pytest.param(SendUncertain(message_id="a", details="lost"), 1, id="uncertain-is-no-reason-to-try-again"),
        pytest.param(Malformed(field="to", problem="is none"), 2, id="malformed"),
        pytest.param(NotFound(), 2, id="not-found"),
        pytest.param(SettingsInvalid(mistakes=()), 2, id="settings"),
        pytest.param(StoreAway(), 3, id="store"),
        pytest.param(LedgerAway(), 3, id="ledger"),
        pytest.param(Busy(), 3, id="busy"),
        pytest.param(ProviderBusy(details="throttled"), 3, id="provider"),
    ],
)
def test_an_error_has_its_exit_code(error: MedialinkError, code: int) -> None:
    assert exit_code(error) == code
