"""What benches use of aish is there: nothing else runs them. A name that had gone broke `./dev soak` at its end."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(path for path in (ROOT / "benches").rglob("*.py") if "aish" in path.read_text())


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_names_of_aish_are_there(file: Path) -> None:
    tree = ast.parse(file.read_text())
    modules: dict[str, ModuleType] = {}
    lacking: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "aish":
            found = {each.name: importing(node.module or "", each.name) for each in node.names}
            lacking += [f"{node.module}.{name}" for name, item in found.items() if item is None]
            kept = {each.asname or each.name: found[each.name] for each in node.names}
            modules |= {name: item for name, item in kept.items() if isinstance(item, ModuleType)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            module = modules[node.value.id]
            lacking += [] if hasattr(module, node.attr) else [f"{module.__name__}.{node.attr}"]
    assert not lacking


def importing(module: str, name: str) -> object | None:
    """A name of a module, or a module in it; None: there is neither."""
    found: object | None = getattr(importlib.import_module(module), name, None)
    if found is not None:
        return found
    try:
        return importlib.import_module(f"{module}.{name}")
    except ModuleNotFoundError:
        return None
