"""What webhooks say: statuses of our messages, and messages of others, in Meta's shapes.

Source: Meta's "Status messages webhook reference" of November 2025; its text message webhook for what comes in.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from proxy.sandbox.messages import Posted
from proxy.sandbox.settings import Telling

MEDIA_UPLOAD_ERROR = 131053
PHONE_NUMBER_ID = "106540352242922"

_DISPLAY_PHONE_NUMBER, _ACCOUNT_ID = "15550100", "102290129340398"
_PROFILE_NAME = "Somebody"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """`status` is sent, delivered, read or failed; `details` say why it failed."""

    status: str
    at_s: int
    details: str | None = None


Bodies = tuple[tuple[Status, ...], ...]


def statuses_of(problem: str | None, telling: Telling, at_s: int) -> tuple[Status, ...]:
    """Say what a message went through, the first first; `problem` is why it failed."""
    if problem is not None:
        return (Status(status="failed", at_s=at_s, details=problem),)
    names = ("sent", "delivered", "read") if telling.read else ("sent", "delivered")
    return tuple(Status(status=name, at_s=at_s) for name in names)


def bodies(statuses: tuple[Status, ...], telling: Telling) -> Bodies:
    """Share statuses out to the webhooks that tell them, in the order in which they are posted."""
    told = statuses[::-1] if telling.reverse else statuses
    shared: Bodies = (told,) if telling.together else tuple((status,) for status in told)
    return tuple(body for body in shared for _ in range(2 if telling.twice else 1))


def status_webhook(posted: Posted, wamid: str, statuses: Iterable[Status]) -> dict[str, object]:
    return _webhook({"statuses": [_report(posted, wamid, status) for status in statuses]})


def inbound_webhook(wa_id: str, wamid: str, text: str, at_s: int) -> dict[str, object]:
    """Shape what a person wrote to the sandbox's number."""
    contact = {"profile": {"name": _PROFILE_NAME}, "wa_id": wa_id}
    message = {"from": wa_id, "id": wamid, "timestamp": str(at_s), "type": "text", "text": {"body": text}}
    return _webhook({"contacts": [contact], "messages": [message]})


def _webhook(told: Mapping[str, object]) -> dict[str, object]:
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": _DISPLAY_PHONE_NUMBER, "phone_number_id": PHONE_NUMBER_ID},
        **told,
    }
    entry = {"id": _ACCOUNT_ID, "changes": [{"field": "messages", "value": value}]}
    return {"object": "whatsapp_business_account", "entry": [entry]}


def _report(posted: Posted, wamid: str, status: Status) -> dict[str, object]:
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
    return report


def _media_upload_error(details: str) -> dict[str, object]:
    return {
        "code": MEDIA_UPLOAD_ERROR,
        "title": "Media upload error",
        "message": "Media upload error",
        "error_data": {"details": details},
        "href": "/documentation/business-messaging/whatsapp/support/error-codes",
    }
