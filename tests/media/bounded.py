"""Fit one picture in this process, and say what it cost: run by the tests as a program."""

import json
import sys
import time
from pathlib import Path

from proxy.errors import RefusedMedium
from proxy.media.images import fit_image
from proxy.media.kinds import ImageRules
from proxy.media.sniff import sniff


def peak_bytes() -> int:
    """Read the high-water mark of this program (proc(5)); getrusage's would be that of who started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def main(path: Path) -> None:
    with path.open("rb") as file:
        media_type = sniff(file, path.stat().st_size)
    before_bytes, before_s = peak_bytes(), time.process_time()
    try:
        told = type(fit_image(path, path.with_suffix(".out"), media_type, ImageRules())).__name__
    except RefusedMedium as refused:
        told = f"{type(refused).__name__}: {refused.message}"
    cost = {"cpu_s": time.process_time() - before_s, "bytes": peak_bytes() - before_bytes}
    json.dump({"media_type": media_type, "told": told} | cost, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
