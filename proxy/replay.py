"""A campaign replayed: real sends through the gateway to a sandbox whose clock runs ahead, and what it cost our origin.

House and sandbox run in this process, on free ports; all that passes between them goes over real sockets.
"""

import asyncio
import hashlib
import json
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx2
from PIL import Image
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.app import build_store, create_app
from proxy.messaging.receive import SECRET_HEADER
from proxy.prepare import Fault, Faults
from proxy.sandbox.app import create_sandbox
from proxy.sandbox.settings import Caching, SandboxSettings, Telling
from proxy.servers import ThreadedServer
from proxy.settings import Settings
from proxy.storage.store import parse_key

AT_ONCE: Final = 16
"""Sends at once; the clock stands still until all of them are at their end, so that counts are exact."""
MIN_STEPS: Final = 60
"""Few sends go in smaller parties, so that they are spread, too."""
KEPT_S: Final = 600.0
"""The ten minutes of Meta's "Send messages", section Media caching."""
PATIENCE_S: Final = 60.0
WAIT_S: Final = 30
PREFIX: Final = "replay/"
FIRST_NUMBER: Final = 491700000000
SIDE_PX: Final = 320

Progress = Callable[[int, Faults], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """`sends` of `media` pictures in turn, spread evenly over some hours of the sandbox's clock."""

    sends: int
    media: int
    hours: float

    @property
    def at_once(self) -> int:
        return min(AT_ONCE, max(1, self.sends // MIN_STEPS))

    def parties(self) -> Iterator[tuple[float, range]]:
        """Give what is sent together, and how many seconds after the beginning."""
        starts = range(0, self.sends, self.at_once)
        for step, first in enumerate(starts):
            yield step * self.hours * 3600 / len(starts), range(first, min(first + self.at_once, self.sends))

    def least(self, caching: Caching) -> int:
        """Count the fetches that this way of keeping links cannot do without."""
        kept_at_s: dict[int, float] = {}
        count = 0
        for at_s, party in self.parties():
            for medium in {number % self.media for number in party}:
                is_over = caching is Caching.FIXED and at_s - kept_at_s.get(medium, at_s) >= KEPT_S
                if medium not in kept_at_s or is_over:
                    kept_at_s[medium] = at_s
                    count += 1
        return count


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What came of a campaign: `asked` by the sandbox's count, `served` by our origin's own."""

    caching: Caching
    sends: int
    least: int
    asked: int
    served: int
    delivered: int
    seconds: float
    faults: Faults

    @property
    def is_explained(self) -> bool:
        return max(self.asked, self.served) <= self.least

    @property
    def is_right(self) -> bool:
        return self.is_explained and self.delivered == self.sends


@dataclass(slots=True)
class Clock:
    """The sandbox's time, which passes when it is told to."""

    now_s: float

    def __call__(self) -> float:
        return self.now_s


class Counted:
    """Counts the requests for links on their way to the house."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/m/"):
            self.count += 1
        await self._app(scope, receive, send)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What runs: the house behind its counter, the sandbox and its clock, and the key that may call the gateway."""

    house_url: str
    sandbox_url: str
    token: str
    clock: Clock
    counted: Counted


def replay(campaign: Campaign, caching: Caching, progress: Progress, **house: object) -> Replayed:
    """Send the campaign while WhatsApp keeps links in one of its two ways.

    `house` holds settings by name, for a house that differs from its defaults.

    Raises:
        Malformed: the house could not be started.
    """
    faults = Faults(tell=lambda _: None)
    with _stage(campaign, caching, house) as stage:
        began_s = time.perf_counter()
        asked = asyncio.run(_send_all(campaign, stage, faults, progress))
        return Replayed(
            caching=caching,
            sends=campaign.sends,
            least=campaign.least(caching),
            asked=asked,
            served=stage.counted.count,
            delivered=campaign.sends - faults.lasting_count,
            seconds=time.perf_counter() - began_s,
            faults=faults,
        )


async def _send_all(campaign: Campaign, stage: Stage, faults: Faults, progress: Progress) -> int:
    """Send them and see them arrive; gives how often WhatsApp asked."""
    began_at_s, done = stage.clock.now_s, 0
    async with httpx2.AsyncClient(timeout=PATIENCE_S, trust_env=False) as client:
        sender = _Sender(client=client, stage=stage, campaign=campaign)
        for at_s, party in campaign.parties():
            stage.clock.now_s = began_at_s + at_s
            for fault in await sender.deliver(party):
                faults.add(fault)
            done += len(party)
            progress(done, faults)
        return await sender.asked()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sender:
    """A system that sends by link, as it always did: only the base URL is ours."""

    client: httpx2.AsyncClient
    stage: Stage
    campaign: Campaign

    async def deliver(self, party: range) -> list[Fault]:
        """Send some messages at once and see them to their end; give why any did not arrive."""
        sent = await asyncio.gather(*map(self._send, party))
        try:
            answer = await self.client.get(f"{self.stage.sandbox_url}/sandbox/messages", params={"wait": WAIT_S})
            ended = {message["id"]: message for message in answer.json()}
        except httpx2.HTTPError as error:
            return [_fault(number, type(error).__name__, str(error)) for number in party]
        faults = (
            taken if isinstance(taken, Fault) else _end_of(number, ended.get(taken))
            for number, taken in zip(party, sent, strict=True)
        )
        return [fault for fault in faults if fault is not None]

    async def _send(self, number: int) -> str | Fault:
        try:
            answer = await self.client.post(
                f"{self.stage.house_url}/waba/messages",
                content=json.dumps(self._message(number)),
                headers={"D360-API-KEY": self.stage.token, "Content-Type": "application/json"},
            )
        except httpx2.HTTPError as error:
            return _fault(number, type(error).__name__, str(error))
        if not answer.is_success:
            return _fault(number, f"http_{answer.status_code}", answer.text)
        return str(answer.json()["messages"][0]["id"])

    async def asked(self) -> int:
        """Count the fetches that WhatsApp made, of all links."""
        return sum(
            seen["count"] for seen in (await self.client.get(f"{self.stage.sandbox_url}/sandbox/fetches")).json()
        )

    def _message(self, number: int) -> dict[str, object]:
        link = f"{self.stage.house_url}/image/{_key(number % self.campaign.media)}"
        to = str(FIRST_NUMBER + number)
        return {"messaging_product": "whatsapp", "to": to, "type": "image", "image": {"link": link}}


def _end_of(number: int, message: Mapping[str, Any] | None) -> Fault | None:
    if message is None or not message["ended"]:
        return _fault(number, "silent", "WhatsApp did not come to an end with it.")
    last = message["statuses"][-1]
    if last["status"] != "delivered":
        return _fault(number, last["status"], last["details"])
    if last["webhook"]["answer"] != httpx2.codes.OK:
        return _fault(number, "untold", "It was delivered, but the house did not take the webhook.")
    return None


def _fault(number: int, code: str, message: str) -> Fault:
    return Fault(name=f"send {number}", code=code, message=message, again=False)


@contextmanager
def _stage(campaign: Campaign, caching: Caching, house: Mapping[str, object]) -> Iterator[Stage]:
    with TemporaryDirectory(prefix="medialink-replay-") as folder:
        port = _free_port()
        house_url = f"http://127.0.0.1:{port}"
        secret, token = secrets.token_urlsafe(), secrets.token_urlsafe()
        # Whole seconds: where ten minutes are over to the second, a rounding must not say that they are not.
        clock = Clock(float(int(time.time())))
        pretend = create_sandbox(
            SandboxSettings(
                webhook_url=f"{house_url}/webhooks",
                webhook_headers={SECRET_HEADER: secret},
                caching=caching,
                # A house that made a link of its own for each send would have all of them counted.
                max_kept_links=campaign.sends,
                max_kept_fetches_per_link=1,
                max_kept_messages=campaign.at_once,
                telling=Telling(together=True),
            ),
            clock=clock,
        )
        with ThreadedServer(pretend) as sandbox:
            own = {
                "data_dir": Path(folder),
                "listen_port": port,
                "public_url": house_url,
                "alias_prefixes": PREFIX,
                "provider_url": sandbox.url,
                "d360_api_key": "replay",
                "waba_key": "house",
                "gateway_keys": hashlib.sha256(token.encode()).hexdigest(),
                "webhook_secret": secret,
            }
            settings = _settings({**own, **house})
            asyncio.run(_put_pictures(settings, campaign.media))
            counted = Counted(create_app(settings))
            with ThreadedServer(counted, port=port):
                yield Stage(house_url=house_url, sandbox_url=sandbox.url, token=token, clock=clock, counted=counted)


def _settings(chosen: Mapping[str, object]) -> Settings:
    """Choose for the house; whatever the environment says is another house's."""
    defaults = {name: field.get_default() for name, field in Settings.model_fields.items()}
    return Settings.read(**{**defaults, **chosen})


async def _put_pictures(settings: Settings, count: int) -> None:
    store = build_store(settings)
    try:
        for number in range(count):
            picture = settings.data_dir / "picture.jpg"
            Image.new("RGB", (SIDE_PX, SIDE_PX), _colour(number)).save(picture, "JPEG")
            await store.put(parse_key(_key(number)), picture, media_type="image/jpeg")
    finally:
        await store.close()


def _colour(number: int) -> tuple[int, int, int]:
    return number % 256, number // 256 % 256, 128


def _key(number: int) -> str:
    return f"{PREFIX}{number}.jpg"


def _free_port() -> int:
    """The address must be known before the house stands; who takes the port in between makes it fail in a sentence."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])
