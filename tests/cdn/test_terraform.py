"""terraform/ knows every setting of ours: what it decides, what is secret, and what an operator may choose."""

import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import SecretStr

from proxy.settings import Settings

FOLDER = Path("terraform")
LISTS = {
    name: re.findall(r'"([A-Z0-9_]+)"', listed)
    for name, listed in re.findall(
        r"^  (settings_\w+) = \[(.*?)\]", (FOLDER / "settings.tf").read_text(), re.MULTILINE | re.DOTALL
    )
}
SETTINGS = {name.upper(): field for name, field in Settings.model_fields.items()}


def told_in(text: str) -> set[str]:
    """Read the names of variables that are given a value."""
    return set(re.findall(r"\b([A-Z][A-Z0-9_]+)\s+= ", text))


def test_every_setting_stands_in_one_list_and_nothing_else_does() -> None:
    listed = [name for lists, names in LISTS.items() if lists != "settings_of_traces" for name in names]
    assert sorted(listed) == sorted(SETTINGS)
    assert len(listed) > len(LISTS)


def test_a_secret_stands_among_the_secrets() -> None:
    secrets = {name for name, field in SETTINGS.items() if SecretStr in get_args(field.annotation)}
    assert set(LISTS["settings_that_are_secret"]) - secrets == {"LEDGER_URL", "S3_ACCESS_KEY_ID"}
    assert secrets <= set(LISTS["settings_that_are_secret"])


@pytest.mark.parametrize("file", ["service.tf", "delivery.tf", "messaging.tf"])
def test_what_the_module_tells_the_services_are_settings(file: str) -> None:
    told = told_in((FOLDER / file).read_text())
    assert told
    assert told <= set(LISTS["settings_of_the_module"]) | {"LEDGER_URL"}


def test_what_an_operator_is_told_for_a_takedown_are_settings() -> None:
    told = told_in((FOLDER / "outputs.tf").read_text().split('output "takedown"')[1].split('output "')[0])
    assert {"STORE", "PUBLIC_URL", "CLOUDFRONT_DISTRIBUTION_ID"} < told
    assert told < set(SETTINGS)
