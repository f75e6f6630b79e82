"""Gemini's schemas, a subset of OpenAPI's with types in capitals, as JSON Schema. Pure."""

from __future__ import annotations

from typing import Final

from aish.errors import InputError

_MOST_DEPTH: Final = 64
_LEFT_OUT: Final = ("nullable", "propertyOrdering", "property_ordering", "example")
_SNAKE: Final = {
    "any_of": "anyOf",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
}
_NUMBERS: Final = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
"""These come as text, as protobuf's JSON has 64 bits."""


def converted(schema: object, depth: int = 0) -> object:
    """Raises InputError where it is too deep."""
    if depth > _MOST_DEPTH:
        raise InputError(f"a schema of more than {_MOST_DEPTH} levels")
    if isinstance(schema, list):
        return [converted(each, depth + 1) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found: dict[str, object] = {}
    for key, value in schema.items():
        name = str(_SNAKE.get(key, key))
        if name in _LEFT_OUT:
            continue
        match name, value:
            case "type", str():
                found[name] = value.lower()
            case (("properties" | "defs" | "$defs"), dict()):
                found[name] = {each: converted(inner, depth + 1) for each, inner in value.items()}
            case (("items" | "anyOf" | "additionalProperties"), _):
                found[name] = converted(value, depth + 1)
            case _, str() if name in _NUMBERS and value.isdecimal() and len(value) < 10:
                found[name] = int(value)
            case _:
                found[name] = value
    if schema.get("nullable") is True and isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    return found
