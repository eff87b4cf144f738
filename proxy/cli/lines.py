"""The lines of a file or of standard input, as they are asked for."""

import asyncio
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Final, TextIO

from proxy.errors import Malformed
from proxy.prepare import Names

STANDARD_INPUT: Final = "-"
MAX_LINE_CHARS: Final = 8192
"""A link has at most 4096 characters of token."""
READ_AHEAD_LINES: Final = 100


async def lines_of(file: str) -> Names:
    """Give the lines that are not empty; a thread waits for them, so that a slow writer holds nobody up.

    Raises:
        Malformed: the file cannot be read.
    """
    opened = _opened(file)
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue(READ_AHEAD_LINES)
    over = Event()

    def give(line: str | None) -> None:
        if not over.is_set():
            asyncio.run_coroutine_threadsafe(queue.put(line), loop).result()

    def read() -> None:
        with suppress(OSError, asyncio.CancelledError, RuntimeError), opened:
            for line in iter(partial(opened.readline, MAX_LINE_CHARS), ""):
                give(line)
            give(None)

    Thread(target=read, daemon=True).start()  # a read of a terminal cannot be ended, and must not keep us from it
    try:
        while (line := await queue.get()) is not None:
            if line.strip():
                yield line.strip()
    finally:
        over.set()


def _opened(file: str) -> TextIO:
    path = sys.stdin.fileno() if file == STANDARD_INPUT else Path(file)
    try:
        return open(path, encoding="utf-8", errors="replace", closefd=file != STANDARD_INPUT)
    except OSError as error:
        raise Malformed(field="FILE", problem=f"{file} cannot be read ({error.strerror})") from error
