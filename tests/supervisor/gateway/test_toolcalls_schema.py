"""Whatever the grammar of a schema allows is valid against the schema."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aish.errors import InputError
from aish.supervisor.gateway.dialects.toolcalls import gbnf as making
from aish.supervisor.gateway.dialects.toolcalls import pattern
from aish.supervisor.gateway.dialects.toolcalls.schema import Compiler

from . import gbnf


def grammar(schema: Any) -> str:
    made = making.Grammar()
    return made.text(Compiler(made).compile(schema))


def check(schema: Any, times: int = 30, seed: int = 0) -> set[str]:
    """What was written, all of it valid."""
    rules = gbnf.rules(grammar(schema))
    written = {gbnf.sample(rules, random.Random(seed * 1000 + number)) for number in range(times)}
    for text in written:
        jsonschema.validate(json.loads(text), schema, format_checker=jsonschema.FormatChecker())
    return written


POINT = {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}, "required": ["x", "y"]}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        {"type": "string"},
        {"type": "string", "minLength": 2, "maxLength": 4},
        {"type": "string", "format": "date"},
        {"type": "string", "format": "uuid"},
        {"type": "integer", "minimum": 3, "maximum": 17, "multipleOf": 5},
        {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 3},
        {"type": "number", "minimum": 0, "maximum": 1},
        {"type": "number", "minimum": -5, "maximum": -2},
        {"type": "number", "minimum": 10},
        {"type": "boolean"},
        {"type": "null"},
        {"type": ["string", "null"]},
        {"enum": ["a", "b\"c", 5, None, {"x": [1]}]},
        {"const": "only ü"},
        {"type": "array"},
        {"type": "array", "items": False},
        {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3},
        {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
        {"type": "object"},
        {"type": "object", "additionalProperties": False},
        {"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 2},
        POINT,
        {**POINT, "required": ["y"], "additionalProperties": False},
        {**POINT, "required": []},
        {"properties": {"a": {}}, "required": ["a", "unsaid"]},
        {"anyOf": [{"type": "string"}, POINT]},
        {"type": "object", "oneOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}]},
        {"allOf": [POINT, {"properties": {"z": {"type": "null"}}, "required": ["z"]}]},
        {"$defs": {"p": POINT}, "type": "array", "items": {"$ref": "#/$defs/p"}},
        {
            "$defs": {
                "tree": {
                    "type": "object",
                    "properties": {
                        "v": {"type": "integer"},
                        "kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
                    },
                    "required": ["v"],
                    "additionalProperties": False,
                }
            },
            "$ref": "#/$defs/tree",
        },
        {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"},
        {"type": "string", "pattern": "^(foo|ba[rz])+$"},
        {"type": "string", "pattern": "\\d{4}"},
        {"type": "string", "pattern": "^\\S+@\\S+$"},
        {"type": "string", "pattern": '^"[^"]*"$'},
    ],
)  # fmt: skip
def test_all_that_is_written_is_valid(schema: Any) -> None:
    check(schema, 60)


@given(st.integers(-12000, 12000), st.integers(0, 12000))
@settings(deadline=None, max_examples=150)
def test_integers_between_bounds(least: int, span: int) -> None:
    """Exact: every number of the range can be written, and no other."""
    said = making.integers(least, least + span)
    matcher = re.compile(as_regex(said))
    for number in {least, least + span, least + span // 2, least + span // 3, 0, 9, 10, 99, -1, -10}:
        inside = least <= number <= least + span
        assert bool(matcher.fullmatch(str(number))) == inside, (said, number)
    assert not matcher.fullmatch(str(least - 1))
    assert not matcher.fullmatch(str(least + span + 1))


@pytest.mark.parametrize(("least", "most", "yes", "no"), [
    (5, None, [5, 6, 10, 99, 12345], [4, 0, -5, -50]),
    (None, 5, [5, 0, -3, -1000], [6, 10, 55]),
    (None, -5, [-5, -6, -100], [-4, 0, 5]),
    (-5, None, [-5, 0, 7, 1000], [-6, -10]),
])  # fmt: skip
def test_integers_with_one_bound(least: int | None, most: int | None, yes: list[int], no: list[int]) -> None:
    matcher = re.compile(as_regex(making.integers(least, most)))
    assert [number for number in yes if not matcher.fullmatch(str(number))] == []
    assert [number for number in no if matcher.fullmatch(str(number))] == []


def as_regex(said: str) -> str:
    return re.sub(r'"((?:[^"\\]|\\.)*)"', lambda match: re.escape(match[1]), said).replace(" ", "")


NAMES = st.text(max_size=4)


def bounded(kind: str, least: str, most: str, lowest: int, span: int) -> st.SearchStrategy[Any]:
    def schema(low: int, more: int) -> Any:
        return {"type": kind, least: low, most: low + more}

    return st.builds(schema, st.integers(lowest, 99 if lowest < 0 else 3), st.integers(0, span))


def listed(item: Any, least: int, more: int) -> Any:
    return {"type": "array", "items": item, "minItems": least, "maxItems": least + more}


def described(properties: dict[str, Any], required: set[str], closed: bool) -> Any:
    must = [name for name in properties if name in required]
    more = {"additionalProperties": False} if closed else {}
    return {"type": "object", "properties": properties, "required": must, **more}


SCHEMAS: st.SearchStrategy[Any] = st.deferred(
    lambda: st.one_of(
        st.sampled_from([{"type": "string"}, {"type": "boolean"}, {"type": "null"}, {}]),
        bounded("integer", "minimum", "maximum", -99, 200),
        bounded("number", "minimum", "maximum", -9, 20),
        bounded("string", "minLength", "maxLength", 0, 3),
        st.lists(st.integers() | st.text(max_size=4) | st.none(), min_size=1, max_size=3).map(lambda v: {"enum": v}),
        st.builds(listed, SCHEMAS, st.integers(0, 2), st.integers(0, 2)),
        st.builds(described, st.dictionaries(NAMES, SCHEMAS, max_size=4), st.sets(NAMES, max_size=3), st.booleans()),
        st.lists(SCHEMAS, min_size=1, max_size=3).map(lambda v: {"anyOf": v}),
    )
)


@given(SCHEMAS, st.integers(0, 10**6))
@settings(deadline=None, max_examples=300)
def test_any_nesting(schema: Any, seed: int) -> None:
    check(schema, 3, seed)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://elsewhere/x"},
        {"$ref": "#/$defs/nowhere"},
        {"type": "array", "minItems": 100000},
        {"type": "integer", "minimum": 5, "maximum": 3},
        {"type": "object", "properties": {"a": 5}},
        {"enum": ["x" * 300_000]},
        {"type": "object", "properties": {str(n): {"type": "array", "items": {"enum": [n]}} for n in range(3000)}},
    ],
)
def test_what_cannot_be_forced_is_refused(schema: Any) -> None:
    with pytest.raises(InputError):
        grammar(schema)


def test_a_schema_that_is_nested_without_end() -> None:
    schema: Any = {"type": "string"}
    for _ in range(200):
        schema = {"type": "array", "items": schema}
    with pytest.raises(InputError, match="nested too deeply"):
        grammar(schema)


@pytest.mark.parametrize("said", ["(?=x)y", r"(a)\1", "[", "a{1000}", "x" * 2000, r"\bfoo"])
def test_a_pattern_that_is_not_regular_allows_any_string(said: str) -> None:
    assert pattern.characters(said) is None


@example("^.1*0.")  # a dot was a line end, too
@given(st.from_regex(r"^\^?[a-c\[\]().*+?{}|\\dws0-9^$-]{0,12}\$?\Z"))
@settings(deadline=None, max_examples=300)
def test_any_pattern_is_kept_or_given_up(said: str) -> None:
    inner = pattern.characters(said)
    if inner is None:
        return
    rules = gbnf.rules(f'root ::= "\\"" {inner} "\\""')
    for seed in range(3):
        value = json.loads(gbnf.sample(rules, random.Random(seed)))
        assert re.search(said, value), (said, value)
