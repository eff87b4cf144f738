import ast
from pathlib import Path

import proxy.sandbox

ROOM = Path(proxy.sandbox.__file__).parent


def imported(source: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return names


def strangers(source: str) -> set[str]:
    """Our other rooms; a relative import counts, because it may climb."""
    return {
        name
        for name in imported(source)
        if name.startswith(".") or (name.split(".")[0] == "proxy" and not name.startswith("proxy.sandbox."))
    }


def test_the_sandbox_imports_no_other_room() -> None:
    modules = sorted(ROOM.rglob("*.py"))
    assert len(modules) > 5
    assert {module.name: strangers(module.read_text()) for module in modules} == {
        module.name: set() for module in modules
    }


def test_an_import_of_another_room_would_be_seen() -> None:
    planted = (
        "import proxy.media.kinds\nfrom proxy import errors\nfrom ..media import kinds\nfrom proxy.sandbox.app import x"
    )
    assert strangers(planted) == {"proxy.media.kinds", "proxy.errors", "..media.kinds"}


def test_modules_of_the_sandbox_stay_short() -> None:
    assert [module.name for module in ROOM.rglob("*.py") if len(module.read_text().splitlines()) >= 200] == []
