"""Fuzz the entry of every decoder: `make fuzz`, or with libFuzzer's own options.

    python tests/media/fuzzing.py [-max_total_time=SECONDS] [CRASHED_INPUT]

The first byte of an input says the kind, the others are the file. Whatever is neither a verdict nor a typed refusal
is a finding; the input that led to it is written beside, and can be given again.
"""

import sys
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import atheris  # type: ignore[import-untyped]

with atheris.instrument_imports(include=["proxy.media", "PIL", "pillow_heif"]):
    from proxy.errors import RefusedMedium
    from proxy.media.checker import check
    from proxy.media.kinds import ImageRules, Kind, Rules

from tests.media.mutations import mutate, seeds

KINDS = list(Kind)
RULES = Rules(image=ImageRules(max_pixels=300_000, heavy_bytes=20_000, heavy_edge_px=320))


def decode(data: bytes, folder: Path) -> None:
    if not data:
        return
    source, target = folder / "source", folder / "target"
    source.write_bytes(data[1:])
    try:
        check(KINDS[data[0] % len(KINDS)], source, target, RULES)
    except RefusedMedium:
        pass
    finally:
        target.unlink(missing_ok=True)


def evolve(data: bytes, max_bytes: int, seed: int) -> bytes:
    """Mutate half of the time by structure, else as libFuzzer does."""
    random = Random(seed)  # noqa: S311 - no secret
    if random.getrandbits(1):
        return bytes(atheris.Mutate(data, max_bytes))
    other = random.choice(list(seeds().values()))
    return (data[:1] + mutate(data[1:], other, random))[:max_bytes]


def main() -> None:
    with TemporaryDirectory(prefix="medialink-fuzz-") as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        for number, data in enumerate(seeds().values()):
            for kind in range(len(KINDS)):
                (corpus / f"{number}-{kind}").write_bytes(bytes([kind]) + data)
        scratch = Path(folder)
        given_files = any(not argument.startswith("-") for argument in sys.argv[1:])
        places = [] if given_files else [str(corpus)]
        atheris.Setup(
            [*sys.argv, "-max_len=65536", "-timeout=20", "-rss_limit_mb=2048", *places],
            lambda data: decode(data, scratch),
            custom_mutator=evolve,
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
