"""The workers, with a span for each time that a process is at a task: what lies before it is the wait for a slot."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from proxy.media.workers import Workers
from proxy.telemetry.traces import Traces

P = ParamSpec("P")
T = TypeVar("T")


def traced_workers(traces: Traces) -> type[Workers]:
    class TracedWorkers(Workers):
        async def _attempt(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
            with traces.step("decode", {}):
                return await super()._attempt(function, *args, **kwargs)

    return TracedWorkers
