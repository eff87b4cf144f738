"""The proof that PUBLIC_URL works: what WhatsApp's fetch would meet, met first."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from proxy.delivery.links import Link
from proxy.delivery.mint import Minted
from proxy.errors import PublicUrlBroken
from proxy.media.kinds import AsIs, Kind
from proxy.messaging.proof import Proof
from proxy.servers import ThreadedServer
from proxy.storage.store import Key

BODY = b"\xff\xd8\xff" * 100


class Origin:
    def __init__(self, url: str) -> None:
        self.url = url
        self.asked = 0
        self.answer: Response = Response(BODY, media_type="image/jpeg")


@pytest.fixture
def origin() -> Iterator[Origin]:
    made = Origin("")

    async def serve(_: Request) -> Response:
        made.asked += 1
        return made.answer

    with ExitStack() as running:
        app = Starlette(routes=[Route("/m/a/b/c.jpg", serve)])
        made.url = running.enter_context(ThreadedServer(app)).url
        yield made


@pytest.fixture
def minted(origin: Origin) -> Minted:
    link = Link(kind=Kind.IMAGE, key=Key("c.jpg"), version="v:1", recipe=None, media_type="image/jpeg")
    return Minted(
        url=f"{origin.url}/m/a/b/c.jpg", link=link, verdict=AsIs(media_type="image/jpeg", size_bytes=len(BODY))
    )


def test_a_link_that_works_is_proof_for_good(origin: Origin, minted: Minted) -> None:
    async def story() -> None:
        proof = Proof()
        await proof.require(minted)
        origin.answer = Response(status_code=500)
        await proof.require(minted)

    asyncio.run(story())
    assert origin.asked == 1


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        pytest.param(lambda: RedirectResponse("/m/a/b/c.jpg"), "HTTP 307", id="redirect"),
        pytest.param(lambda: Response(status_code=404), "HTTP 404", id="not-found"),
        pytest.param(lambda: Response(BODY, media_type="text/html"), "content-type is 'text/html", id="wrong-type"),
        pytest.param(lambda: Response(BODY[1:], media_type="image/jpeg"), "content-length is '299'", id="cut-short"),
        pytest.param(lambda: Response(BODY), "content-type is None", id="no-type"),
    ],
)
def test_what_whatsapp_could_not_use_is_named_and_asked_for_again(
    origin: Origin, minted: Minted, answer: Callable[[], Response], says: str
) -> None:
    proof = Proof()
    origin.answer = answer()
    for _ in range(2):
        with pytest.raises(PublicUrlBroken, match="Nothing was posted") as caught:
            asyncio.run(proof.require(minted))
        assert says in caught.value.problem
    assert origin.asked == 2
    origin.answer = Response(BODY, media_type="image/jpeg")
    asyncio.run(proof.require(minted))


def test_an_address_that_nobody_answers_is_named(minted: Minted) -> None:
    nowhere = Minted(url="http://127.0.0.1:9/m/a/b/c.jpg", link=minted.link, verdict=minted.verdict)
    with pytest.raises(PublicUrlBroken) as caught:
        asyncio.run(Proof().require(nowhere))
    assert "ConnectError" in caught.value.problem
