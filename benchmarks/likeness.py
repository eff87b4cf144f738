"""How like the original a rendition is; runs in the environment that `rivals` makes, which holds the two packages.

`python likeness.py EDGE REFERENCE RENDITION...` prints [SSIMULACRA2, SSIM of luma] of each, all brought to EDGE pixels.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np  # type: ignore[import-not-found,unused-ignore]
from PIL import Image, ImageOps
from skimage.metrics import structural_similarity  # type: ignore[import-not-found,unused-ignore]
from ssimulacra2 import compute_ssimulacra2  # type: ignore[import-not-found,unused-ignore]


def main(edge_px: int, reference: str, renditions: list[str]) -> None:
    with TemporaryDirectory() as scratch:
        one, other = Path(scratch, "one.png"), Path(scratch, "other.png")
        size = _bring(reference, one, edge_px, None)
        scores = []
        for rendition in renditions:
            _bring(rendition, other, edge_px, size)
            luma = [np.asarray(Image.open(path).convert("L")) for path in (one, other)]
            score = float(compute_ssimulacra2(str(one), str(other)))
            scores.append((score, float(structural_similarity(*luma))))
    sys.stdout.write(json.dumps(scores))


def _bring(path: str, to: Path, edge_px: int, size: tuple[int, int] | None) -> tuple[int, int]:
    upright = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    scale = min(1.0, edge_px / max(upright.size))
    size = size or (round(upright.width * scale), round(upright.height * scale))
    upright.resize(size, Image.Resampling.LANCZOS).save(to, compress_level=1)
    return size


main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
