"""`python -m proxy` and `medialink`.

The commands are imported inside: decoding workers import the main module again, and need none of them.
"""

import sys

INTERRUPTED = 130
"""128 and SIGINT, as shells say it."""


def main() -> None:
    try:
        from proxy.cli import run  # noqa: PLC0415 - the module's docstring says why

        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
