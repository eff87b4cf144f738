"""The causes of failures, each with what happened and what to do about it, in plain words.

The reactions are Meta's, where its page of error codes names one, and else what users report to have helped (facts,
section 2).
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Cause(StrEnum):
    LINK_NOT_FOUND = "link_not_found"
    LINK_GONE = "link_gone"
    LINK_FORBIDDEN = "link_forbidden"
    LINK_THROTTLED = "link_throttled"
    LINK_REFUSED = "link_refused"
    LINK_FAILED = "link_failed"
    LINK_TIMED_OUT = "link_timed_out"
    DNS_TIMED_OUT = "dns_timed_out"
    FETCHER_THROTTLED = "fetcher_throttled"
    TYPE_REFUSED = "type_refused"
    TYPE_DISAGREES = "type_disagrees"
    PAGE_INSTEAD_OF_MEDIUM = "page_instead_of_medium"
    TOO_LARGE = "too_large"
    STICKER_REFUSED = "sticker_refused"
    MEDIUM_UNPROCESSED = "medium_unprocessed"
    WINDOW_CLOSED = "window_closed"
    NOT_ON_WHATSAPP = "not_on_whatsapp"
    BLOCKED = "blocked"
    MARKETING_CAPPED = "marketing_capped"
    MARKETING_STOPPED = "marketing_stopped"
    PAIR_RATE = "pair_rate"
    THROUGHPUT = "throughput"
    SPAM = "spam"
    RESTRICTED = "restricted"
    PAYMENT = "payment"
    TEMPLATE = "template"
    PARAMETER = "parameter"
    CREDENTIAL = "credential"
    SENDER = "sender"
    WHATSAPP_AWAY = "whatsapp_away"
    OTHER = "other"


_AGAIN: Final = "Send it again; wait longer each time (4^n seconds is what Meta publishes)."
TEXTS: Final[Mapping[Cause, tuple[str, str]]] = MappingProxyType(
    {
        Cause.LINK_NOT_FOUND: (
            "WhatsApp fetched the link and was told that there is nothing (404).",
            (
                "Open the link yourself, through PUBLIC_URL. If the file was written just before the send, send it "
                "again; else see that the link was not cut or escaped on its way, and that its key is still in "
                "LINK_KEYS."
            ),
        ),
        Cause.LINK_GONE: (
            "WhatsApp fetched the link and was told that it is gone (410): expired, replaced, or taken down.",
            "Mint a new link and send that; `medialink takedown --list` shows what was taken down.",
        ),
        Cause.LINK_FORBIDDEN: (
            "Something that stands before the file did not let WhatsApp in (401 or 403).",
            (
                "Look at the CDN, the firewall and the bot protection before the origin: WhatsApp comes without a "
                "cookie and its agent is not documented. A presigned link may have expired."
            ),
        ),
        Cause.LINK_THROTTLED: (
            "Somebody on our side turned WhatsApp away for asking too often (429).",
            (
                "Look for the 429 at the CDN, the firewall, and MISSES_PER_MINUTE; with TRUSTED_PROXIES unset, all "
                "that comes through a CDN counts as one client."
            ),
        ),
        Cause.LINK_REFUSED: (
            "WhatsApp fetched the link, and the request was refused (4xx).",
            "Open the link yourself, through PUBLIC_URL, and mend what answers so.",
        ),
        Cause.LINK_FAILED: (
            "WhatsApp fetched the link and got a server's error (5xx).",
            (
                "See whether the error was the origin's, the CDN's, or a firewall's; then send it again. If it comes "
                "back, send it by an uploaded media id."
            ),
        ),
        Cause.LINK_TIMED_OUT: (
            "WhatsApp waited for the medium, and gave up.",
            "Prepare and warm links before a campaign (`medialink prepare`, `medialink warm`), then send it again.",
        ),
        Cause.DNS_TIMED_OUT: (
            "WhatsApp could not resolve the host of the link in time. This happens to healthy hosts too.",
            "See that the host of PUBLIC_URL resolves everywhere, then send it again.",
        ),
        Cause.FETCHER_THROTTLED: (
            (
                "WhatsApp's own fetcher (fwdproxy) held itself back (429): it limits by the network that the media lie "
                "in, across all customers of it."
            ),
            (
                "Wait and send it again, or send it by an uploaded media id. A CDN with a network of its own stands "
                'outside of this: see "WhatsApp throttles our network" in docs/runbook.md.'
            ),
        ),
        Cause.TYPE_REFUSED: (
            "WhatsApp does not take this type of medium.",
            (
                "Do not send it again as it is. Send it by its key, so that it is made to fit, or convert it to a type "
                "that the text names."
            ),
        ),
        Cause.TYPE_DISAGREES: (
            "The medium is not what its Content-Type or the extension of its link says.",
            "Do not send it again as it is. Send it by its key: the type is then told from the bytes.",
        ),
        Cause.PAGE_INSTEAD_OF_MEDIUM: (
            "WhatsApp got a page or a redirect where the medium should be. It follows no redirect.",
            (
                "Open the link with `curl -sI`: it must answer 200 with the medium's own type, at once. Look for a "
                "redirect, a log-in, or an error page of a CDN."
            ),
        ),
        Cause.TOO_LARGE: (
            "The medium is larger than WhatsApp takes.",
            "Do not send it again as it is. Send it by its key, so that it is made to fit or refused before the send.",
        ),
        Cause.STICKER_REFUSED: (
            "WhatsApp could not use the sticker: a WebP of 512x512 pixels, of 100 KB still or 500 KB moving.",
            "Do not send it again as it is. Send the picture by its key as a sticker: it is made to fit.",
        ),
        Cause.MEDIUM_UNPROCESSED: (
            "WhatsApp has the medium and could not use it, or could not get it; it does not say why.",
            "Look at what the origin saw. If the medium was delivered whole, export it again and replace it.",
        ),
        Cause.WINDOW_CLOSED: (
            "More than 24 hours have passed since this person last wrote, so only a template may be sent.",
            "Send a template, or wait until the person writes.",
        ),
        Cause.NOT_ON_WHATSAPP: (
            (
                "The number cannot be reached: it is not on WhatsApp, its app is too old, or the person has not "
                "accepted the terms."
            ),
            "Check the number with its country code; reach the person another way.",
        ),
        Cause.BLOCKED: (
            "This business has blocked the person.",
            "Unblock the person first, if that is what you want.",
        ),
        Cause.MARKETING_CAPPED: (
            "WhatsApp held the message back: this person gets no more marketing messages for now.",
            "Do not send it again within 24 hours.",
        ),
        Cause.MARKETING_STOPPED: (
            "The person has stopped marketing messages from this business.",
            "Never send marketing to this person again; take the person off the list.",
        ),
        Cause.PAIR_RATE: ("Too many messages went to this one person in a short time.", _AGAIN),
        Cause.THROUGHPUT: ("More messages were sent than the number or the account may send.", _AGAIN),
        Cause.SPAM: (
            "The number is restricted, because people have marked its messages as spam or blocked it.",
            "Stop sending from this number, and look at its quality in WhatsApp Manager.",
        ),
        Cause.RESTRICTED: (
            "The account is restricted or locked.",
            "Stop sending, and look at the account in WhatsApp Manager.",
        ),
        Cause.PAYMENT: (
            "There is something wrong with the account's payment.",
            "Set it right in WhatsApp Manager or at 360dialog, then send it again.",
        ),
        Cause.TEMPLATE: (
            "The template cannot be sent so: it is missing, paused, or does not fit its parameters.",
            "Compare the message with the template as it was approved, then send it again.",
        ),
        Cause.PARAMETER: (
            "The message has a field that WhatsApp does not take.",
            "Mend what the text names; the same message will be refused again.",
        ),
        Cause.CREDENTIAL: (
            "The key is not valid, or may not do this.",
            "Look at D360_API_KEY and at the rights of the account.",
        ),
        Cause.SENDER: (
            "The number that sends is not registered, or has been deleted.",
            "Register the number at 360dialog or in WhatsApp Manager.",
        ),
        Cause.WHATSAPP_AWAY: ("WhatsApp was overloaded or away for a moment.", _AGAIN),
        Cause.OTHER: (
            "It is not known why.",
            "Look the code and the text up in Meta's list of error codes, or ask the provider.",
        ),
    }
)
