"""Makings, with a span for each medium that is judged and made to fit."""

from pathlib import Path
from typing import assert_never

from proxy.delivery.makings import Makings
from proxy.delivery.verdicts import Refused, Verdict
from proxy.media.kinds import AsIs, Kind, Made
from proxy.telemetry.traces import CODE, Attributes, Traces


def traced_makings(traces: Traces) -> type[Makings]:
    class TracedMakings(Makings):
        async def make(self, kind: Kind, source: Path, target: Path) -> Verdict:
            with traces.step("make", {"medialink.kind": kind.value}) as span:
                verdict = await super().make(kind, source, target)
                span.set_attributes(_about(verdict))
                return verdict

    return TracedMakings


def _about(verdict: Verdict) -> Attributes:
    match verdict:
        case AsIs(size_bytes=size_bytes):
            return {"medialink.result": "as_is", "medialink.bytes": size_bytes}
        case Made(size_bytes=size_bytes):
            return {"medialink.result": "made", "medialink.bytes": size_bytes}
        case Refused(code=code):
            return {"medialink.result": "refused", CODE: code}
        case _:
            assert_never(verdict)
