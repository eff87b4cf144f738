"""Several worker processes at one socket, under uvicorn's supervisor.

On Linux they are forked from a parent that has imported what they run, and has no threads: they share its memory.
Elsewhere they are spawned, as uvicorn does it everywhere (its system libraries do not bear a fork on macOS).
"""

import gc
import importlib
import signal
import sys
from collections.abc import Callable
from multiprocessing.context import ForkProcess, SpawnProcess
from socket import socket
from typing import Final

import uvicorn
from uvicorn.supervisors import multiprocess

FORKS: Final = sys.platform == "linux"
_SHARED: Final = ("proxy.connections", "proxy.delivery.shapes", "uvicorn.lifespan.on", "uvicorn.loops.uvloop")
"""What uvicorn imports by name as a worker begins, and what the first hit needs."""


class Supervisor(multiprocess.Multiprocess):
    """Lets go of the socket before it waits for its workers: else who connects meanwhile is taken, and not served."""

    def terminate_all(self) -> None:
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


def load(*rooms: str) -> None:
    """Import what is served, before a fork: what is forked of this process has it then.

    Where `PROMETHEUS_MULTIPROC_DIR` is to count, it stands by then: the library reads it when it is imported.
    """
    if FORKS:
        for name in (*rooms, *_SHARED):
            importlib.import_module(name)


def supervise(config: uvicorn.Config) -> None:
    """Run `config.workers` processes until a signal ends them. `config.app` is a factory's name, module:name."""
    if FORKS:
        gc.collect()
        gc.freeze()  # a collection would write to all that is shared
        vars(multiprocess)["get_subprocess"] = _forked  # uvicorn spawns, and leaves no other way to choose
    Supervisor(config, sockets=[config.bind_socket()]).run()


def in_a_child(function: Callable[[], None]) -> int:
    """Run a function in a process of its own, so that nothing of it stays here; gives its exit code."""
    process = ForkProcess if FORKS else SpawnProcess
    child = process(target=function)
    child.start()
    child.join()
    return int(child.exitcode or 0)


def _forked(config: uvicorn.Config, target: Callable[..., None], sockets: list[socket]) -> ForkProcess:
    return ForkProcess(target=_started, args=(config, target, sockets))


def _started(config: uvicorn.Config, target: Callable[..., None], sockets: list[socket]) -> None:
    """Begin as a process of its own: the parent's handlers only note a signal for the parent."""
    for number in multiprocess.SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    config.configure_logging()
    target(sockets=sockets)
