"""Drafts on the disk: each is locked by its writer (flock(2)), so that it is known whose writer has died."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp


class Drafts:
    """A folder of files that are being written; only OSErrors come out of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """Give a new file to write to; it is gone afterwards, unless it was renamed."""
        descriptor, draft = self._new()
        try:
            yield draft
        finally:
            draft.unlink(missing_ok=True)
            os.close(descriptor)

    def sweep(self) -> None:
        """Take away what dead writers have left; the kernel let go of their locks when they died."""
        for draft in self._folder.iterdir():
            with suppress(FileNotFoundError):
                _take_away_if_dead(draft)

    def _new(self) -> tuple[int, Path]:
        while True:  # a sweep may come between a draft and its lock; no sweep meets a draft twice
            descriptor, name = mkstemp(dir=self._folder)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                return descriptor, Path(name)
            os.close(descriptor)


def _take_away_if_dead(draft: Path) -> None:
    descriptor = os.open(draft, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        draft.unlink()
    except BlockingIOError:
        pass
    finally:
        os.close(descriptor)
