"""What OpenTelemetry's own variables ask of us. Nothing of OpenTelemetry is imported unless they ask for traces."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from dotenv import dotenv_values

from proxy.errors import SettingsInvalid

if TYPE_CHECKING:
    from proxy.telemetry.traces import Traces

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
OUR_PROTOCOL: Final = "http/protobuf"
INSTALL: Final = "pip install --require-hashes -r requirements/image.txt"
"""By the lock, not by name: `medialink` on PyPI is somebody else's."""


def build_traces(env_file: Path) -> "Traces | None":
    """Begin to export traces where an endpoint is named; its thread belongs to this process, so call it after a fork.

    Where a variable is not in the environment, the file's value becomes the environment's: the libraries look there.

    Raises:
        SettingsInvalid: a variable is wrong, or the extra is not installed.
    """
    for name, value in dotenv_values(env_file).items():
        if name.startswith("OTEL_") and value:
            os.environ.setdefault(name, value)
    if not are_wanted(os.environ):
        return None
    if mistakes := find_mistakes(os.environ):
        raise SettingsInvalid(mistakes=mistakes)
    try:
        from proxy.telemetry.traces import Traces  # noqa: PLC0415 - 8 MB and 0.3 s that few want

        return Traces()
    except ImportError as error:
        name, _ = _first(os.environ, ENDPOINTS)
        mistake = f"{name}: is set, and what exports traces is not installed ({error}); {INSTALL}, or unset it"
        raise SettingsInvalid(mistakes=(mistake,)) from error
    except (ValueError, RuntimeError, OSError) as error:  # how the libraries refuse a variable
        raise SettingsInvalid(mistakes=(f"OTEL_...: {error}",)) from error


def are_wanted(environment: Mapping[str, str]) -> bool:
    """Say whether traces are asked for; an empty variable is one that is not set, as OpenTelemetry has it."""
    disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    return bool(_first(environment, ENDPOINTS)[1]) and not disabled and exporter != "none"


def find_mistakes(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Name what would lose every trace without a word."""
    mistakes = []
    name, endpoint = _first(environment, ENDPOINTS)
    url = urlsplit(endpoint)
    if url.scheme not in {"http", "https"} or not url.hostname:
        mistakes.append(f"{name}: must be an http or https URL, such as http://127.0.0.1:4318")
    name, protocol = _first(environment, PROTOCOLS)
    if protocol not in {"", OUR_PROTOCOL}:
        mistakes.append(f"{name}: must be {OUR_PROTOCOL} or unset; no other is spoken here")
    if environment.get("OTEL_TRACES_EXPORTER", "").strip().lower() not in {"", "otlp"}:
        mistakes.append("OTEL_TRACES_EXPORTER: must be otlp, none or unset")
    return tuple(mistakes)


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str]:
    """Find the first of the variables that is set, as the exporter does; the last where none is."""
    found = [(name, environment[name].strip()) for name in names if environment.get(name, "").strip()]
    return found[0] if found else (names[-1], "")
