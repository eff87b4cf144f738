"""What docs/security.md says is so: each threat has its proof, each proof exists, and each lock has its hashes."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

DOCUMENT = Path("docs/security.md").read_text()
THREATS = dict(re.findall(r"^### (.+?)\n(.*?)(?=^##|\Z)", DOCUMENT, re.MULTILINE | re.DOTALL))
PROOFS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", DOCUMENT)))
LOCKS = sorted(path for folder in ("requirements", "docker") for path in Path(folder).glob("*.txt"))


@cache
def defined_in(file: str) -> frozenset[str]:
    tree = ast.parse(Path(file).read_text())
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )


@pytest.mark.parametrize(("file", "name"), PROOFS, ids=lambda part: part.rsplit("/", 1)[-1])
def test_every_test_that_is_named_exists(file: str, name: str) -> None:
    assert name in defined_in(file)


@pytest.mark.parametrize("threat", THREATS)
def test_every_threat_has_its_proof(threat: str) -> None:
    told, *proofs = re.split(r"^- ", THREATS[threat], flags=re.MULTILINE)
    assert len(told.split()) > 10
    assert proofs
    for proof in proofs:
        assert re.fullmatch(r"`tests/[\w/]+\.py::test_\w+`\n+", proof), proof


def test_there_are_threats() -> None:
    assert len(THREATS) > 15
    assert {heading.strip() for heading in re.findall(r"^### (.+)$", DOCUMENT, re.MULTILINE)} == set(THREATS)


@pytest.mark.parametrize("lock", LOCKS, ids=str)
def test_every_lock_is_hashed(lock: Path) -> None:
    entries = re.split(r"\n(?=\S)", lock.read_text().strip())
    assert entries
    for entry in entries:
        assert re.match(r"[\w.\[\],-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry
