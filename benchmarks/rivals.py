"""Who makes a photograph fit besides us, and what it costs. Each runs in a process of its own and may be absent."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

TOOLS = "IMAGE_TOOLS"
"""Names a folder that holds, or is to hold, `venv` (scikit-image, ssimulacra2) and `node_modules` (sharp)."""
JOBS = 4
PATIENCE_S = 600
WATCH_EVERY_S = 0.005
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The least of the rounds for time, the most for memory; the figures are those of one job."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    encodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    name: str
    run: Callable[[Path, Path], Cost]


def tools() -> Path:
    """Find the folder of tools that are no dependencies of ours, and fill it where the registries answer."""
    root = Path(os.environ.get(TOOLS) or Path(tempfile.gettempdir(), "medialink-image-tools"))
    root.mkdir(parents=True, exist_ok=True)
    if not likeness_python(root):
        _try([sys.executable, "-m", "venv", str(root / "venv")])
        _try([str(root / "venv/bin/pip"), "install", "-q", "scikit-image", "ssimulacra2"])
    if not (root / "node_modules/sharp").exists() and shutil.which("npm"):
        _try(["npm", "install", "--silent", "--prefix", str(root), "sharp"])
    return root


def likeness_python(root: Path) -> Path | None:
    return root / "venv/bin/python" if list(root.glob("venv/lib/*/site-packages/ssimulacra2")) else None


def photographs(root: Path) -> list[Path]:
    """List the photographs that scikit-image carries."""
    names: tuple[str, ...] = (
        "astronaut.png",
        "chelsea.png",
        "coffee.png",
        "motorcycle_left.png",
        "motorcycle_right.png",
        "rocket.jpg",
    )
    names += ("hubble_deep_field.jpg", "retina.jpg", "ihc.png", "grass.png", "gravel.png", "brick.png", "camera.png")
    return [path for name in names for path in root.glob(f"venv/lib/*/site-packages/skimage/data/{name}")]


def present(root: Path) -> list[Rival]:
    rivals = [Rival(name="medialink", run=_medialink)]
    if shutil.which("node") and (root / "node_modules/sharp").exists():
        rivals.append(Rival(name="sharp", run=lambda source, target: _sharp(root, source, target)))
    if shutil.which("vipsthumbnail"):
        rivals.append(Rival(name="vips", run=_vips))
    return rivals


def versions(root: Path) -> str:
    said = []
    package = root / "node_modules/sharp/package.json"
    if package.exists():
        said.append(f"sharp {json.loads(package.read_text())['version']}")
    if shutil.which("vips"):
        said.append(subprocess.run(["vips", "--version"], capture_output=True, text=True, check=True).stdout.strip())  # noqa: S607 - where it is
    said += [path.name.removesuffix(".dist-info") for path in sorted(root.glob("venv/lib/*/site-packages/s[cs]i*info"))]
    return ", ".join(said)


def _medialink(source: Path, target: Path) -> Cost:
    return _told([sys.executable, "-m", "benchmarks.job", str(source), str(target), str(JOBS)], {})


def _sharp(root: Path, source: Path, target: Path) -> Cost:
    command = ["node", str(_HERE / "sharp.cjs"), str(source), str(target), str(JOBS)]
    return _told(command, {"NODE_PATH": str(root / "node_modules")})


def _vips(source: Path, target: Path) -> Cost:
    """Start the command once: its figures hold its start, and it tries one quality only."""
    command = ["vipsthumbnail", str(source), "-s", "2560x2560>", "-o", f"{target}[Q=80,optimize_coding,strip]"]
    return _watched([*command, "--vips-concurrency=1"], {})[1]


def _told(command: list[str], more: dict[str, str]) -> Cost:
    out, whole = _watched(command, more)
    return replace(whole, **json.loads(out))


def _watched(command: list[str], more: dict[str, str]) -> tuple[str, Cost]:
    """Run a command to its end and give what it printed and what it took.

    The peak is read from /proc while it lives: ru_maxrss would count what its parent held when it forked.
    """
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **more})  # noqa: S603 - our own
    peak_mb = 0.0
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        peak_mb = max(peak_mb, _peak_mb(process.pid))
        time.sleep(WATCH_EVERY_S)
    process.returncode = os.waitstatus_to_exitcode(ended[1])
    if process.returncode or process.stdout is None:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}")
    with process.stdout as out:
        spent = Cost(
            cpu_s=ended[2].ru_utime + ended[2].ru_stime,
            wall_s=time.perf_counter() - began,
            peak_mb=peak_mb,
            encodes=1,
        )
        return out.read(), spent


def _peak_mb(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return sum(int(kb) for kb in re.findall(r"(?m)^VmHWM:\s+(\d+) kB$", status)) * 1024 / 1e6


def _try(command: list[str]) -> None:
    """Run an installer; who asks for its fruits says that they are absent."""
    subprocess.run(command, check=False, timeout=PATIENCE_S)  # noqa: S603 - our own arguments
