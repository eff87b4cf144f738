"""`python -m proxy` and `medialink`.

The commands are imported inside: decoding workers import the main module again, and need none of them.
"""

import sys

AWAY = 3
INTERRUPTED = 130
"""128 and SIGINT, as shells say it."""


def main() -> None:
    try:
        if sys.argv[1:] == ["health"]:
            from proxy.pulse import ask, in_lines, own_address  # noqa: PLC0415 - the module's docstring says why

            report, ready = ask(own_address())
            sys.stdout.write(in_lines(report))
            sys.exit(0 if ready else AWAY)
        from proxy.cli import run  # noqa: PLC0415 - the same

        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
