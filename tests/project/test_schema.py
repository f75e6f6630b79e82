"""One table of keys: what editors and readers are told is what is checked."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.project import schema
from aish.project.compound import Either, Key, ListOf, MapOf, Table
from aish.project.json_schema import schema as json_schema
from aish.project.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]


def keys(value: Value, at: str = "") -> Iterator[tuple[str, Key]]:
    match value:
        case Table():
            for name, key in value.keys.items():
                yield f"{at}.{name}", key
                yield from keys(key.value, f"{at}.{name}")
        case Either():
            yield from keys(value.long, at)
        case ListOf() | MapOf():
            yield from keys(value.item, at)


def test_the_page_is_made_of_it() -> None:
    done = subprocess.run([sys.executable, ROOT / "docs" / "make_aish_toml.py", "--check"], check=False)
    assert done.returncode == 0, "run: .venv/bin/python docs/make_aish_toml.py"


def test_every_key_says_what_it_is_for() -> None:
    for at, key in keys(schema.FILE):
        assert re.match(r"[A-Z\[a-z0-9-].*[.)]$", key.doc), at
        assert key.value.kind, at
        assert "|" not in key.doc, at


class Misfit(Exception):  # noqa: N818  it is the verdict of a check, not a fault
    pass


def fit(value: Any, rule: dict[str, Any], root: dict[str, Any]) -> None:  # noqa: C901  a case a keyword
    """As much of JSON Schema 2020-12 as ours uses; what it does not know is a fault of the test."""
    known = {"$schema", "$defs", "title", "description"}
    for word, what in rule.items():
        match word:
            case "$ref":
                fit(value, root["$defs"][what.rpartition("/")[2]], root)
            case "type":
                types = {
                    "object": dict,
                    "array": list,
                    "string": str,
                    "integer": int,
                    "number": (int, float),
                    "boolean": bool,
                }
                good = isinstance(value, types[what]) and (what == "boolean" or not isinstance(value, bool))
                _must(good, f"{value!r} is no {what}")
            case "properties":
                for key, each in what.items():
                    if isinstance(value, dict) and key in value:
                        fit(value[key], each, root)
            case "additionalProperties":
                rest = set(value) - set(rule.get("properties", {})) if isinstance(value, dict) else set()
                if what is False:
                    _must(not rest, f"unknown: {rest}")
                else:
                    for key in rest:
                        fit(value[key], what, root)
            case "propertyNames":
                for key in value:
                    fit(key, what, root)
            case "items":
                for each in value if isinstance(value, list) else ():
                    fit(each, what, root)
            case "required":
                _must(not isinstance(value, dict) or set(what) <= set(value), f"{what} is required")
            case "anyOf" | "oneOf" | "allOf":
                fits = sum(_fits(value, each, root) for each in what)
                _must({"anyOf": fits > 0, "oneOf": fits == 1, "allOf": fits == len(what)}[word], f"{word}: {value!r}")
            case "not":
                _must(not _fits(value, what, root), f"not: {what}")
            case "enum":
                _must(value in what, f"{value!r} is none of {what}")
            case "pattern":
                _must(not isinstance(value, str) or re.search(what, value) is not None, f"{value!r}: {what}")
            case "minLength" | "minItems":
                _must(len(value) >= what, f"{value!r} is too short")
            case "maxItems" | "maxProperties":
                _must(len(value) <= what, f"{value!r} is too long")
            case "minimum":
                _must(value >= what, f"{value} < {what}")
            case "maximum":
                _must(value <= what, f"{value} > {what}")
            case "exclusiveMinimum":
                _must(value > what, f"{value} <= {what}")
            case _:
                assert word in known, word


def _must(good: bool, why: str) -> None:
    if not good:
        raise Misfit(why)


def _fits(value: Any, rule: dict[str, Any], root: dict[str, Any]) -> bool:
    try:
        fit(value, rule, root)
    except Misfit:
        return False
    return True


GOOD = [
    (ROOT / "examples" / "project" / "aish.toml").read_text(),
    '[agents.a]\ninstructions = "x"\ntools = []\nlimits = { children = 2, day = { usd = 1 } }\n',
    '[models.m]\nvram = "8G"\n[agents.a]\nagent = "x"\nwords = "be short"\n',
    '[services.a]\ncommand = "x"\nlimits = { memory = "${MEM:-8G}", cpus = 1.5 }\nlog = { size = "none" }\n',
    '[services."a/b"]\nshell = "x"\nready = { tcp = "127.0.0.1:{port}" }\nenv_file = ["a"]\nstop.signal = "INT"\n',
]
BAD = [
    "[services.a]\n",
    '[services.a]\ncommand = "x"\nshell = "y"\n',
    '[services.a]\ncommand = "x"\nnice = 99\n',
    '[services.a]\ncommand = "x"\nlimits.memory = "lots"\n',
    '[services.a]\ncommand = "x"\nrestart = "sometimes"\n',
    '[services.a]\ncommand = "x"\nready = { every = "1s" }\n',
    '[services.a]\ncommand = "x"\nready = { http = "http://x", tcp = "a:1" }\n',
    '[services.a]\ncommand = "x"\nready = { every = "1 sec", notify = true }\n',
    '[services.a]\ncommand = "x"\nenv = { "a b" = "x" }\n',
    '[services.a]\ncommand = "x"\nneeds = [{ until = "ready" }]\n',
    '[schedules.a]\ncommand = "x"\n',
    '[services."a b"]\ncommand = "x"\n',
    "[servics.a]\n",
]


@pytest.mark.parametrize("text", GOOD)
def test_what_is_right_is_right_for_editors_too(told: Callable[..., Any], text: str) -> None:
    assert told(text, MEM="8G").problems == []
    fit(tomllib.loads(text), json_schema(), json_schema())


@pytest.mark.parametrize("text", BAD)
def test_what_is_wrong_is_wrong_for_editors_too(told: Callable[..., Any], text: str) -> None:
    assert told(text).problems != []
    with pytest.raises(Misfit):
        fit(tomllib.loads(text), json_schema(), json_schema())
