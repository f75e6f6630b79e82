"""docs/reference/events.md lists every kind of event, and no other; so does aish.model.event."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from aish.model.event import KINDS
from aish.model.state import ENDED

ROOT = Path(__file__).parents[2]


def told(tree: ast.AST) -> set[str]:
    """The words with which the recorder is called. A call with something else than a word is that of `_settle`."""
    kinds: set[str] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        place = {"event": 0, "promise": 1, "_make": 0}.get(node.func.attr)
        if place is not None and len(node.args) > place:
            word = node.args[place]
            if isinstance(word, ast.Constant) and isinstance(word.value, str):
                kinds.add(word.value)
    return kinds


def test_the_page_the_list_and_the_code_agree() -> None:
    code: set[str] = set(ENDED)
    for path in (ROOT / "supervisor" / "daemon").rglob("*.py"):
        code |= told(ast.parse(path.read_text()))
    section = (ROOT / "docs" / "reference" / "events.md").read_text().split("## Kinds")[1]
    page = re.findall(r"^\| ([a-z-]+) \|", section, re.M)[1:]
    assert sorted(code) == sorted(KINDS), "a kind without its word in aish.model.event, or the other way round"
    assert sorted(page) == sorted(KINDS)
