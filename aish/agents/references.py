"""References of a JSON schema, each replaced by what it names: not all who work by a schema look them up. Pure."""

from __future__ import annotations

import copy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

MOST: Final = 20_000
"""Parts of a schema without references: a few of them can name each other into millions."""
NAMED: Final = ("properties", "patternProperties", "dependentSchemas")
"""Of these the keys are names, no keywords."""
SHELVES: Final = ("$defs", "definitions")
VALUES: Final = ("const", "enum", "default", "example", "examples")
NOTES: Final = ("title", "description", "default", "deprecated", "examples", "$comment")


class ReferencesError(ValueError):
    pass


def without(schema: dict[str, Any]) -> dict[str, Any]:
    """Raises ReferencesError where one leads nowhere, out of the schema, or back into itself."""
    if not _any(schema):
        return schema
    found: dict[str, Any] = _Following(schema).part(
        {key: value for key, value in schema.items() if key not in SHELVES}, "$", ()
    )
    return found


def _any(value: object) -> bool:
    match value:
        case dict():
            return isinstance(value.get("$ref"), str) or any(map(_any, value.values()))
        case list():
            return any(map(_any, value))
        case _:
            return False


class _Following:
    def __init__(self, whole: dict[str, Any]) -> None:
        self._whole = whole
        self._parts = 0

    def part(self, value: Any, path: str, within: tuple[str, ...]) -> Any:
        """`within`: the references that have led here."""
        self._parts += 1
        if self._parts > MOST:
            raise ReferencesError(f"{path}: its references make more than {MOST:,} parts of it")
        match value:
            case {"$ref": str() as ref}:
                return self._named(ref, {key: value[key] for key in value if key != "$ref"}, path, within)
            case dict():
                return {key: self._below(key, each, f"{path}.{key}", within) for key, each in value.items()}
            case list():
                return [self.part(each, f"{path}[{at}]", within) for at, each in enumerate(value)]
            case _:
                return value

    def _below(self, key: str, value: Any, path: str, within: tuple[str, ...]) -> Any:
        if key in VALUES:
            return copy.deepcopy(value)
        if key in NAMED and isinstance(value, dict):
            return {name: self.part(each, f"{path}.{name}", within) for name, each in value.items()}
        return self.part(value, path, within)

    def _named(self, ref: str, others: dict[str, Any], path: str, within: tuple[str, ...]) -> Any:
        if ref in within or ref == "#":
            raise ReferencesError(f"{path}: $ref {ref[:80]!r} leads back into itself: say how deep it may be")
        found = self.part(self._found(ref, path), path, (*within, ref))
        beside = self.part(others, path, within)
        if not isinstance(found, dict) or set(found) & set(beside) - set(NOTES):
            return {**beside, "allOf": [found, *beside.get("allOf", ())]}
        return {**found, **beside}

    def _found(self, ref: str, path: str) -> Any:
        if not ref.startswith("#/"):
            raise ReferencesError(f"{path}: $ref {ref[:80]!r} leads out of the schema")
        found: Any = self._whole
        for step in ref[2:].split("/"):
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and key.isdecimal() and len(key) < 9 and int(key) < len(found):
                found = found[int(key)]
            elif isinstance(found, dict) and key in found:
                found = found[key]
            else:
                raise ReferencesError(f"{path}: $ref {ref[:80]!r} leads nowhere")
        return found
