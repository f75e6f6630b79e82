"""JSON Schemas of arguments and results, and what is wrong with arguments, told so that a model can mend it. Pure.

Schemas have no references and no null: not every client follows the one, and models fill the other in.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from aish.errors import UsageError
from aish.model.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T", bound=msgspec.Struct)
_NULL: Final = {"type": "null"}
_UNKNOWN: Final = re.compile(r"unknown field `([^`]*)`")
_PLACE: Final = re.compile(r"at `\$\.?([^.`\[]*)")


def of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema of an object."""
    (whole,), parts = msgspec.json.schema_components([kind], ref_template="{name}")
    found: dict[str, Any] = _flat(whole, parts)
    found.pop("title", None)
    return found


def _flat(part: Any, parts: Mapping[str, Any]) -> Any:
    if isinstance(part, list):
        return [_flat(each, parts) for each in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        inner = _flat(parts[part["$ref"]], parts)
        return {key: value for key, value in inner.items() if key not in ("title", "description")}
    found = {key: _flat(value, parts) for key, value in part.items() if (key, value) != ("default", None)}
    if all(isinstance(each, str) for each in found.get("enum", [0])):
        found = {"type": "string"} | found
    kinds = [each for each in found.get("anyOf", ()) if each != _NULL]
    if len(kinds) == 1:
        del found["anyOf"]
        found = kinds[0] | found
    return found


def convert(kind: type[T], given: Mapping[str, Any] | None) -> T:
    """A null is as if it were not given. Raises UsageError: what is wrong, where, and what is meant there."""
    said = {key: value for key, value in (given or {}).items() if value is not None}
    try:
        msgspec.json.encode(said)  # a lone surrogate is no text, and no word of a command
        return msgspec.convert(said, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _mended(kind, str(error).replace(" | null", "")) from None
    except UnicodeError:
        raise UsageError("a text has half of a character in it", hint="send whole Unicode characters") from None


def _mended(kind: type[msgspec.Struct], told: str) -> UsageError:
    properties = of(kind).get("properties", {})
    unknown = _UNKNOWN.search(told)
    if unknown is not None:
        near = nearest(unknown[1], properties)
        known = ", ".join(properties) or "no arguments"
        return UsageError(
            f"no such argument: {unknown[1]}", hint=(f"did you mean {near}? " if near else "") + f"it takes {known}"
        )
    place = _PLACE.search(told)
    if place is not None and place[1] in properties:
        return UsageError(f"{place[1]}: {told}", hint=properties[place[1]].get("description"))
    return UsageError(told, hint=f"it takes {', '.join(properties)}")
