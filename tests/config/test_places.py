"""The line of every key: held to tomllib over written and generated documents."""

from __future__ import annotations

import json
import time
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.config.places import DEPTH_MAX, scan
from aish.errors import SourceError

DOCUMENT = r"""
# a comment with [brackets] and "quotes"
name = "demo" # behind it
include = [
  "one.toml", # in = the # list
  'two.toml',
]
"quoted key".'literal.key' = QQQ
several = "lines" \\
[not.a.table] ""\"
QQQ
date = 1979-05-27 07:32:00Z
inline = { a = 1, b.c = "x}", d = [{ e = 1 }, { f = "]" }] }

[env]
A = 'it"s'
B = '''a
b = 1 '' x'''

[services.api]
command = "x"
ready.http = "http://x"
limits = {memory = "1G"}
[services.api.stop]
grace = "3s"

[[list]]
x = 1
[[list]]
x = 2
[list.sub]
y = 3
[[list.deep]]
z = 4
[[list.deep]]
z = 5
""".replace("QQQ", '"' * 3)


def paths(value: Any, at: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    found = {at} if at else set()
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found |= paths(item, (*at, key))
    return found


def test_every_key_of_a_document_and_no_other() -> None:
    found = scan(DOCUMENT, "aish.toml")
    assert set(found) == paths(tomllib.loads(DOCUMENT))
    lines = DOCUMENT.splitlines()
    for path, start in {
        ("name",): "name",
        ("include", 1): "  'two",
        ("quoted key", "literal.key"): '"quoted',
        ("inline", "d", 1, "f"): "inline",
        ("services", "api", "ready", "http"): "ready",
        ("services", "api", "limits", "memory"): "limits",
        ("services", "api", "stop", "grace"): "grace",
        ("env", "B"): "B = ",
        ("list", 1, "x"): "x = 2",
        ("list", 1, "sub", "y"): "y = 3",
        ("list", 1, "deep", 1, "z"): "z = 5",
    }.items():
        assert lines[found[path] - 1].startswith(start), path


KEYS = st.text(st.sampled_from("ab-_é. \"'\\#=[]{}\n\t$"), min_size=1, max_size=5)
SCALARS = st.one_of(
    st.integers(-9, 9), st.booleans(), st.text(st.sampled_from("ab#=[]{},.\"'\\\n \té"), max_size=8), st.floats(0, 1)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)


def written(value: Any, draw: Any) -> str:
    """A value as TOML, in one of the ways there are."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            way = draw(st.integers(0, 3))
            if way == 1 and "'" not in value and "\n" not in value:
                return f"'{value}'"
            if way == 2 and "'" not in value:
                return f"'''\n{value}'''"
            text = json.dumps(value, ensure_ascii=False)
            return '"""' + text[1:-1].replace("\\n", "\n") + '"""' if way == 3 else text
        case list():
            gap = draw(st.sampled_from(["", "\n", " # x = [\n"]))
            return "[" + gap + ("," + gap).join(written(item, draw) for item in value) + gap + "]"
        case dict():
            return (
                "{ " + ", ".join(f"{json.dumps(key)} = {written(item, draw)}" for key, item in value.items()) + " }"
            )
        case _:
            return str(value)


def document(table: dict[str, Any], draw: Any) -> str:
    """Tables as headers or inline, lists of tables as [[…]], or not."""
    lines: list[str] = []
    later: list[tuple[str, Any]] = []
    for key, value in table.items():
        if isinstance(value, dict) and draw(st.booleans()):
            later.append((f"[{json.dumps(key)}]", value))
        elif (
            isinstance(value, list)
            and value
            and all(isinstance(item, dict) for item in value)
            and draw(st.booleans())
        ):
            later += [(f"[[ {json.dumps(key)} ]]", item) for item in value]
        else:
            lines.append(f"{json.dumps(key)} = {written(value, draw)}" + draw(st.sampled_from(["", " # c"])))
    for title, value in later:
        lines += ["", title + draw(st.sampled_from(["", " # c"]))]
        lines += [f"{json.dumps(key)} = {written(item, draw)}" for key, item in value.items()]
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines) if draw(st.booleans()) else "\n".join(lines) + "\n"


@settings(max_examples=100, deadline=None)
@given(st.data(), st.dictionaries(KEYS, VALUES, max_size=5))
def test_generated_documents(data: st.DataObject, table: dict[str, Any]) -> None:
    text = document(table, data.draw)
    try:
        loaded = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # \\r\\n within a text of several lines is another text; a key of ours may be none
    try:
        found = scan(text, "aish.toml")
    except SourceError:
        assert any(len(path) > DEPTH_MAX for path in paths(loaded))
        return
    assert set(found) == paths(loaded)
    lines = text.count("\n") + 1
    assert all(1 <= line <= lines for line in found.values())


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab=.[]{}\"'#,\n\\ 1"), max_size=60))
def test_what_is_no_toml_is_left_to_tomllib(text: str) -> None:
    scan(text, "aish.toml")


@pytest.mark.parametrize(
    "text",
    ["a" + ".a" * 200_000 + " = 1", "a = " + "[" * 200_000, "a = " + "{a=" * 100_000, "[" + "a." * 200_000 + "a]"],
    ids=["dotted", "lists", "tables", "header"],
)
def test_what_is_nested_without_end_is_refused_at_once(text: str) -> None:
    """tomllib takes minutes over the first, and the stack for the others."""
    began_s = time.monotonic()
    with pytest.raises(SourceError, match="nested deeper"):
        scan(text, "aish.toml")
    assert time.monotonic() - began_s < 5
