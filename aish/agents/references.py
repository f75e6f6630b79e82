"""References of a JSON schema, each replaced by what it names: not all who work by a schema look them up. Pure."""

from __future__ import annotations

import copy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

MOST: Final = 20_000
"""Parts of a schema without references: a few of them can name each other into millions."""
NAMED: Final = ("properties", "patternProperties", "dependentSchemas", "dependencies")
"""Of these the keys are names, no keywords."""
SHELVES: Final = ("$defs", "definitions")
"""What is not named from elsewhere is of no use there."""
VALUES: Final = ("const", "enum", "default", "example", "examples")
NOTES: Final = ("title", "description", "default", "deprecated", "examples", "$comment")


class ReferencesError(ValueError):
    pass


def without(schema: dict[str, Any]) -> dict[str, Any]:
    """Raises ReferencesError where one leads nowhere, out of the schema, or back into itself."""
    if not _any(schema):
        return schema
    found: dict[str, Any] = _Following(schema).part(schema, "$", ())
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
                return {
                    key: self._below(key, each, f"{path}.{key}", within)
                    for key, each in value.items()
                    if key not in SHELVES
                }
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
        target = self._found(ref, path)
        if ref in within or target is self._whole:
            raise ReferencesError(f"{path}: $ref {ref[:80]!r} leads back into itself: say how deep it may be")
        found = self.part(target, path, (*within, ref))
        beside = self.part(others, path, within)
        if not isinstance(found, dict) or any(found[key] != beside[key] for key in _both(found, beside)):
            return {**beside, "allOf": [found, *beside.get("allOf", ())]}
        return {**found, **beside}

    def _found(self, ref: str, path: str) -> Any:
        """By a path from the whole, or a part with an id of its own, or by an anchor."""
        base, _, fragment = ref.partition("#")
        start: Any = self._whole
        if base:
            start = next((part for part in _schemas(start) if part.get("$id") in (base, f"{base}#")), None)
        if start is None:
            raise ReferencesError(f"{path}: $ref {ref[:80]!r} leads out of the schema")
        if not fragment:
            return start
        fragment = _decoded(fragment)
        found = _at(start, fragment[1:]) if fragment.startswith("/") else _anchored(start, fragment)
        if found is _NOTHING:
            raise ReferencesError(f"{path}: $ref {ref[:80]!r} leads nowhere")
        return found


_NOTHING: Final = object()


def _both(found: dict[str, Any], beside: dict[str, Any]) -> set[str]:
    return set(found) & set(beside) - set(NOTES)


def _decoded(fragment: str) -> str:
    if "%" not in fragment:
        return fragment
    from urllib.parse import unquote

    return unquote(fragment)


def _at(start: Any, pointer: str) -> Any:
    """RFC 6901."""
    found = start
    for step in pointer.split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and key.isdecimal() and len(key) < 9 and int(key) < len(found):
            found = found[int(key)]
        elif isinstance(found, dict) and key in found:
            found = found[key]
        else:
            return _NOTHING
    return found


def _anchored(start: Any, name: str) -> Any:
    """What is called so there; before 2019 by an `$id` that is a fragment."""
    for part in _schemas(start):
        if part.get("$anchor") == name or part.get("$id") == f"#{name}":
            return part
    return _NOTHING


def _schemas(value: Any, *, named: bool = False) -> Iterator[dict[str, Any]]:
    """All dicts that may be schemas, `value` itself first. `named`: its keys are no keywords."""
    if isinstance(value, list):
        for each in value:
            yield from _schemas(each)
    elif isinstance(value, dict):
        if not named:
            yield value
        for key, each in value.items():
            if named or key not in VALUES:
                yield from _schemas(each, named=not named and key in (*NAMED, *SHELVES))
