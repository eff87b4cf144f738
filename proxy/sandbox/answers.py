"""What goes over the wire: 360dialog's answers, WhatsApp's errors passed through by it, and the status webhooks."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from proxy.sandbox.messages import Posted
from proxy.sandbox.refusals import Refusal
from proxy.sandbox.settings import Behaviour

THROUGHPUT = Refusal(
    code=130429,
    message="(#130429) Rate limit hit",
    details="Message failed to send because there were too many messages sent from this phone number in a short time.",
)
MEDIA_UPLOAD_ERROR = 131053
INVALID_TOKEN = 190

_PHONE_NUMBER_ID, _DISPLAY_PHONE_NUMBER, _ACCOUNT_ID = "106540352242922", "15550100", "102290129340398"
_SERVER_ERROR_555 = 555


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer: a mapping is JSON, a string is a page."""

    content: Mapping[str, object] | str
    status: int = HTTPStatus.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """`status` is sent, delivered or failed; `details` say why it failed."""

    status: str
    at_s: int
    details: str | None = None


def message_id(wa_id: str, random_bytes: Callable[[int], bytes]) -> str:
    """Make an id like the real ones, which are base64 of a short record that holds the number: mind them in logs."""
    number, unique = wa_id.encode(), random_bytes(9).hex().upper().encode()
    record = (
        b"\x1c\x18" + bytes([len(number)]) + number + b"\x15\x02\x00\x11\x18" + bytes([len(unique)]) + unique + b"\x00"
    )
    return "wamid." + base64.b64encode(record).decode()


def accepted(posted: Posted, wamid: str) -> Reply:
    return Reply(
        {
            "messaging_product": "whatsapp",
            "contacts": [{"input": posted.to, "wa_id": posted.wa_id}],
            "messages": [{"id": wamid}],
        }
    )


def accepted_without_id(posted: Posted) -> Reply:
    return Reply({"messaging_product": "whatsapp", "contacts": [{"input": posted.to, "wa_id": posted.wa_id}]})


def refused(refusal: Refusal, random_bytes: Callable[[int], bytes]) -> Reply:
    error: dict[str, object] = {"message": refusal.message, "type": "OAuthException", "code": refusal.code}
    if refusal.details is not None:
        error["error_data"] = {"messaging_product": "whatsapp", "details": refusal.details}
    error["fbtrace_id"] = "A" + base64.urlsafe_b64encode(random_bytes(16)).decode().rstrip("=")
    return Reply({"error": error}, HTTPStatus.BAD_REQUEST)


def key_refused() -> Reply:
    """360dialog's error list says of the 401 that its payload may speak of 404: this one does."""
    meta = {"http_code": 404, "developer_message": "Invalid api key", "success": False}
    return Reply({"meta": meta}, HTTPStatus.UNAUTHORIZED)


def token_refused(random_bytes: Callable[[int], bytes]) -> Reply:
    """Meta's 401: code 190 for a token that it does not know."""
    refusal = Refusal(code=INVALID_TOKEN, message="Invalid OAuth access token - Cannot parse access token")
    return Reply(refused(refusal, random_bytes).content, HTTPStatus.UNAUTHORIZED)


def refused_before(behaviour: Behaviour) -> Reply | None:
    """Answer instead of taking the message, where the behaviour says so."""
    match behaviour:
        case Behaviour.THROTTLE:
            sentence = "You have exceeded the limit of 1 request every * seconds. Try again later."
            meta = {"httpCode": 400, "developerMessage": sentence, "success": False}
            return Reply({"meta": meta}, HTTPStatus.BAD_REQUEST)
        case Behaviour.FAIL_BEFORE:
            return _server_error(_SERVER_ERROR_555)
        case Behaviour.HTML:
            title = "503 Service Temporarily Unavailable"
            page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
            return Reply(page, HTTPStatus.SERVICE_UNAVAILABLE)
        case _:
            return None


def failed_after() -> Reply:
    return _server_error(HTTPStatus.INTERNAL_SERVER_ERROR)


def _server_error(status: int) -> Reply:
    meta = {"http_code": status, "developer_message": "Internal server error", "success": False}
    return Reply({"meta": meta}, status)


def status_webhook(posted: Posted, wamid: str, status: Status) -> dict[str, object]:
    """Shape a webhook as Meta's "Status messages webhook reference" of November 2025 does."""
    report: dict[str, object] = {
        "id": wamid,
        "status": status.status,
        "timestamp": str(status.at_s),
        "recipient_id": posted.wa_id,
    }
    if posted.callback_data is not None:
        report["biz_opaque_callback_data"] = posted.callback_data
    if status.details is not None:
        report["errors"] = [_media_upload_error(status.details)]
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": _DISPLAY_PHONE_NUMBER, "phone_number_id": _PHONE_NUMBER_ID},
        "statuses": [report],
    }
    entry = {"id": _ACCOUNT_ID, "changes": [{"field": "messages", "value": value}]}
    return {"object": "whatsapp_business_account", "entry": [entry]}


def _media_upload_error(details: str) -> dict[str, object]:
    return {
        "code": MEDIA_UPLOAD_ERROR,
        "title": "Media upload error",
        "message": "Media upload error",
        "error_data": {"details": details},
        "href": "/documentation/business-messaging/whatsapp/support/error-codes",
    }
