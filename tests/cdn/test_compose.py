"""compose.yaml hangs together: its settings are ours, and each service finds the others where it looks for them."""

import hashlib
import json
import re
from itertools import pairwise
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml  # type: ignore[import-untyped]

from proxy.settings import Settings
from tests.cdn.conftest import TEMPLATE

COMPOSE: dict[str, Any] = yaml.safe_load(Path("compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"] == "medialink"]


def options(service: str) -> dict[str, str]:
    command = SERVICES[service]["command"]
    return {name: value for name, value in pairwise(command) if name.startswith("--")}


def neighbours() -> set[str]:
    """Name the addresses that the network of the CDN answers at."""
    assert SERVICES["messaging"]["network_mode"] == SERVICES["sandbox"]["network_mode"] == "service:cdn"
    ports = (
        SERVICES["cdn"]["environment"]["LISTEN"],
        SERVICES["messaging"]["environment"]["LISTEN_PORT"],
        options("sandbox")["--port"],
    )
    return {f"127.0.0.1:{port}" for port in ports}


@pytest.mark.parametrize("name", OURS)
def test_what_a_service_is_told_are_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = SERVICES[name].get("environment", {})
    assert {variable.lower() for variable in told} <= set(Settings.model_fields)
    for variable, value in told.items():
        monkeypatch.setenv(variable, value)
    assert Settings.read().store == told.get("STORE", "")


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_has_no_rights_and_a_read_only_root(name: str) -> None:
    service = SERVICES[name]
    assert (service["read_only"], service["tmpfs"], service["cap_drop"]) == (True, ["/tmp"], ["ALL"])  # noqa: S108
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_both_services_read_each_others_links() -> None:
    assert COMPOSE["x-store"].items() <= SERVICES["delivery"]["environment"].items()
    assert COMPOSE["x-store"].items() <= SERVICES["messaging"]["environment"].items()
    assert {"LINK_KEYS", "STORE"} < set(COMPOSE["x-store"])


def test_delivery_notes_fetches_where_messaging_looks_and_cannot_read_numbers_there() -> None:
    delivery, messaging = (SERVICES[name]["environment"] for name in ("delivery", "messaging"))
    assert delivery["RECORD_FETCHES"] == "true"
    assert delivery["LEDGER_URL"] == messaging["LEDGER_URL"]
    assert delivery["LEDGER_KEY"] != messaging["LEDGER_KEY"]
    for name in ("delivery", "messaging"):
        assert SERVICES[name]["depends_on"]["ledger"] == {"condition": "service_healthy"}


def test_messaging_and_its_sandbox_find_each_other_and_the_cdn() -> None:
    told = SERVICES["messaging"]["environment"]
    urls = (told["PUBLIC_URL"], told["PROVIDER_URL"], options("sandbox")["--webhook-url"])
    assert {urlsplit(url).netloc for url in urls} == neighbours()
    assert options("sandbox")["--webhook-secret"] == told["WEBHOOK_SECRET"]


def test_only_this_machine_reaches_what_is_published() -> None:
    (published,) = [service["ports"] for service in SERVICES.values() if "ports" in service]
    assert {port.rpartition(":")[0] for port in published} < neighbours()
    assert all(port.rpartition(":")[0].endswith(f":{port.rpartition(':')[2]}") for port in published)


def test_the_services_elsewhere_are_named_as_they_are() -> None:
    told = SERVICES["messaging"]["environment"]
    hosts = {urlsplit(told[name]).hostname for name in ("S3_ENDPOINT_URL", "LEDGER_URL")}
    hosts.add(SERVICES["cdn"]["environment"]["ORIGIN"].partition(":")[0])
    assert hosts <= set(SERVICES)
    for service in SERVICES.values():
        assert set(service.get("depends_on", ())) <= set(SERVICES)


def test_the_store_and_the_ledger_know_who_comes() -> None:
    told = SERVICES["messaging"]["environment"]
    (identity,) = json.loads(COMPOSE["configs"]["s3"]["content"])["identities"]
    keys = {"accessKey": told["S3_ACCESS_KEY_ID"], "secretKey": told["S3_SECRET_ACCESS_KEY"]}
    assert identity["credentials"] == [keys]
    ledger, given = urlsplit(told["LEDGER_URL"]), SERVICES["ledger"]["environment"]
    assert (ledger.username, ledger.password) == (given["POSTGRES_USER"], given["POSTGRES_PASSWORD"])


def test_the_cdn_is_told_all_that_its_configuration_leaves_open() -> None:
    wanted = {name for name in Template(TEMPLATE.read_text()).get_identifiers() if name.isupper()}
    assert wanted == set(SERVICES["cdn"]["environment"])
    assert any(volume.startswith(f"./{TEMPLATE}:") for volume in SERVICES["cdn"]["volumes"])


def test_the_readme_names_the_key_that_opens_it() -> None:
    shown = r"(?:Bearer|D360-API-KEY:) (\w+)"
    (key,) = set(re.findall(shown, Path("README.md").read_text().split("## In a container")[1]))
    assert SERVICES["messaging"]["environment"]["GATEWAY_KEYS"] == hashlib.sha256(key.encode()).hexdigest()
