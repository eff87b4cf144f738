"""What WhatsApp keeps of the links that it fetched, and our record of every use of them."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from proxy.sandbox import details
from proxy.sandbox.caching import Plan, plan
from proxy.sandbox.fetcher import Answer, Fetcher
from proxy.sandbox.media import Medium
from proxy.sandbox.settings import SandboxSettings
from proxy.sandbox.verdicts import judge_answer, judge_body


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One use of a link at `at_s` (Unix seconds); a hit asked nobody, and one that was limited could not."""

    at_s: float
    cache: Literal["hit", "miss", "revalidated", "limited"]
    answer: Answer

    def as_json(self) -> dict[str, object]:
        answer = self.answer
        return {
            "at": datetime.fromtimestamp(self.at_s, UTC).isoformat(),
            "cache": self.cache,
            "request_headers": dict(answer.request_headers),
            "status": answer.status,
            "response_headers": dict(answer.headers),
            "size": answer.size_bytes,
            "sha256": answer.sha256,
            "verdict": answer.problem or "ok",
            "ms": answer.ms,
        }


@dataclass(slots=True, kw_only=True)
class Seen:
    """`count` is how often the origin was asked; `kept` the last good answer and when it came."""

    link: str
    uses: deque[Use]
    count: int = 0
    hits: int = 0
    kept: tuple[Answer, float] | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def as_json(self) -> dict[str, object]:
        uses = [use.as_json() for use in self.uses]
        return {"link": self.link, "count": self.count, "hits": self.hits, "fetches": uses}


class Shelf:
    def __init__(self, fetcher: Fetcher, settings: SandboxSettings, clock: Callable[[], float]) -> None:
        self.caching = settings.caching
        self._fetcher = fetcher
        self._settings = settings
        self._clock = clock
        self._seen: OrderedDict[str, Seen] = OrderedDict()

    def seen(self) -> tuple[Seen, ...]:
        return tuple(self._seen.values())

    def clear(self) -> None:
        self.caching = self._settings.caching
        self._seen.clear()

    async def take(self, medium: Medium, *, limited: bool = False) -> str | None:
        """Fetch a link or use what is kept of it; those who want one link at once share one fetch.

        Where it is `limited`, WhatsApp's own proxy refuses what would have to be asked for.

        Returns None for a good medium, else the details of the failure.
        """
        seen = self._remember(medium.link)
        async with seen.lock:
            use = await self._use(medium, seen, limited=limited)
            seen.uses.append(use)
        return use.answer.problem

    async def _use(self, medium: Medium, seen: Seen, *, limited: bool) -> Use:
        now_s = self._clock()
        kept, kept_at_s = seen.kept or (Answer(), now_s)
        planned = Plan.FETCH if seen.kept is None else plan(self.caching, kept.headers, now_s - kept_at_s)
        if limited and planned is not Plan.USE:
            return Use(at_s=now_s, cache="limited", answer=Answer(problem=details.LIMITED))
        match planned:
            case Plan.USE:
                seen.hits += 1
                return Use(
                    at_s=now_s, cache="hit", answer=_judge_again(medium, replace(kept, request_headers={}, ms=0.0))
                )
            case Plan.COMPARE:
                return await self._compare(medium, seen, kept, now_s)
            case Plan.FETCH:
                return await self._fetch(medium, seen, now_s)

    async def _fetch(self, medium: Medium, seen: Seen, now_s: float) -> Use:
        seen.count += 1
        answer = await self._fetcher.get(medium)
        seen.kept = (answer, now_s) if answer.problem is None else None
        return Use(at_s=now_s, cache="miss", answer=answer)

    async def _compare(self, medium: Medium, seen: Seen, kept: Answer, now_s: float) -> Use:
        seen.count += 1
        answer = await self._fetcher.get(medium, last_modified=kept.headers["last-modified"])
        if answer.unchanged:
            body = replace(answer, size_bytes=kept.size_bytes, sha256=kept.sha256)
            problem = _judge_again(medium, kept).problem
            return Use(at_s=now_s, cache="revalidated", answer=replace(body, problem=problem))
        seen.kept = (answer, now_s) if answer.problem is None else None
        return Use(at_s=now_s, cache="miss", answer=answer)

    def _remember(self, link: str) -> Seen:
        uses: deque[Use] = deque(maxlen=self._settings.max_kept_fetches_per_link)
        seen = self._seen.setdefault(link, Seen(link=link, uses=uses))
        self._seen.move_to_end(link)
        while len(self._seen) > self._settings.max_kept_links:
            self._seen.popitem(last=False)
        return seen


def _judge_again(medium: Medium, kept: Answer) -> Answer:
    """A link that was good as a document may not be as an image."""
    problem = judge_answer(medium, kept.status or 0, "", kept.headers) or judge_body(
        medium, kept.headers, kept.size_bytes, kept.head
    )
    return replace(kept, problem=problem)
