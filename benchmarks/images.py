"""Pictures made to fit, beside sharp and vips: `python -m benchmarks.images` writes IMAGES.md."""

import json
import platform
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from random import Random
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from PIL import Image, ImageDraw, ImageFont, features

from benchmarks import rivals
from benchmarks.rivals import Cost
from proxy.media.encoding import Encoded, encode, fit
from proxy.media.kinds import ImageRules
from proxy.specimen import make_photograph

RESULTS = Path(__file__).with_name("IMAGES.md")
RULES = ImageRules()
LOOKED_AT_PX = 1600
SIZES = {"12 MP": (4032, 3024), "24 MP": (6000, 4000)}
SHARES = (1.2, 1.0, 0.8, 0.6, 0.4, 0.2)
_WORDS = ("invoice", "order", "delivery", "tomorrow", "9:30", "thanks", "total", "appointment", "please", "confirm")


def main(
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Rounds of each row; the least of them counts.")] = 3,
) -> None:
    """Make photographs and screenshots fit, here and elsewhere; print the tables and write IMAGES.md."""
    root = rivals.tools()
    with TemporaryDirectory(prefix="medialink-images-") as scratch:
        parts = [
            _circumstances(root, f"python -m benchmarks.images --rounds {rounds}"),
            "## Photographs\n\n" + "\n".join(_photographs(root, Path(scratch), rounds)),
            "## Encodes\n\n" + _encodes(root, Path(scratch)),
            "## Screenshots\n\n" + "\n".join(_screenshots(root, Path(scratch))),
        ]
    RESULTS.write_text("# Pictures made to fit, beside sharp and vips\n\n" + "\n\n".join(parts) + "\n")
    sys.stdout.write("\n\n".join(parts[1:]) + "\n")


def _photographs(root: Path, scratch: Path, rounds: int) -> Iterator[str]:
    present = rivals.present(root)
    yield "| photograph | by | CPU s | of sharp's | wall s | peak MB | KB | encodes | SSIMULACRA2 | SSIM |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for name, source in _sources(root, scratch):
        targets = [scratch / f"{source.stem}-{rival.name}.jpg" for rival in present]
        measured = [
            [rival.run(source, target) for rival, target in zip(present, targets, strict=True)] for _ in range(rounds)
        ]
        costs = {rival.name: _least(runs) for rival, runs in zip(present, zip(*measured, strict=True), strict=True)}
        scores = _likeness(root, LOOKED_AT_PX, source, targets)
        for target, (by, cost), (ssimulacra2, ssim) in zip(targets, costs.items(), scores, strict=True):
            ratio = f"{cost.cpu_s / costs['sharp'].cpu_s:.2f}" if "sharp" in costs else "absent"
            yield (
                f"| {name} | {by} | {cost.cpu_s:.3f} | {ratio} | {cost.wall_s:.3f} | {cost.peak_mb:.0f} "
                f"| {target.stat().st_size / 1000:.0f} | {cost.encodes} | {ssimulacra2} | {ssim} |"
            )


