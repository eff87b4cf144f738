"""How many messages a number may send, as a rule that holds: Meta's pages on throughput and on the platform."""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

from proxy.sandbox.refusals import PAIR_RATE, THROUGHPUT, Refusal
from proxy.sandbox.settings import SandboxSettings

PAIR_EVERY_S = 6.0
PAIR_BURST = 45
MAX_PAIRS = 100_000
"""So many recipients are remembered; then the one is forgotten who was first written to longest ago."""


@dataclass(slots=True, kw_only=True)
class Burst:
    """Messages to one recipient since `began_s`, each of which costs PAIR_EVERY_S of the time that follows."""

    began_s: float
    count: int = 0

    def paid_at_s(self) -> float:
        return self.began_s + self.count * PAIR_EVERY_S


class Gate:
    """Counts what the sandbox's one number sends and gets; closed to nobody unless the rates are switched on."""

    def __init__(self, settings: SandboxSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._last: deque[float] = deque(maxlen=settings.messages_per_second)
        self._bursts: OrderedDict[str, Burst] = OrderedDict()

    def admit(self, wa_id: str) -> Refusal | None:
        """Count a message to a recipient, or say why it may not be sent now; what is refused costs nothing."""
        if not self._settings.rates:
            return None
        now_s = self._clock()
        if len(self._last) == self._last.maxlen and now_s - self._last[0] < 1:
            return THROUGHPUT
        burst = self._bursts.get(wa_id)
        if burst is None or now_s >= burst.paid_at_s():
            burst = Burst(began_s=now_s)
        elif now_s - burst.began_s >= PAIR_EVERY_S or burst.count >= PAIR_BURST:
            return PAIR_RATE
        burst.count += 1
        self._bursts[wa_id] = burst
        while len(self._bursts) > MAX_PAIRS:
            self._bursts.popitem(last=False)
        self._last.append(now_s)
        return None

    def count_inbound(self) -> None:
        """Messages that come in count for the throughput, too."""
        self._last.append(self._clock())

    def clear(self) -> None:
        self._last.clear()
        self._bursts.clear()
