"""Load from wrk on one core, and what it costs a server on another, read from /proc (proc_pid_stat(5))."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 64
SERVER_CORE, LOAD_CORE = "0", "1"
UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one row of the table measures; `status` is what the answers were."""

    requests: int
    cpu_us: float
    per_second: float
    p99_ms: float


def measure(pid: int, url: str, headers: dict[str, str], *, seconds: int) -> Cost:
    """Ask for one URL on kept-alive connections and divide the CPU of the server's processes by wrk's count.

    Raises:
        RuntimeError: an answer was no success, or a connection broke.
    """
    wrk = ["wrk", "--latency", "--timeout", "20s", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s"]
    given = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    before = cpu_s(pid)
    told = subprocess.run(  # noqa: S603 - our own arguments, on the loopback
        ["taskset", "-c", LOAD_CORE, *wrk, *given, url],  # noqa: S607 - where a machine has it
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 30,
    ).stdout
    spent = cpu_s(pid) - before
    counted, p99 = re.search(r"(\d+) requests in ([\d.]+)s", told), re.search(r"99%\s+([\d.]+)(us|ms|s)\b", told)
    if counted is None or p99 is None or "Non-2xx" in told or "Socket errors" in told:
        raise RuntimeError(f"wrk met trouble at {url}:\n{told}")
    requests = int(counted[1])
    return Cost(
        requests=requests,
        cpu_us=spent / requests * 1e6,
        per_second=requests / float(counted[2]),
        p99_ms=float(p99[1]) * UNITS_MS[p99[2]],
    )


def cpu_s(root: int) -> float:
    """Add up user and system time of a process and all that descend from it."""
    stats = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        stats[int(path.parent.name)] = int(fields[1]), int(fields[11]) + int(fields[12])
    family = {root}
    while grown := {pid for pid, (parent, _) in stats.items() if parent in family} - family:
        family |= grown
    return sum(stats[pid][1] for pid in family) / os.sysconf("SC_CLK_TCK")
