"""The size-checker: what becomes of a source, delivered as a kind."""

from pathlib import Path
from typing import Final

from proxy.errors import Undecodable
from proxy.media import kinds
from proxy.media.headers import read_opus_channels
from proxy.media.images import fit_image, image_recipe
from proxy.media.kinds import LIMITS, OPUS, AsIs, Kind, Made, Rules
from proxy.media.sniff import sniff
from proxy.media.stickers import fit_sticker, sticker_recipe

JUDGEMENT_NUMBER: Final = 2
"""Raise it when a source of a kind that is not made would be judged differently than before."""


def check(kind: Kind, source: Path, target: Path, rules: Rules) -> AsIs | Made:
    """Judge a source, and make it fit where that is needed and possible.

    `target` is written only when something is made. Runs in a worker: it decodes untrusted bytes.

    Raises:
        RefusedMedium: WhatsApp would refuse it, and it was not or could not be made to fit.
        DiskFull: there is no room for what was made.
    """
    size_bytes = source.stat().st_size
    if not size_bytes:
        raise Undecodable(media_type="file", reason="it is empty")
    with source.open("rb") as file:
        media_type = sniff(file, size_bytes)
    if kind is Kind.IMAGE:
        return fit_image(source, target, media_type, rules.image)
    if kind is Kind.STICKER:
        return fit_sticker(source, target, media_type, rules.image)
    warnings = kinds.judge_type(kind, media_type, strict=rules.strict)
    warnings += kinds.judge_size(kind, size_bytes, LIMITS[kind])
    if media_type == OPUS:
        with source.open("rb") as file:
            kinds.judge_channels(read_opus_channels(file))
    return AsIs(media_type=media_type, size_bytes=size_bytes, warnings=warnings)


def recipe(kind: Kind, rules: Rules) -> str:
    """Name everything of ours that decides what `check` delivers."""
    if kind is Kind.IMAGE:
        return image_recipe(rules.image)
    if kind is Kind.STICKER:
        return sticker_recipe(rules.image)
    strictly = "-strict" if kind is Kind.DOCUMENT and rules.strict else ""
    return f"judged-{JUDGEMENT_NUMBER}{strictly}"
