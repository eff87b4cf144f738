"""Our side of the comparison, in a process of its own: `python -m benchmarks.job SOURCE TARGET TIMES`."""

import json
import sys
import time
from pathlib import Path

from proxy.media.images import fit_image
from proxy.media.kinds import ImageRules, Made


def main(source: Path, target: Path, times: int) -> None:
    """Make a rendition several times over, as a warm worker does, and print the least that one took."""
    spent = []
    for _ in range(times):
        cpu, wall = time.process_time(), time.perf_counter()
        made = fit_image(source, target, "image/jpeg", ImageRules())
        spent.append((time.process_time() - cpu, time.perf_counter() - wall))
    if not isinstance(made, Made):
        raise TypeError(f"{source} goes as it is")
    least_cpu, least_wall = (min(figures) for figures in zip(*spent, strict=True))
    sys.stdout.write(json.dumps({"cpu_s": least_cpu, "wall_s": least_wall, "encodes": made.encodes}))


main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
