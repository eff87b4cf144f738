"""`medialink health`, quickly: an image asks every half minute, and the commands' libraries alone take half a second.

The address comes from where the settings come from; what is wrong with them, the service has said when it started.
"""

import json
import os
from collections.abc import Mapping
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from dotenv import dotenv_values

TIMEOUT_S = 5.0
MAX_REPORT_BYTES = 100_000


def own_address() -> str:
    """Say where this machine's service answers for itself."""
    found = {name: value for name, value in dotenv_values(os.environ.get("ENV_FILE", ".env")).items() if value}
    found |= {name: value for name, value in os.environ.items() if value}
    host, port = found.get("LISTEN_HOST") or "127.0.0.1", found.get("LISTEN_PORT") or "8080"
    if (own := found.get("METRICS_PORT") or "0") != "0":
        host, port = found.get("METRICS_HOST") or host, own
    return f"http://{_named(host)}:{port}"


def ask(base: str) -> tuple[Mapping[str, str], bool]:
    """Give what a service says of its doors, and whether it can do its work."""
    try:
        parts = urlsplit(base)
        door = (HTTPSConnection if parts.scheme == "https" else HTTPConnection)(parts.netloc, timeout=TIMEOUT_S)
        with closing(door):
            door.request("GET", f"{parts.path}/readyz")
            answer = door.getresponse()
            return json.loads(answer.read(MAX_REPORT_BYTES)), answer.status == HTTPStatus.OK
    except (OSError, HTTPException, ValueError) as error:
        return {"service": f"{base} does not answer: {error}"}, False


def in_lines(report: Mapping[str, str]) -> str:
    return "".join(f"{door}: {state}\n" for door, state in report.items())


def _named(listened_on: str) -> str:
    """Name this machine where it listens on all its addresses; an IPv6 address stands in brackets in a URL."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listened_on, listened_on)  # noqa: S104 - asked, not bound
    return f"[{host}]" if ":" in host else host
