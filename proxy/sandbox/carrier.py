"""A message on its way: accepted, its medium fetched, its statuses posted."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from proxy.sandbox.answers import message_id
from proxy.sandbox.drawer import Drawer
from proxy.sandbox.media import Medium, Uploaded
from proxy.sandbox.messages import Posted
from proxy.sandbox.payloads import Status, bodies, status_webhook, statuses_of
from proxy.sandbox.settings import SandboxSettings
from proxy.sandbox.shelf import Shelf
from proxy.sandbox.webhooks import Posting, Webhooks


@dataclass(slots=True, kw_only=True)
class Message:
    """`ended` is set when nothing more will happen: the last status stands, and its webhook was posted or given up.

    `statuses` stand in the order in which webhooks told them; where it is `fetch_limited`, no origin is asked for it.
    """

    id: str
    posted: Posted
    fetch_limited: bool = False
    statuses: list[tuple[Status, Posting]] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def as_json(self) -> dict[str, object]:
        statuses = [
            {
                "status": status.status,
                "timestamp": str(status.at_s),
                "details": status.details,
                "webhook": {"attempts": posting.attempts, "answer": posting.answer},
            }
            for status, posting in self.statuses
        ]
        return {"id": self.id, "posted": dict(self.posted.body), "statuses": statuses, "ended": self.ended.is_set()}


class Carrier:
    def __init__(  # noqa: PLR0913 - its doors, and what a test replaces
        self,
        shelf: Shelf,
        drawer: Drawer,
        webhooks: Webhooks,
        settings: SandboxSettings,
        *,
        clock: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.telling = settings.telling
        self._shelf = shelf
        self._drawer = drawer
        self._webhooks = webhooks
        self._settings = settings
        self._clock = clock
        self._random_bytes = random_bytes
        self._messages: OrderedDict[str, Message] = OrderedDict()
        self._under_way: set[asyncio.Task[None]] = set()

    def messages(self) -> tuple[Message, ...]:
        return tuple(self._messages.values())

    def find(self, wamid: str) -> Message | None:
        return self._messages.get(wamid)

    def accept(self, posted: Posted, *, fetch_limited: bool = False) -> Message | None:
        """Keep a message, or None if as many as may be are under way; it moves when it is started."""
        if len(self._under_way) >= self._settings.max_in_flight:
            return None
        wamid = message_id(posted.wa_id, self._random_bytes)
        message = Message(id=wamid, posted=posted, fetch_limited=fetch_limited)
        self._messages[message.id] = message
        while len(self._messages) > self._settings.max_kept_messages:
            self._messages.popitem(last=False)
        return message

    async def start(self, message: Message) -> None:
        task = asyncio.create_task(self._carry(message))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def stop(self) -> None:
        tasks = tuple(self._under_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def clear(self) -> None:
        await self.stop()
        self._messages.clear()
        self.telling = self._settings.telling

    async def _carry(self, message: Message) -> None:
        try:
            problem = await self._problem(message)
            for body in bodies(statuses_of(problem, self.telling, int(self._clock())), self.telling):
                await self._report(message, body)
        finally:
            message.ended.set()

    async def _problem(self, message: Message) -> str | None:
        """Take one medium after the other, and none after one that fails."""
        for medium in message.posted.media:
            match medium:
                case Medium():
                    problem = await self._shelf.take(medium, limited=message.fetch_limited)
                case Uploaded():
                    problem = self._drawer.judge(medium)
            if problem is not None:
                return problem
        return None

    async def _report(self, message: Message, statuses: tuple[Status, ...]) -> None:
        told = len(message.statuses)
        message.statuses += [(status, Posting()) for status in statuses]
        posting = await self._webhooks.post(status_webhook(message.posted, message.id, statuses))
        message.statuses[told:] = [(status, posting) for status in statuses]


async def settled(messages: Iterable[Message], timeout_s: float) -> None:
    """Wait until all are at their end, or the time is up."""
    try:
        async with asyncio.timeout(timeout_s):
            for message in messages:
                await message.ended.wait()
    except TimeoutError:
        return
