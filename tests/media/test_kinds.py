"""The judgements that follow from WhatsApp's table."""

import pytest

from proxy.errors import TooHeavy, TypeRefused
from proxy.media import kinds
from proxy.media.kinds import LIMITS, OPUS, STILL_STICKER, Kind, MediaWarning

UNCONFIRMED_SIZE = (MediaWarning.SIZE_UNCONFIRMED,)


@pytest.mark.parametrize("kind", Kind)
def test_every_accepted_type_passes_without_a_warning_and_has_an_extension(kind: Kind) -> None:
    for media_type in LIMITS[kind].media_types:
        assert kinds.judge_type(kind, media_type) == ()
        assert kinds.extension_of(media_type) != "bin"


@pytest.mark.parametrize(
    ("media_type", "extension"),
    [
        ("image/jpeg", "jpg"),
        ("audio/ogg; codecs=opus", "ogg"),
        ("audio/mp4", "m4a"),
        ("video/3gpp", "3gp"),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
        ("application/x-never-heard-of", "bin"),
    ],
)
def test_extension_follows_the_delivered_type(media_type: str, extension: str) -> None:
    assert kinds.extension_of(media_type) == extension


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [
        (Kind.IMAGE, "image/webp"),
        (Kind.IMAGE, "image/heic"),
        (Kind.STICKER, "image/png"),
        (Kind.AUDIO, "audio/ogg"),
        (Kind.AUDIO, "audio/wav"),
        (Kind.VIDEO, "video/quicktime"),
        (Kind.VIDEO, "audio/mp4"),
        (Kind.DOCUMENT, "text/html"),
        (Kind.DOCUMENT, "image/svg+xml"),
        (Kind.DOCUMENT, "application/vnd.microsoft.portable-executable"),
        (Kind.DOCUMENT, "application/vnd.android.package-archive"),
    ],
)
def test_a_type_outside_the_table_is_refused_and_the_table_is_named(kind: Kind, media_type: str) -> None:
    with pytest.raises(TypeRefused) as refused:
        kinds.judge_type(kind, media_type)
    assert media_type in refused.value.message
    assert LIMITS[kind].media_types[0] in refused.value.message


@pytest.mark.parametrize("media_type", ["application/zip", "application/xml", "image/jpeg", "application/octet-stream"])
def test_a_document_outside_the_table_passes_with_a_warning(media_type: str) -> None:
    assert kinds.judge_type(Kind.DOCUMENT, media_type) == (MediaWarning.TYPE_UNCONFIRMED,)


@pytest.mark.parametrize(
    ("size_bytes", "warnings"),
    [(1, ()), (5_000_000, ()), (5_000_001, UNCONFIRMED_SIZE), (5 * 2**20, UNCONFIRMED_SIZE)],
)
def test_size_between_both_readings_of_mb_passes_with_a_warning(
    size_bytes: int, warnings: tuple[MediaWarning, ...]
) -> None:
    assert kinds.judge_size(Kind.IMAGE, size_bytes, LIMITS[Kind.IMAGE]) == warnings


@pytest.mark.parametrize("limits", [*LIMITS.values(), STILL_STICKER])
def test_size_over_the_larger_reading_is_refused(limits: kinds.Limits) -> None:
    kinds.judge_size(Kind.VIDEO, limits.max_bytes, limits)
    with pytest.raises(TooHeavy) as refused:
        kinds.judge_size(Kind.VIDEO, limits.max_bytes + 1, limits)
    assert refused.value.limit_bytes == limits.max_bytes


def test_aims_are_the_decimal_megabytes_and_limits_the_binary_ones() -> None:
    for limits in (*LIMITS.values(), STILL_STICKER):
        assert limits.aim_bytes % 1000 == 0
        assert limits.max_bytes % 1024 == 0
        assert 1.02 < limits.max_bytes / limits.aim_bytes < 1.05


def test_only_mono_opus_passes() -> None:
    kinds.judge_channels(1)
    with pytest.raises(TypeRefused, match=f"2-channel {OPUS}.*mono {OPUS}"):
        kinds.judge_channels(2)


@pytest.mark.parametrize("warning", MediaWarning)
def test_every_warning_has_a_sentence_of_its_own(warning: MediaWarning) -> None:
    assert warning.sentence.endswith(".")
    assert len({each.sentence for each in MediaWarning}) == len(MediaWarning)
