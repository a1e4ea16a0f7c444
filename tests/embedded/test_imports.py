"""The package stands by itself: it could become a distribution by moving one folder."""

import ast
from pathlib import Path

import pytest

import rdr_qdrant.embedded

FOLDER = Path(rdr_qdrant.embedded.__file__).parent
MODULES = sorted(FOLDER.rglob("*.py"))
DEPENDENCIES = {"numpy", "portalocker", "pydantic", "pydantic_core", "qdrant_client", "qdrant_edge"}


def _imported_names(module: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return names


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(FOLDER)))
def test_it_imports_nothing_else_of_the_project(module: Path) -> None:
    for name in _imported_names(module):
        assert not name.startswith("."), f"relative import {name}"
        if name.split(".")[0] == "rdr_qdrant":
            assert name == "rdr_qdrant.embedded" or name.startswith("rdr_qdrant.embedded.")


def test_it_imports_no_other_library_than_its_dependencies() -> None:
    import sys

    used = {name.split(".")[0] for module in MODULES for name in _imported_names(module)}
    assert used - sys.stdlib_module_names - {"rdr_qdrant"} <= DEPENDENCIES


def test_it_uses_no_name_of_the_project_in_messages() -> None:
    for module in MODULES:
        text = module.read_text().replace("rdr_qdrant.embedded", "")
        assert "rdr_qdrant" not in text
        assert "rdr-qdrant" not in text
