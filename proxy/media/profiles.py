"""ICC profiles for colours that a picture names by code points instead (ITU-T H.273, as in HEIC and AVIF)."""

import struct
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Final

_GAMUTS: Final = {
    # columns of red, green and blue in XYZ, adapted to D50 (Skia, SkColorSpace.h, SkNamedGamut)
    1: ((0.436066, 0.222488, 0.013916), (0.385147, 0.716873, 0.097076), (0.143066, 0.060608, 0.714096)),  # BT.709
    9: ((0.673459, 0.279033, -0.001931), (0.165661, 0.675338, 0.029979), (0.125100, 0.045629, 0.797162)),  # BT.2020
    12: ((0.515102, 0.241182, -0.001049), (0.291965, 0.692236, 0.041882), (0.157153, 0.066582, 0.784378)),  # P3
}
_BT_709: Final = 1
_D50: Final = (0.9642, 1.0, 0.8249)
_CURVE_POINTS: Final = 4096
_WHITE_NITS: Final = 203
"""Where HDR puts diffuse white (ITU-R BT.2408)."""
_HLG_PEAK_NITS: Final = 1000
_KNEE: Final = 0.5
_HEADER_BYTES: Final = 128


@cache
def profile_of(primaries: int, transfer: int) -> bytes | None:
    """Make the profile of these code points; None where they mean sRGB or are unknown.

    What is brighter than diffuse white is rolled off towards it, channel by channel.
    """
    gamut = _GAMUTS.get(primaries, _GAMUTS[_BT_709])
    curve = _CURVES.get(transfer)
    if curve is None and gamut == _GAMUTS[_BT_709]:
        return None
    return _profile(gamut, curve or _srgb)


def _srgb(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4  # noqa: PLR2004 - IEC 61966-2-1


def _perceptual_quantizer(value: float) -> float:
    """SMPTE ST 2084."""
    root = value ** (1 / 78.84375)
    return _roll_off(10_000 * (max(0, root - 0.8359375) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125))


def _hybrid_log_gamma(value: float) -> float:
    """ITU-R BT.2100, with the system gamma of a display of 1,000 nits."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = value * value / 3 if value <= 0.5 else (2.718281828459045 ** ((value - c) / a) + b) / 12  # noqa: PLR2004
    return _roll_off(_HLG_PEAK_NITS * scene**1.2)


def _roll_off(nits: float) -> float:
    bright = nits / _WHITE_NITS
    if bright <= _KNEE:
        return bright
    over = (bright - _KNEE) / (1 - _KNEE)
    return _KNEE + (1 - _KNEE) * over / (1 + over)


_CURVES: Final[dict[int, Callable[[float], float]]] = {
    4: lambda value: value**2.2,
    5: lambda value: value**2.8,
    8: lambda value: value,
    16: _perceptual_quantizer,
    18: _hybrid_log_gamma,
}
"""BT.709's own curve and its kin are shown as sRGB, which is how pictures that name them were graded."""


def _profile(gamut: tuple[tuple[float, float, float], ...], curve: Callable[[float], float]) -> bytes:
    """Write a display profile of a matrix and one curve (ICC.1:2001-04)."""
    points = [min(65535, round(65535 * curve(at / (_CURVE_POINTS - 1)))) for at in range(_CURVE_POINTS)]
    bodies = {
        b"desc": b"desc" + bytes(4) + struct.pack(">L", 6) + b"Coded\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"None\0",
        b"wtpt": _xyz(_D50),
        **{name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), gamut, strict=True)},
        b"rTRC": b"curv" + bytes(4) + struct.pack(f">L{_CURVE_POINTS}H", _CURVE_POINTS, *points),
    }
    bodies = {name: body + bytes(-len(body) % 4) for name, body in bodies.items()}
    tags = [*bodies, b"gTRC", b"bTRC"]
    start = _HEADER_BYTES + 4 + 12 * len(tags)
    starts = [start]
    for body in bodies.values():
        starts.append(starts[-1] + len(body))
    places = {name: (at, end - at) for name, (at, end) in zip(bodies, pairwise(starts), strict=True)}
    places |= dict.fromkeys((b"gTRC", b"bTRC"), places[b"rTRC"])
    header = struct.pack(">L4xL4s4s4s12x4s", starts[-1], 0x02100000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    header = header.ljust(68, b"\0") + _xyz(_D50)[8:]
    table = b"".join(name + struct.pack(">LL", *places[name]) for name in tags)
    return header.ljust(_HEADER_BYTES, b"\0") + struct.pack(">L", len(tags)) + table + b"".join(bodies.values())


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3l", *(round(value * 65536) for value in values))
