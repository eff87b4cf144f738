"""Where what was made is written."""

import errno
from pathlib import Path

from proxy.errors import DiskFull


def write(target: Path, body: bytes) -> None:
    """Write the whole of it, or leave nothing.

    Raises:
        DiskFull: there is no room for it.
    """
    try:
        target.write_bytes(body)
    except OSError as error:
        target.unlink(missing_ok=True)
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFull from error
        raise
