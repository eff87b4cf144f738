"""What a process and all that descend from it hold: memory (proc_pid_smaps(5)) and descriptors."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Self

EVERY_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Memory of a tree in KB. `own` is what is no mapped file: of the page cache, nobody is the owner."""

    rss_kb: int
    pss_kb: int
    own_kb: int
    descriptors: int


def family(root: int) -> list[int]:
    """Find a process and all that descend from it."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            parents[int(path.parent.name)] = int(path.read_text().rsplit(")", 1)[1].split()[1])
    found = {root}
    while grown := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= grown
    return sorted(found)


def held(root: int) -> Held:
    rss = pss = own = descriptors = 0
    for pid in family(root):
        with suppress(FileNotFoundError, ProcessLookupError):
            told = dict(_figures(Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")))
            rss += told["Rss"]
            pss += told["Pss"]
            own += told["Pss_Anon"] + told["Pss_Shmem"]
            descriptors += len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Held(rss_kb=rss, pss_kb=pss, own_kb=own, descriptors=descriptors)


def _figures(rollup: str) -> Iterator[tuple[str, int]]:
    for name, kb in re.findall(r"(?m)^(\w+): +(\d+) kB$", rollup):
        yield name, int(kb)


class Peak:
    """Watches a tree for as long as its context lasts; `own_kb` is the most that was seen."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._over = Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self.own_kb = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(EVERY_S):
            self.own_kb = max(self.own_kb, held(self._root).own_kb)
