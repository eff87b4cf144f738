"""Every code of the facts, and every text of 131053 that users report, becomes a cause, a sentence and advice."""

import pytest

from proxy.messaging.causes import TEXTS, Cause
from proxy.messaging.diagnoses import could_be, diagnose
from proxy.sandbox import details as sandbox

FAILED = "Downloading media from weblink failed with http code"
FWDPROXY = (
    f"{FAILED} 429, status message Too Many Requests. Request ratelimit by fwdproxy, "
    "destination matcher asn_list: 24940"
)
TEXTS_OF_131053 = {
    f"{FAILED} 404, status message Not Found": Cause.LINK_NOT_FOUND,
    f"{FAILED} 404": Cause.LINK_NOT_FOUND,
    f"{FAILED} 400, status message Bad Request": Cause.LINK_REFUSED,
    f"{FAILED} 401, status message Unauthorized": Cause.LINK_FORBIDDEN,
    f"{FAILED} 403, status message Forbidden": Cause.LINK_FORBIDDEN,
    f"{FAILED} 410, status message Gone": Cause.LINK_GONE,
    f"{FAILED} 500, status message Internal Server Error": Cause.LINK_FAILED,
    f"{FAILED} 502, status message Bad Gateway": Cause.LINK_FAILED,
    f"{FAILED} 503, status message Service Unavailable": Cause.LINK_FAILED,
    f"{FAILED} 504, status message Gateway Timeout": Cause.LINK_TIMED_OUT,
    f"{FAILED} 502, status message DNS resolution timed out": Cause.DNS_TIMED_OUT,
    FWDPROXY: Cause.FETCHER_THROTTLED,
    f"{FAILED} 429, status message Too Many Requests": Cause.LINK_THROTTLED,
    f"{FAILED} 302, status message Found": Cause.PAGE_INSTEAD_OF_MEDIUM,
    "Unsupported Audio mime type audio/opus. Please use one of audio/ogg; codecs=opus, audio/mpeg.": Cause.TYPE_REFUSED,
    "Unsupported Voice mime type audio/wav. Please use one of audio/ogg; codecs=opus.": Cause.TYPE_REFUSED,
    "Unsupported Image mime type image/webp. Please use one of image/jpeg, image/png.": Cause.TYPE_REFUSED,
    "Unsupported mime type text/html": Cause.PAGE_INSTEAD_OF_MEDIUM,
    "Sticker file could not be processed. Please choose a different file.": Cause.STICKER_REFUSED,
    "Media upload error": Cause.MEDIUM_UNPROCESSED,
    "(#131053) Media upload error": Cause.MEDIUM_UNPROCESSED,
    "": Cause.MEDIUM_UNPROCESSED,
    "something that nobody has seen yet": Cause.OTHER,
    sandbox.http_failure(500): Cause.LINK_FAILED,
    sandbox.http_failure(599): Cause.LINK_FAILED,
    sandbox.unsupported("Image", "image/gif", ["image/jpeg"]): Cause.TYPE_REFUSED,
    sandbox.not_as_declared("Audio", "audio/mp4", "audio/ogg"): Cause.TYPE_DISAGREES,
    sandbox.too_big("5MB"): Cause.TOO_LARGE,
    sandbox.STICKER: Cause.STICKER_REFUSED,
    sandbox.NOT_A_MEDIUM: Cause.PAGE_INSTEAD_OF_MEDIUM,
}
CODES = {
    0: Cause.CREDENTIAL,
    1: Cause.WHATSAPP_AWAY,
    2: Cause.WHATSAPP_AWAY,
    4: Cause.THROUGHPUT,
    10: Cause.CREDENTIAL,
    33: Cause.SENDER,
    100: Cause.PARAMETER,
    190: Cause.CREDENTIAL,
    200: Cause.CREDENTIAL,
    299: Cause.CREDENTIAL,
    368: Cause.RESTRICTED,
    80007: Cause.THROUGHPUT,
    130403: Cause.BLOCKED,
    130429: Cause.THROUGHPUT,
    130472: Cause.MARKETING_CAPPED,
    130497: Cause.RESTRICTED,
    131000: Cause.WHATSAPP_AWAY,
    131005: Cause.CREDENTIAL,
    131008: Cause.PARAMETER,
    131009: Cause.PARAMETER,
    131016: Cause.WHATSAPP_AWAY,
    131021: Cause.PARAMETER,
    131026: Cause.NOT_ON_WHATSAPP,
    131031: Cause.RESTRICTED,
    131042: Cause.PAYMENT,
    131045: Cause.SENDER,
    131047: Cause.WINDOW_CLOSED,
    131048: Cause.SPAM,
    131049: Cause.MARKETING_CAPPED,
    131050: Cause.MARKETING_STOPPED,
    131051: Cause.PARAMETER,
    131056: Cause.PAIR_RATE,
    131057: Cause.WHATSAPP_AWAY,
    131064: Cause.TEMPLATE,
    132000: Cause.TEMPLATE,
    132001: Cause.TEMPLATE,
    132012: Cause.TEMPLATE,
    132015: Cause.TEMPLATE,
    132016: Cause.TEMPLATE,
    999999: Cause.OTHER,
}


@pytest.mark.parametrize(("details", "cause"), TEXTS_OF_131053.items(), ids=lambda part: str(part)[-40:] or "none")
def test_a_text_of_131053_has_its_cause(details: str, cause: Cause) -> None:
    assert diagnose(131053, details).cause is cause


@pytest.mark.parametrize(("code", "cause"), CODES.items())
def test_a_code_has_its_cause(code: int, cause: Cause) -> None:
    assert diagnose(code, "whatever").cause is cause


@pytest.mark.parametrize(
    "details",
    [
        "You have exceeded the limit of 1 request every 2 seconds. Try again later.",
        "You have exceeded the endpoint rate limit",
    ],
)
def test_360dialog_throttles_by_text_alone(details: str) -> None:
    assert diagnose(None, details).cause is Cause.THROUGHPUT


def test_a_text_that_is_not_known_is_handed_on() -> None:
    assert "the moon is full" in diagnose(131053, "the moon is full").sentence
    assert "999999" in diagnose(999999, None).sentence
    assert diagnose(None, None).sentence == "It failed, and no reason was given."


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_is_told_in_sentences(cause: Cause) -> None:
    for text in TEXTS[cause]:
        assert text.endswith(".")
        assert len(text.split()) >= 5


@pytest.mark.parametrize("cause", list(Cause))
def test_a_search_for_a_cause_passes_by_no_code_that_has_it(cause: Cause) -> None:
    found = {code for code in CODES if diagnose(code, None).cause is cause}
    found |= {131053 for details in TEXTS_OF_131053 if diagnose(131053, details).cause is cause}
    codes = could_be(cause)
    assert codes is None or found <= codes
    assert found, "each cause comes of something"