def _sources(root: Path, scratch: Path) -> Iterator[tuple[str, Path]]:
    """Draw the photographs, and lay scikit-image's, which somebody took, side by side to the same sizes."""
    for name, (width, height) in SIZES.items():
        path = scratch / f"drawn-{width}.jpg"
        make_photograph(path, width=width, height=height)
        yield f"{name}, drawn", path
        if taken := rivals.photographs(root):
            sheet = Image.new("RGB", (width, height))
            for top in range(0, height, 500):
                for left in range(0, width, 500):
                    picture = Image.open(taken[(left // 500 + top // 500 * 5) % len(taken)]).convert("RGB")
                    sheet.paste(picture.resize((500, 500), Image.Resampling.LANCZOS), (left, top))
            sheet.save(path := scratch / f"taken-{width}.jpg", quality=92)
            yield f"{name}, contact sheet of taken ones", path


def _least(runs: tuple[Cost, ...]) -> Cost:
    return Cost(
        cpu_s=min(run.cpu_s for run in runs),
        wall_s=min(run.wall_s for run in runs),
        peak_mb=max(run.peak_mb for run in runs),
        encodes=runs[0].encodes,
    )


def _encodes(root: Path, scratch: Path) -> str:
    """Count the encodes of many photographs over budgets that most of them do not fit at the usual quality."""
    pictures = [Image.open(path).convert("RGB") for path in rivals.photographs(root)]
    for seed in range(12):
        make_photograph(scratch / "seed.jpg", width=1600, height=1200, seed=seed)
        pictures.append(Image.open(scratch / "seed.jpg").convert("RGB"))
    counts, used = [], []
    for picture in pictures:
        usual = len(encode(picture, RULES.aim_bytes).body)
        for share in SHARES:
            made = encode(picture, round(usual * share))
            counts.append(made.encodes)
            if share < 1:
                used.append(len(made.body) / round(usual * share))
    return (
        f"{len(pictures)} photographs ({len(pictures) - 12} of scikit-image's, 12 drawn) at "
        f"{', '.join(map(str, SHARES))} times the bytes of their usual quality: **{mean(counts):.2f}** encodes on "
        f"average, {max(counts)} at most; {mean(used):.0%} of the budget used where it was short, {min(used):.0%} at "
        f"least."
    )


def _screenshots(root: Path, scratch: Path) -> Iterator[str]:
    """Compare at the size that we deliver, at the top, as it is read; what it would have been before beside it."""
    yield "| screenshot | we make of it | KB | SSIMULACRA2 | SSIM | JPEG 82 at 2560 px | KB | SSIMULACRA2 | SSIM |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, size, density in (
        ("telephone, 1170x2532", (1170, 2532), 3),
        ("conversation, 1170x9000", (1170, 9000), 3),
        ("conversation, 1170x18000", (1170, 18_000), 3),
        ("desktop, 3840x2160", (3840, 2160), 2),
    ):
        shot = _screen(size, density)
        reference = shot.resize(fit(shot.size, RULES.heavy_edge_px), Image.Resampling.LANCZOS)
        made = encode(reference, RULES.budget_bytes)
        shot.thumbnail((RULES.heavy_edge_px, RULES.heavy_edge_px), Image.Resampling.LANCZOS)
        shot.save(plain := BytesIO(), "JPEG", quality=82, optimize=True)
        files = []
        for number, picture in enumerate((reference, Image.open(BytesIO(made.body)), Image.open(plain))):
            same = picture.resize(reference.size, Image.Resampling.LANCZOS)
            same.crop((0, 0, min(same.width, LOOKED_AT_PX), min(same.height, LOOKED_AT_PX))).save(
                path := scratch / f"shot-{number}.png"
            )
            files.append(path)
        (score, ssim), (plain_score, plain_ssim) = _likeness(root, LOOKED_AT_PX, files[0], files[1:])
        yield (
            f"| {name} | {_form(made)} | {len(made.body) / 1000:.0f} | {score} | {ssim} "
            f"| {shot.width}x{shot.height} | {plain.tell() / 1000:.0f} | {plain_score} | {plain_ssim} |"
        )


def _form(made: Encoded) -> str:
    quality = "PNG" if made.quality is None else f"JPEG {made.quality}"
    return f"{quality}, {made.width}x{made.height}"


def _screen(size: tuple[int, int], density: int) -> Image.Image:
    """Draw a conversation with coloured bubbles, links and time stamps."""
    random = Random(size[1])  # noqa: S311 - words on a screen
    screen = Image.new("RGB", size, (242, 242, 247))
    draw = ImageDraw.Draw(screen)
    letters, small = (ImageFont.load_default(size=points * density) for points in (15, 11))
    top = 20 * density
    while top < size[1]:
        lines = random.randint(2, 6)
        bottom, right = top + (lines * 19 + 26) * density, size[0] - random.randint(16, 120) * density
        paint = random.choice([(255, 255, 255), (220, 248, 198), (0, 122, 255)])
        draw.rounded_rectangle((16 * density, top, right, bottom), 12 * density, fill=paint)
        for line in range(lines):
            ink = random.choice([(20, 20, 20), (20, 20, 20), (200, 30, 30), (0, 90, 200)])
            at = (28 * density, top + (8 + line * 19) * density)
            draw.text(at, " ".join(random.choices(_WORDS, k=size[0] // density // 70)), font=letters, fill=ink)
        draw.text((28 * density, bottom - 16 * density), "12:45", font=small, fill=(130, 130, 130))
        top = bottom + 18 * density
    return screen


def _likeness(root: Path, edge_px: int, reference: Path, renditions: list[Path]) -> list[tuple[str, str]]:
    python = rivals.likeness_python(root)
    if python is None:
        return [("absent", "absent")] * len(renditions)
    script = Path(__file__).with_name("likeness.py")
    command: list[str | Path] = [python, script, str(edge_px), reference, *renditions]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=rivals.PATIENCE_S).stdout  # noqa: S603 - our own
    return [(f"{score:.1f}", f"{ssim:.3f}") for score, ssim in json.loads(told)]


def _circumstances(root: Path, command: str) -> str:
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {len(cpu)} shared cores ({cpu[0].split(': ')[1]}), {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}, Pillow {version('Pillow')}, libjpeg-turbo "
        f"{features.version('libjpeg_turbo')}; {rivals.versions(root) or 'no peers here'}. Command: `{command}`.\n\n"
        f"The same job for all: a JPEG to at most 1 MB at {RULES.heavy_edge_px} px. They are measured in turn; of time "
        f"the least of the rounds counts, of memory the most. medialink and sharp (quality 80, its default, and ten "
        f"less until it fits; one thread) do {rivals.JOBS} jobs in a warm process, whose whole memory is counted; vips "
        f"is its command (quality 80), start included. Likeness is measured at {LOOKED_AT_PX:,} px against the source, "
        f"by ssimulacra2 (100 is the same) and scikit-image. A peer that is not here is absent from the tables: "
        f"`npm`, `vipsthumbnail` (libvips-tools) and the registries are what it takes; `{rivals.TOOLS}` names a folder "
        f"with `venv` and `node_modules` that is used instead of one in the temporary folder."
    )


typer.run(main)
