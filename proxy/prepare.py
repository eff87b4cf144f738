"""Prepare: renditions of all that lies under a prefix, made before anyone asks for them, and a tally of it."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Self, TypeVar

from proxy import telemetry
from proxy.delivery.verdicts import Refused, Verdict
from proxy.errors import (
    Malformed,
    MedialinkError,
    NotFound,
    RefusedMedium,
    SourceReplaced,
    TakenDown,
    TooLarge,
    Unavailable,
)
from proxy.media.kinds import AsIs, Kind
from proxy.storage.store import Key, Source, Store, parse_key

AHEAD: Final = 8
"""Keys on their way from and to the store, beside those that are decoded."""
PAUSES_S: Final = (1.0, 4.0, 16.0)
"""Before each new try of what the store, the disk or the decoders did not do."""
MAX_FAILURES_IN_A_ROW: Final = 20
"""Then something is away for all of them, and there is no use in asking for each."""
FIRST_KEYS: Final = 3
"""So many are named of each reason; all of them stand in the report file."""
MAX_SHARDS: Final = 1000
DEFECT: Final = "A defect of ours came to light: standard error has its trace."

T = TypeVar("T")
Names = AsyncGenerator[str, None]
Pause = Callable[[float], Awaitable[None]]


async def names_under(store: Store, prefix: str) -> Names:
    async with aclosing(store.keys(prefix)) as pages:
        async for page in pages:
            for name in page:
                yield name


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """The part of the keys that one of several machines takes: every key is in exactly one shard."""

    number: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `i/n`, as in 2/4.

        Raises:
            Malformed: it is not that.
        """
        number, _, of = text.partition("/")
        if number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of) <= MAX_SHARDS:
            return cls(number=int(number), of=int(of))
        raise Malformed(field="--shard", problem=f"must be i/n with i from 1 to n, n at most {MAX_SHARDS}, as in 2/4")

    def takes(self, name: str) -> bool:
        """Decide by a hash of the name, which is the same on every machine and in every release of Python."""
        digest = hashlib.sha256(name.encode(errors="surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") % self.of == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why one of many did not come out right. `again`: another run may mend it."""

    name: str
    code: str
    message: str
    again: bool


@dataclass(slots=True, kw_only=True)
class Reason:
    """How often a code came up; the first few names, and the first sentence."""

    message: str
    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        self.count += 1
        if len(self.first) < FIRST_KEYS:
            self.first.append(name)


@dataclass(slots=True, kw_only=True)
class Faults:
    """Reasons by code: as many as there are codes, however many names. `tell` hears of each fault."""

    tell: Callable[[Fault], None]
    lasting: dict[str, Reason] = field(default_factory=dict)
    again: dict[str, Reason] = field(default_factory=dict)

    def add(self, fault: Fault) -> None:
        reasons = self.again if fault.again else self.lasting
        reasons.setdefault(fault.code, Reason(message=fault.message)).add(fault.name)
        self.tell(fault)

    @property
    def lasting_count(self) -> int:
        return sum(reason.count for reason in self.lasting.values())

    @property
    def again_count(self) -> int:
        return sum(reason.count for reason in self.again.values())


@dataclass(slots=True, kw_only=True)
class Tally:
    """What became of the keys so far. `gone` were deleted meanwhile; bytes are those of what can be delivered."""

    faults: Faults
    listed: int = 0
    as_is: int = 0
    made: int = 0
    gone: int = 0
    before_bytes: int = 0
    after_bytes: int = 0

    @property
    def done(self) -> int:
        return self.as_is + self.made + self.gone + self.faults.lasting_count + self.faults.again_count

    def add(self, verdict: Verdict) -> None:
        """Count a verdict; a refusal is raised, as what else stands against a key is."""
        if isinstance(verdict, Refused):
            raise verdict.error()
        self.after_bytes += verdict.size_bytes
        if isinstance(verdict, AsIs):
            self.as_is += 1
            self.before_bytes += verdict.size_bytes
        else:
            self.made += 1
            self.before_bytes += verdict.source_size_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """What is made already is found by `judge`, so that a run which was ended goes on where it was."""

    judge: Callable[[Kind, Key], Awaitable[tuple[Source, Verdict]]]
    kind: Kind
    shard: Shard
    at_once: int
    progress: Callable[[], None] = lambda: None
    pause: Pause = asyncio.sleep

    async def __call__(self, names: Names, tally: Tally) -> None:
        """Prepare all of our shard; whatever ends this, the tally holds what was done.

        Raises:
            Unavailable: the store cannot be listed any more, or everything fails.
        """
        in_a_row = 0

        async def settle(name: str) -> None:
            nonlocal in_a_row
            failed = await self._settle(name, tally)
            self.progress()
            in_a_row = in_a_row + 1 if failed else 0
            if failed is not None and in_a_row >= MAX_FAILURES_IN_A_ROW:
                raise failed

        await each(self._ours(names, tally), settle, self.at_once)

    async def _ours(self, names: Names, tally: Tally) -> Names:
        async with aclosing(names):
            async for name in names:
                tally.listed += 1
                if self.shard.takes(name):
                    yield name

    async def _settle(self, name: str, tally: Tally) -> Unavailable | None:
        """Come to an end with one key; gives what may have to do with all of them."""
        try:
            key = parse_key(name)
            _, verdict = await patiently(partial(self.judge, self.kind, key), self.pause)
            tally.add(verdict)
        except NotFound:
            tally.gone += 1
        except MedialinkError as error:
            tally.faults.add(fault_of(name, error))
            return error if isinstance(error, Unavailable) else None
        except Exception:  # noqa: BLE001 - a defect that one medium brings to light must not keep the others waiting
            telemetry.log.exception("prepare.broke", key=name)
            tally.faults.add(Fault(name=name, code=MedialinkError.code, message=DEFECT, again=True))
        return None


def fault_of(name: str, error: MedialinkError) -> Fault:
    refused = isinstance(error, RefusedMedium) and error.lasting
    lasting = refused or isinstance(error, TooLarge | TakenDown | Malformed)
    return Fault(name=name, code=error.code, message=error.message, again=not lasting)


async def each(names: Names, work: Callable[[str], Awaitable[None]], at_once: int) -> None:
    """Do it for every name, so many at once; a name is asked for when somebody is free to take it.

    Raises:
        Whatever the names or the work raise; what else is at work then is cancelled.
    """
    turn = asyncio.Lock()

    async def go_on() -> None:
        while True:
            async with turn:
                name = await anext(names, None)
            if name is None:
                return
            await work(name)

    async with aclosing(names):
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(at_once):
                    group.create_task(go_on())
        except ExceptionGroup as broken:
            raise broken.exceptions[0] from broken.exceptions[0].__cause__


async def patiently(work: Callable[[], Awaitable[T]], pause: Pause) -> T:
    """Try once more, a few times, what failed for want of a door or a place, or was replaced under our eyes."""
    for wait_s in PAUSES_S:
        try:
            return await work()
        except (Unavailable, SourceReplaced):
            await pause(wait_s)
    return await work()
