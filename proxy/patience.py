"""How long a connection may stay as it is: rules over what is seen of it now and then, no IO.

One round looks at all connections every `ROUND_S`, since a clock for each would cost every request. A limit is
therefore kept to within two rounds.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

ROUND_S: Final = 2.0
REFUSED: Final = "medialink.refused"
"""Where a scope carries the error that the app is to answer with."""


class Phase(Enum):
    """What is waited for."""

    HEAD = auto()
    """A request, whole to the end of its headers."""
    BODY = auto()
    """The rest of a request whose headers are there."""
    ANSWER = auto()
    """The app; it has limits of its own."""
    IDLE = auto()
    """Another request on a connection that has had one."""
    FAREWELL = auto()
    """The other side's end, after we have refused to hear more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds that a phase may take, the least pace of who reads, and how many connections a process takes."""

    head_s: float = 10.0
    """From the connect, or the first byte, to the end of the headers; they fit into a few packets."""
    body_s: float = 30.0
    """Bodies are small JSON here."""
    idle_s: float = 75.0
    """Longer than who stands in front keeps it, so that they close first: who sends into a close gets a 502. CloudFront
    keeps a connection 5 s unless told otherwise, an AWS load balancer 60 s (its page "Edit attributes for your
    Application Load Balancer" asks for more at the target); nginx closes after 75 s too."""
    farewell_s: float = 2.0
    pace_bytes_per_s: float = 4096.0
    """Kestrel asks for 240 bytes/s, and holds less: a body of 16 MB waits in memory here. At this pace it is gone in
    65 minutes; CDNs and WhatsApp's fetcher are a thousand times as fast."""
    pace_over_s: float = 30.0
    """Long enough for a mobile reader to pass through a tunnel."""
    connections: int = 2000
    round_s: float = ROUND_S

    def of(self, phase: Phase) -> float | None:
        """Give the seconds that a phase may take; None where others bound it."""
        match phase:
            case Phase.HEAD:
                return self.head_s
            case Phase.BODY:
                return self.body_s
            case Phase.ANSWER:
                return None
            case Phase.IDLE:
                return self.idle_s
            case Phase.FAREWELL:
                return self.farewell_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is seen of a connection. `about` tells one request from the next; `taken_bytes` only ever grows."""

    phase: Phase
    about: object
    waiting_bytes: int
    taken_bytes: int


class Patience:
    """Remembers since when one connection stays as it is, and how fast its reader takes what waits for it."""

    __slots__ = ("_about", "_phase", "_since_s", "_taken_bytes", "_taken_since_s")

    def __init__(self) -> None:
        self._phase: Phase | None = None
        self._about: object = None
        self._since_s = 0.0
        self._taken_since_s: float | None = None
        self._taken_bytes = 0

    def ends(self, sight: Sight, now_s: float, limits: Limits) -> bool:
        """Whether what is seen now has gone on for too long; while bytes wait, it is the reader's pace that counts."""
        if sight.waiting_bytes:
            self._about = None
            return self._reads_too_slowly(sight, now_s, limits)
        self._taken_since_s = None
        if sight.phase is not self._phase or sight.about is not self._about:
            self._phase, self._about, self._since_s = sight.phase, sight.about, now_s
        limit_s = limits.of(sight.phase)
        return limit_s is not None and now_s - self._since_s >= limit_s

    def _reads_too_slowly(self, sight: Sight, now_s: float, limits: Limits) -> bool:
        if self._taken_since_s is None:
            self._taken_since_s, self._taken_bytes = now_s, sight.taken_bytes
        spent_s = now_s - self._taken_since_s
        if spent_s < limits.pace_over_s:
            return False
        too_slow = sight.taken_bytes - self._taken_bytes < limits.pace_bytes_per_s * spent_s
        self._taken_since_s, self._taken_bytes = now_s, sight.taken_bytes
        return too_slow
