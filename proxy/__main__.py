"""`python -m proxy` and `medialink`.

The commands are imported inside: decoding workers import the main module again, and need none of them.
"""


def main() -> None:
    from proxy.cli import run  # noqa: PLC0415 - the module's docstring says why

    run()


if __name__ == "__main__":
    main()
