"""What comes of itself, when the desk is told: a person writes to our number, Meta looks at the webhook."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from proxy.sandbox.answers import message_id
from proxy.sandbox.desk import read_order
from proxy.sandbox.limits import MAX_RECIPIENT_DIGITS, MAX_TEXT_CHARS
from proxy.sandbox.payloads import inbound_webhook
from proxy.sandbox.rates import Gate
from proxy.sandbox.settings import SandboxSettings
from proxy.sandbox.webhooks import Webhooks

CHALLENGE_BYTES = 4

_Digits = Annotated[str, StringConstraints(pattern=rf"^\+?[0-9]{{1,{MAX_RECIPIENT_DIGITS}}}$")]
_Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT_CHARS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    sender: Annotated[_Digits, Field(validation_alias="from")]
    text: _Text


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeOrder:
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    verify_token: str


_INBOUND = TypeAdapter(Inbound)
_HANDSHAKE = TypeAdapter(HandshakeOrder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    settings: SandboxSettings
    webhooks: Webhooks
    gate: Gate
    clock: Callable[[], float]
    random_bytes: Callable[[int], bytes]

    async def post_inbound(self, request: Request) -> Response:
        """Post a text as a person's, and tell how the webhook answered."""
        self._check_webhook()
        inbound = await read_order(_INBOUND, request)
        wa_id = inbound.sender.removeprefix("+")
        wamid = message_id(wa_id, self.random_bytes)
        self.gate.count_inbound()
        posting = await self.webhooks.post(inbound_webhook(wa_id, wamid, inbound.text, int(self.clock())))
        return JSONResponse({"id": wamid, "webhook": asdict(posting)})

    async def post_handshake(self, request: Request) -> Response:
        """Verify the webhook as Meta does, and tell whether the challenge came back."""
        self._check_webhook()
        order = await read_order(_HANDSHAKE, request)
        challenge = str(int.from_bytes(self.random_bytes(CHALLENGE_BYTES), "big"))
        return JSONResponse(asdict(await self.webhooks.shake_hands(order.verify_token, challenge)))

    def _check_webhook(self) -> None:
        if self.settings.webhook_url is None:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "the sandbox was not told a webhook URL")
