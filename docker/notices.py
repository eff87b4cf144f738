"""Prints whose work the image carries: every installed distribution, its licence, and what is under the GPL or LGPL."""
# ruff: noqa: INP001 - a script of the image's build, in no package

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions

COPYLEFT = re.compile(r"GPL|GNU (Library|Lesser|General)")
FFMPEG = "LGPL-2.1-or-later; GPL-2.0-or-later where it is built with x264 or x265"
BUNDLED = {
    "asound": "LGPL-2.1-or-later",
    "avcodec": FFMPEG,
    "avdevice": FFMPEG,
    "avfilter": FFMPEG,
    "avformat": FFMPEG,
    "avutil": FFMPEG,
    "crypt": "LGPL-2.1-or-later",
    "de265": "LGPL-3.0-or-later",
    "gmp": "LGPL-3.0-or-later or GPL-2.0-or-later",
    "gnutls": "LGPL-2.1-or-later",
    "heif": "LGPL-3.0-or-later",
    "hogweed": "LGPL-3.0-or-later or GPL-2.0-or-later",
    "keyutils": "LGPL-2.0-or-later",
    "mp3lame": "LGPL-2.0-or-later",
    "nettle": "LGPL-3.0-or-later or GPL-2.0-or-later",
    "swresample": FFMPEG,
    "swscale": FFMPEG,
    "unistring": "LGPL-3.0-or-later or GPL-2.0-or-later",
    "x264": "GPL-2.0-or-later",
    "x265": "GPL-2.0-or-later",
}
"""Shared libraries that wheels bring along and their metadata do not name, by what follows `lib`; the licences are
those of each project's COPYING file. The names are those of the wheels of av 18.1, pillow-heif 1.8
and psycopg-binary 3.3."""
SOURCE = re.compile(r"^Files: (lib\w+)\.(?:.*\n(?!Name:))*?\s*Source code: (\S+)", re.MULTILINE)
"""A library and where its source lies, as pillow-heif's LICENSES_bundled.txt names both."""


def licence_of(distribution: Distribution) -> str:
    """Say what the metadata says: the expression, else the classifiers, else the first line of the free text."""
    told = {
        name: distribution.metadata.get_all(name) or [""] for name in ("License-Expression", "Classifier", "License")
    }
    classified = [line.split(" :: ")[-1] for line in told["Classifier"] if line.startswith("License ::")]
    free = told["License"][0].strip().split("\n")[0]
    return told["License-Expression"][0] or ", ".join(classified) or free or "see below"


def texts_of(distribution: Distribution) -> Iterator[str]:
    """Give the text of each licence file."""
    for file in distribution.files or ():
        if re.search(r"\.dist-info/(.*/)?(LICEN[CS]E|COPYING|NOTICE|AUTHORS)[^/]*$", str(file), re.IGNORECASE):
            yield file.read_text(encoding="utf-8").strip()


def copyleft_of(distribution: Distribution) -> Iterator[str]:
    """Name what of a distribution is under the GPL or LGPL: itself, and the libraries that its wheel brings along."""
    licence = licence_of(distribution)
    if COPYLEFT.search(licence):
        yield f"{distribution.name} {distribution.version}: {licence}"
    sources = dict(SOURCE.findall("\n".join(texts_of(distribution))))
    for file in distribution.files or ():
        library = re.match(r"lib([a-z0-9]+)-\w+\.so", file.name)
        if library and library[1] in BUNDLED:
            source = sources.get(f"lib{library[1]}")
            told = f"{BUNDLED[library[1]]}; source: {source}" if source else BUNDLED[library[1]]
            yield f"{file.name} in {distribution.name} {distribution.version}: {told}"


def notices(installed: list[Distribution]) -> Iterator[str]:
    """Give the notices line by line."""
    yield "This image carries the works below, each under its own licence, as their authors publish them under these"
    yield "names and versions, and their sources. What Debian brings is named in /usr/share/doc/*/copyright."
    yield "\nThe GPL and the LGPL themselves lie in /usr/share/common-licenses. Who hands this image on must hand on,"
    yield "or offer, the sources of what is under them, in these very versions (GPL 2, section 3; GPL 3, section 6)."
    yield "\nUnder the GPL or the LGPL\n"
    for distribution in installed:
        yield from copyleft_of(distribution)
    yield "\nAll\n"
    for distribution in installed:
        yield f"{distribution.name} {distribution.version}: {licence_of(distribution)}"
    for distribution in installed:
        for text in texts_of(distribution):
            yield f"\n{'=' * 72}\n{distribution.name} {distribution.version}\n\n{text}"


if __name__ == "__main__":
    found = sorted(distributions(), key=lambda distribution: distribution.name.lower())
    sys.stdout.writelines(f"{line}\n" for line in notices(found))
