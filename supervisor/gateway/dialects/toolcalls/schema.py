"""A JSON schema (json-schema.org, 2020-12 and the drafts before) as a grammar for what is valid against it. Pure.

Exact: type, enum, const, properties, required, additionalProperties, minProperties and maxProperties of maps, items,
prefixItems, minItems, maxItems, minLength, maxLength, minimum, maximum and their exclusive forms for integers, $ref
within the schema, anyOf, oneOf, allOf of objects; pattern where it is regular, format of date, time, date-time, uuid.

Looser, so that what is written may not be valid: not, if, dependentRequired, patternProperties, uniqueItems,
contains, multipleOf of large ranges, bounds of numbers that are exclusive or no integers, patterns that look around.

Required properties come first, then the others, each as in the schema; there is one space after , and :.
"""

from __future__ import annotations

import json
from typing import Any, Final

from aish.errors import InputError
from aish.supervisor.gateway.dialects.toolcalls import pattern
from aish.supervisor.gateway.dialects.toolcalls.gbnf import (
    STRING_CHAR,
    Grammar,
    either,
    integers,
    literal,
    numbers,
    repeated,
)

MAX_DEPTH: Final = 64
MOST_ENUMERATED: Final = 256
_TYPES: Final = ("string", "integer", "number", "boolean", "null", "object", "array")
_FORMATS: Final = {
    "date": '[0-9]{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | "1" [0-9] | "2" [0-8])',
    "time": '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] "Z"',
    "uuid": '[0-9a-f]{8} "-" [0-9a-f]{4} "-" [0-9a-f]{4} "-" [0-9a-f]{4} "-" [0-9a-f]{12}',
}
_FORMATS["date-time"] = f'{_FORMATS["date"]} "T" {_FORMATS["time"]}'


