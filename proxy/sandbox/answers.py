"""What goes over the wire: 360dialog's answers, and WhatsApp's errors passed through by it."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType

from starlette.background import BackgroundTask
from starlette.responses import HTMLResponse, JSONResponse, Response

from proxy.sandbox.messages import Posted
from proxy.sandbox.refusals import MAINTENANCE, PAIR_RATE, THROUGHPUT, Refusal
from proxy.sandbox.settings import Behaviour

INVALID_TOKEN = 190

_LIMITS = MappingProxyType(
    {Behaviour.THROUGHPUT: THROUGHPUT, Behaviour.PAIR_RATE: PAIR_RATE, Behaviour.MAINTENANCE: MAINTENANCE}
)
_SERVER_ERROR_555 = 555


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer: a mapping is JSON, a string is a page."""

    content: Mapping[str, object] | str
    status: int = HTTPStatus.OK


def respond(reply: Reply, background: BackgroundTask | None = None) -> Response:
    kind = HTMLResponse if isinstance(reply.content, str) else JSONResponse
    return kind(reply.content, reply.status, background=background)


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


def refused_before(behaviour: Behaviour, random_bytes: Callable[[int], bytes]) -> Reply | None:
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
        case Behaviour.THROUGHPUT | Behaviour.PAIR_RATE | Behaviour.MAINTENANCE:
            return refused(_LIMITS[behaviour], random_bytes)
        case _:
            return None


def failed_after() -> Reply:
    return _server_error(HTTPStatus.INTERNAL_SERVER_ERROR)


def _server_error(status: int) -> Reply:
    meta = {"http_code": status, "developer_message": "Internal server error", "success": False}
    return Reply({"meta": meta}, status)
