"""The routes under /sandbox/: look at what happened, and tell the sandbox how to behave."""

from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import ClassVar, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from proxy.sandbox.carrier import Carrier, settled
from proxy.sandbox.drawer import Drawer
from proxy.sandbox.provider import Temper
from proxy.sandbox.rates import Gate
from proxy.sandbox.settings import Caching, Order, Telling
from proxy.sandbox.shelf import Shelf

MAX_WAIT_S = 30.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class CachingOrder:
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    caching: Caching


_ORDER = TypeAdapter(Order)
_CACHING_ORDER = TypeAdapter(CachingOrder)
_TELLING = TypeAdapter(Telling)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    temper: Temper
    carrier: Carrier
    shelf: Shelf
    drawer: Drawer
    gate: Gate

    async def get_fetches(self, _: Request) -> Response:
        return JSONResponse([seen.as_json() for seen in self.shelf.seen()])

    async def get_messages(self, request: Request) -> Response:
        messages = self.carrier.messages()
        await settled(messages, _wait_s(request))
        return JSONResponse([message.as_json() for message in messages])

    async def get_message(self, request: Request) -> Response:
        message = self.carrier.find(request.path_params["wamid"])
        if message is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        await settled([message], _wait_s(request))
        return JSONResponse(message.as_json())

    async def put_behaviour(self, request: Request) -> Response:
        self.temper.order = await read_order(_ORDER, request)
        return self._state()

    async def put_caching(self, request: Request) -> Response:
        self.shelf.caching = (await read_order(_CACHING_ORDER, request)).caching
        return self._state()

    async def put_telling(self, request: Request) -> Response:
        self.carrier.telling = await read_order(_TELLING, request)
        return self._state()

    async def delete_all(self, _: Request) -> Response:
        await self.carrier.clear()
        self.shelf.clear()
        self.drawer.clear()
        self.gate.clear()
        self.temper.reset()
        return self._state()

    def _state(self) -> Response:
        order = self.temper.order
        return JSONResponse(
            {
                "behaviour": order.behaviour,
                "times": order.times,
                "seconds": order.seconds,
                "caching": self.shelf.caching,
                "telling": asdict(self.carrier.telling),
            }
        )


async def read_order(shape: TypeAdapter[T], request: Request) -> T:
    try:
        return shape.validate_json(await request.body())
    except ValidationError as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, str(error)) from error


def _wait_s(request: Request) -> float:
    """Read ?wait=SECONDS; without it the answer comes at once."""
    try:
        wait_s = float(request.query_params.get("wait", "0"))
    except ValueError:
        wait_s = -1.0
    if not 0 <= wait_s <= MAX_WAIT_S:
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"wait must be 0 to {MAX_WAIT_S:g} seconds")
    return wait_s