class Compiler:
    """Makes rules of one grammar for any number of schemas."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._value: str | None = None

    def compile(self, schema: Any) -> str:
        """A symbol for the values of `schema`, as decoded from JSON. Raises InputError."""
        return _Schema(self, self._grammar, schema).symbol(schema, 0)

    def value(self) -> str:
        """Any JSON value."""
        if self._value is None:
            self._value = name = self._grammar.reserve()
            string = f'"\\"" {STRING_CHAR}* "\\""'
            entry = f'{string} ": " {name}'
            choices = [
                string,
                numbers(None, None),
                '"true"',
                '"false"',
                '"null"',
                f'"[" ({name} (", " {name})*)? "]"',
                f'"{{" ({entry} (", " {entry})*)? "}}"',
            ]
            self._grammar.rule(" | ".join(choices), name)
        return self._value


class _Schema:
    """One document, in which $ref is looked up."""

    def __init__(self, compiler: Compiler, grammar: Grammar, root: Any) -> None:
        self._compiler, self._grammar, self._root = compiler, grammar, root
        self._refs: dict[str, str] = {}

    def symbol(self, schema: Any, depth: int) -> str:
        if depth > MAX_DEPTH:
            raise InputError("a schema of a tool is nested too deeply", field="tools")
        if schema is True or schema == {}:
            return self._compiler.value()
        if not isinstance(schema, dict):
            raise InputError(f"not a JSON schema: {str(schema)[:80]}", field="tools")
        if isinstance(schema.get("$ref"), str):
            return self._reference(schema["$ref"], depth)
        if "const" in schema:
            return literal(written(schema["const"]))
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return self._grammar.rule(either([literal(written(value)) for value in schema["enum"]]))
        for word in ("anyOf", "oneOf"):
            if isinstance(schema.get(word), list) and schema[word]:
                rest = {name: value for name, value in schema.items() if name != word}
                choices = [self.symbol(_merged([rest, choice]), depth + 1) for choice in schema[word]]
                return self._grammar.rule(either(choices))
        if isinstance(schema.get("allOf"), list) and schema["allOf"]:
            rest = {name: value for name, value in schema.items() if name != "allOf"}
            return self.symbol(_merged([rest, *(self._resolved(part) for part in schema["allOf"])]), depth + 1)
        types = _types(schema)
        return self._grammar.rule(either([self._typed(kind, schema, depth) for kind in types]))

    def _reference(self, ref: str, depth: int) -> str:
        known = self._refs.get(ref)
        if known is None:
            known = self._refs[ref] = self._grammar.reserve()
            self._grammar.rule(self.symbol(self._found(ref), depth + 1), known)
        return known

    def _resolved(self, schema: Any) -> Any:
        return self._found(schema["$ref"]) if isinstance(schema, dict) and "$ref" in schema else schema

    def _found(self, ref: str) -> Any:
        if not ref.startswith("#"):
            raise InputError(f"$ref {ref[:80]!r} leads out of the schema", field="tools")
        found = self._root
        for part in ref[1:].split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            else:
                raise InputError(f"$ref {ref[:80]!r} leads nowhere", field="tools")
        return found

    def _typed(self, kind: str, schema: dict[str, Any], depth: int) -> str:
        match kind:
            case "string":
                return _string(schema)
            case "integer":
                return _integer(schema)
            case "number":
                return numbers(
                    _bound(schema, "minimum", "exclusiveMinimum"), _bound(schema, "maximum", "exclusiveMaximum")
                )
            case "boolean":
                return '("true" | "false")'
            case "null":
                return '"null"'
            case "array":
                return self._array(schema, depth)
            case _:
                return self._object(schema, depth)

    def _array(self, schema: dict[str, Any], depth: int) -> str:
        first = [self.symbol(item, depth + 1) for item in _list(schema.get("prefixItems"))]
        more = schema.get("items", True)
        least, most = _count(schema, "minItems") or 0, _count(schema, "maxItems")
        if first:
            return '("[" ' + ' ", " '.join(first) + ' "]")'
        if most == 0 or more is False:
            return '"[]"'
        item = self.symbol(more, depth + 1)
        rest = repeated(f'(", " {item})', max(0, least - 1), None if most is None else most - 1)
        inner = f"{item} {rest}"
        return f'("[" {inner} "]")' if least else f'("[" ({inner})? "]")'

    def _object(self, schema: dict[str, Any], depth: int) -> str:
        properties = schema.get("properties")
        if not isinstance(properties, dict) or not properties:
            return self._map(schema, depth)
        required = {name for name in _list(schema.get("required")) if isinstance(name, str)}
        members = {
            name: f"{literal(written(name) + ': ')} {self.symbol(each, depth + 1)}"
            for name, each in properties.items()
        }
        fixed = [members[name] for name in properties if name in required]
        fixed += [
            f"{literal(written(name) + ': ')} {self._compiler.value()}" for name in sorted(required - set(properties))
        ]
        loose = [members[name] for name in properties if name not in required]
        if fixed:
            rest = "".join(f' (", " {member})?' for member in loose)
            return '("{" ' + ' ", " '.join(fixed) + rest + ' "}")'
        return '("{" ' + f"({self._some(loose)})?" + ' "}")'

    def _some(self, loose: list[str]) -> str:
        """At least one of them, in their order."""
        rests = ['""'] * len(loose)
        for place in range(len(loose) - 2, -1, -1):
            rest = f'(", " {loose[place + 1]})? {rests[place + 1]}'
            rests[place] = self._grammar.rule(rest)
        return either([f"{member} {rests[place]}" for place, member in enumerate(loose)])

    def _map(self, schema: dict[str, Any], depth: int) -> str:
        """Any names, with values of one kind."""
        more = schema.get("additionalProperties", True)
        if more is False:
            return '"{}"'
        entry = f'"\\"" {STRING_CHAR}{{1,64}} "\\": " {self.symbol(more, depth + 1)}'
        least, most = _count(schema, "minProperties") or 0, _count(schema, "maxProperties")
        if most == 0:
            return '"{}"'
        more_of_them = repeated(f'(", " {entry})', max(0, least - 1), None if most is None else most - 1)
        inner = f"{entry} {more_of_them}"
        return f'("{{" {inner} "}}")' if least else f'("{{" ({inner})? "}}")'


def written(value: Any) -> str:
    """JSON as these grammars write it."""
    return json.dumps(value, ensure_ascii=False)


def _types(schema: dict[str, Any]) -> list[str]:
    told = schema.get("type")
    kinds = [kind for kind in (told if isinstance(told, list) else [told]) if kind in _TYPES]
    if kinds:
        return kinds
    if "properties" in schema or "additionalProperties" in schema:
        return ["object"]
    if "items" in schema or "prefixItems" in schema:
        return ["array"]
    if {"pattern", "format", "minLength", "maxLength"} & schema.keys():
        return ["string"]
    if {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"} & schema.keys():
        return ["number"]
    return list(_TYPES)


def _string(schema: dict[str, Any]) -> str:
    form = schema.get("format")
    if isinstance(form, str) and form in _FORMATS:
        return f'("\\"" {_FORMATS[form]} "\\"")'
    if isinstance(schema.get("pattern"), str):
        inner = pattern.characters(schema["pattern"])
        if inner is not None:
            return f'("\\"" {inner} "\\"")'
    least, most = _count(schema, "minLength") or 0, _count(schema, "maxLength")
    return f'("\\"" {repeated(STRING_CHAR, least, most)} "\\"")'


def _integer(schema: dict[str, Any]) -> str:
    least, most = _bound(schema, "minimum", None), _bound(schema, "maximum", None)
    low = None if least is None else -int(-least // 1)
    high = None if most is None else int(most // 1)
    above, below = _bound(schema, "exclusiveMinimum", None), _bound(schema, "exclusiveMaximum", None)
    if above is not None:
        low = max(int(above // 1) + 1, low if low is not None else int(above // 1) + 1)
    if below is not None:
        high = min(-int(-below // 1) - 1, high if high is not None else -int(-below // 1) - 1)
    step = schema.get("multipleOf")
    if low is not None and high is not None and low > high:
        raise InputError(f"no integer is from {low} to {high}", field="tools")
    if isinstance(step, int) and step > 1 and low is not None and high is not None and high - low <= MOST_ENUMERATED:
        fitting = [literal(str(number)) for number in range(low, high + 1) if number % step == 0]
        return either(fitting) if fitting else integers(low, high)
    return integers(low, high)


def _bound(schema: dict[str, Any], name: str, exclusive: str | None) -> float | None:
    for word in (name, exclusive):
        value = schema.get(word) if word is not None else None
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15:
            return value
    return None


def _count(schema: dict[str, Any], name: str) -> int | None:
    value = schema.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _merged(parts: list[Any]) -> Any:
    """What is valid against all of them, as far as they are objects' descriptions; the later word counts."""
    found: dict[str, Any] = {}
    for part in parts:
        if part is True:
            continue
        if not isinstance(part, dict):
            raise InputError(f"not a JSON schema: {str(part)[:80]}", field="tools")
        for name, value in part.items():
            before = found.get(name)
            if name == "properties" and isinstance(before, dict) and isinstance(value, dict):
                found[name] = {**before, **value}
            elif name == "required" and isinstance(before, list) and isinstance(value, list):
                found[name] = [*before, *value]
            else:
                found[name] = value
    return found
