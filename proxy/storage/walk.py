"""A walk through a folder and all below it, page by page."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import islice
from typing import Final

from proxy.errors import NotFound
from proxy.storage.store import is_reserved

PAGE_NAMES: Final = 1000

Open = Callable[[Sequence[str]], AbstractContextManager[int]]
"""Opens the folder that segments lead to and follows no symlink; raises NotFound where there is none."""


def pages(prefix: str, opened: Open) -> Iterator[list[str]]:
    """Give the names of files that begin with `prefix`, many at a time, and none that are ours."""
    found = _walk(prefix, opened)
    while page := list(islice(found, PAGE_NAMES)):
        yield page


def _walk(prefix: str, opened: Open) -> Iterator[str]:
    """Hold the names of folders that are still to be seen, and none of files."""
    folders = [prefix.rpartition("/")[0]]
    while folders:
        folder = folders.pop()
        with suppress(NotFound), opened(folder.split("/") if folder else ()) as number, os.scandir(number) as entries:
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                if not name.startswith(prefix) or is_reserved(name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                elif entry.is_file(follow_symlinks=False):
                    yield name
