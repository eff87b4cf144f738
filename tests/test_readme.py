"""What the README says is so: its tables against the code, its commands and bodies against the running thing."""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from pydantic_core import PydanticUndefined

from proxy import errors
from proxy.errors import MedialinkError
from proxy.media.kinds import LIMITS, Kind
from proxy.settings import Settings
from tests.conftest import API_KEY

if TYPE_CHECKING:
    from tests.conftest import House

README = Path("README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def rows(heading: str) -> list[list[str]]:
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.removeprefix("|").removesuffix("|").split(" | ")] for line in lines[1:]]


def settings_rows() -> list[list[str]]:
    table = []
    for name, field in Settings.model_fields.items():
        default = "cores" if name == "decode_slots" else field.default
        shown = "" if default in (None, "", (), PydanticUndefined) else f"`{default}`"
        table.append([f"`{name.upper()}`", shown, field.description or ""])
    return table


def test_the_settings_table_is_the_settings() -> None:
    assert rows("Settings") == settings_rows()


def test_the_error_table_is_the_tree() -> None:
    def leaves(kind: type[MedialinkError]) -> set[tuple[int, str]]:
        children = kind.__subclasses__()
        return set().union(*map(leaves, children)) if children else {(kind.status, kind.code)}

    told = {(int(status), code.strip("`")) for status, code, _ in rows("Errors")}
    assert told == leaves(errors.MedialinkError)


def test_the_limits_table_is_the_limits() -> None:
    told = {row[0]: row for row in rows("What WhatsApp takes")}
    assert set(told) == set(Kind)
    for kind, limits in LIMITS.items():
        assert told[kind][2] == str(limits.max_bytes)
        if kind is not Kind.DOCUMENT:
            assert re.findall(r"`([a-z]+/[^`]+)`", told[kind][1]) == list(limits.media_types)


def test_the_make_targets_that_it_names_are_there() -> None:
    makefile = Path("Makefile").read_text()
    for target in set(re.findall(r"`make ([a-z]+)|^make ([a-z]+)", README, re.MULTILINE)):
        assert re.search(rf"^{''.join(target)}:", makefile, re.MULTILINE), target


def test_its_commands_run(tmp_path: Path, light_jpeg: bytes) -> None:
    (tmp_path / "photo.jpg").write_bytes(light_jpeg)
    (commands,) = [block for block in blocks("sh") if block.startswith("medialink ")]
    for line in commands.splitlines():
        ran = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "proxy", *shlex.split(line)[1:]],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, f"{line}: {ran.stderr}"
        assert ran.stdout


def test_its_bodies_are_taken(house: "House", light_jpeg: bytes) -> None:
    house.put("trips/lake.jpg", light_jpeg)
    message, link = (json.loads(block) for block in blocks("json"))
    assert house.api.post("/messages", json=message).status_code == 202
    assert house.api.post("/links", json=link).status_code == 201


def exported(first: str) -> Settings:
    """Read the one example whose first line sets this, as a shell would."""
    (exports,) = [block for block in blocks("sh") if block.startswith(f"export {first}=")]
    pairs = re.findall(r"^export (\w+)=(\S+)", exports, re.MULTILINE)
    return Settings.read(**{name.lower(): "0" * 64 if value.startswith("$(") else value for name, value in pairs})


def test_its_own_bucket_example_is_a_valid_environment() -> None:
    settings = exported("LISTEN_HOST")
    assert settings.real_provider
    assert settings.gateway_keys is not None


@pytest.fixture
def legacy(build: Callable[..., "House"], light_jpeg: bytes) -> "House":
    """Build the house of "From your legacy system", but for its addresses and its store."""
    told = exported("PROVIDER_URL")
    assert not told.real_provider
    assert told.waba_key == "caller"
    house = build(
        waba_key=told.waba_key,
        gateway_keys=hashlib.sha256(API_KEY.encode()).hexdigest(),
        alias_prefixes=told.alias_prefixes,
        forward_webhooks_to=told.forward_webhooks_to,
    )
    house.put("trips/lake.jpg", light_jpeg)
    return house


def run_here(command: list[str], snippet: str, house: "House") -> str:
    """Run a snippet against this house instead of the one that the README has started, with this sandbox's key."""
    for what, instead in (("http://127.0.0.1:8080", house.url), ("your-360dialog-key", API_KEY)):
        assert what in snippet
        snippet = snippet.replace(what, instead)
    ran = subprocess.run(  # noqa: S603 - the README's own words
        [*command, snippet],
        env={**os.environ, "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def arrived(house: "House", told: str) -> list[str]:
    (wamid,) = re.findall(r"wamid\.[^\"]+", told)
    return [entry["status"] for entry in house.story(wamid)["statuses"]]


def test_its_curl_sends_what_arrives(legacy: "House", need: Callable[[str], NoReturn]) -> None:
    if shutil.which("curl") is None:
        need("curl")
    (snippet,) = [block for block in blocks("sh") if block.startswith("curl ")]
    told = run_here(["sh", "-c"], snippet, legacy)
    assert "x-medialink-links: replaced=1" in told
    assert arrived(legacy, told) == ["sent", "delivered"]


def test_its_python_sends_what_arrives_and_sends_it_once(legacy: "House") -> None:
    (snippet,) = blocks("python")
    told = [run_here([sys.executable, "-c"], snippet, legacy) for _ in range(2)]
    assert told[0] == told[1]
    assert "replaced=1" in told[0]
    assert arrived(legacy, told[0]) == ["sent", "delivered"]
    assert len(legacy.whatsapp.get("/sandbox/messages").json()) == 1


def test_its_picture_that_cannot_arrive_does_not(legacy: "House") -> None:
    (link,) = re.findall(r"`http://127\.0\.0\.1:8080(/image/closed/[^`]+)`", README)
    (snippet,) = blocks("python")
    told = run_here([sys.executable, "-c"], snippet.replace("/image/trips/lake.jpg", link), legacy)
    assert "foreign=1" in told
    assert arrived(legacy, told) == ["failed"]
