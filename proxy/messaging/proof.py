"""The proof that links work: before the first real send, one is fetched through PUBLIC_URL as WhatsApp would."""

import httpx2

from proxy.delivery.mint import Minted
from proxy.errors import PublicUrlBroken
from proxy.messaging.tls import authorities

TIMEOUT_S = 10.0


class Proof:
    """Given once for a process; until it holds, every send asks for it again."""

    def __init__(self, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._transport = transport
        self._holds = False

    async def require(self, minted: Minted) -> None:
        """Fetch a link's headers over the way that WhatsApp takes: no redirect, the right type, the right length.

        Raises:
            PublicUrlBroken: WhatsApp's fetch would fail, and why.
        """
        if self._holds:
            return
        problem = await self._problem(minted)
        if problem is not None:
            raise PublicUrlBroken(problem=problem)
        self._holds = True

    async def _problem(self, minted: Minted) -> str | None:
        try:
            async with (
                httpx2.AsyncClient(
                    transport=self._transport, timeout=TIMEOUT_S, trust_env=False, verify=authorities()
                ) as client,
                client.stream("GET", minted.url, headers={"Accept-Encoding": "identity"}) as answer,
            ):
                status, headers = answer.status_code, answer.headers
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            return f"{type(error).__name__}: {error}"
        expected = {"content-type": minted.link.media_type, "content-length": str(minted.verdict.size_bytes)}
        if status != httpx2.codes.OK:
            return f"HTTP {status} instead of 200"
        for name, value in expected.items():
            if headers.get(name) != value:
                return f"{name} is {headers.get(name)!r} instead of {value!r}"
        return None
