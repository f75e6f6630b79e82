"""Values made of others: lists, tables, and a short form beside a long one. Pure."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from aish.project.value import WRONG, Value, shown, type_word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aish.config.places import Path
    from aish.project.value import Reading, Schema


class ListOf(Value):
    def __init__(self, item: Value, most: int = 256) -> None:
        self.item = item
        self.most = most
        self.kind = f"list of: {item.kind}"
        self.expected = f"a list, [ … ], of {item.expected}"

    def read(self, raw: Any, at: Path, reading: Reading) -> Any:
        if raw is WRONG:
            return []
        if not isinstance(raw, list):
            reading.wrong(at, f"expected {self.expected}, found {type_word(raw)}")
            return []
        if len(raw) > self.most:
            reading.wrong(at, f"more than {self.most}")
            return []
        return [self.item.read(item, (*at, place), reading) for place, item in enumerate(raw)]

    def schema(self) -> Schema:
        return {"type": "array", "items": self.item.schema(), "maxItems": self.most}


class MapOf(Value):
    """A table whose keys the author chooses."""

    def __init__(
        self, item: Value, expected_key: str, pattern: str, most: int = 1024, hint: str | None = None
    ) -> None:
        self.hint = hint
        self.item = item
        self.pattern = pattern
        self.expected_key = expected_key
        self.most = most
        self.kind = f"table: {item.kind}"

    def read(self, raw: Any, at: Path, reading: Reading) -> Any:
        if raw is WRONG:
            return {}
        if not isinstance(raw, dict):
            reading.wrong(at, f"expected a table, found {type_word(raw)}")
            return {}
        if len(raw) > self.most:
            reading.wrong(at, f"more than {self.most}")
            return {}
        for key in raw:
            if not re.fullmatch(self.pattern, key):
                reading.wrong((*at, key), f"expected {self.expected_key}", self.hint)
        return {key: self.item.read(item, (*at, key), reading) for key, item in raw.items()}

    def schema(self) -> Schema:
        return {
            "type": "object",
            "propertyNames": {"pattern": f"^(?:{self.pattern})$"},
            "additionalProperties": self.item.schema(),
            "maxProperties": self.most,
        }


class Either(Value):
    """A short form, or a table or list that says more."""

    def __init__(self, short: Value, long: Table | ListOf) -> None:
        self.short, self.long = short, long
        self.kind = f"{short.kind}, or a {'list of them' if isinstance(long, ListOf) else 'table'}"

    def read(self, raw: Any, at: Path, reading: Reading) -> Any:
        is_long = isinstance(raw, list if isinstance(self.long, ListOf) else dict)
        return (self.long if is_long else self.short).read(raw, at, reading)

    def schema(self) -> Schema:
        return {"anyOf": [self.short.schema(), self.long.schema()]}


class Key:
    """A row of the schema."""

    __slots__ = ("default", "doc", "name", "value")

    def __init__(self, name: str, value: Value, doc: str, default: str = "") -> None:
        self.name = name
        self.value = value
        self.doc = doc
        self.default = default


class Table(Value):
    """A table with known keys. Of each group in `one_of` exactly one must be there, of `at_most_one` one may.

    `elsewhere`: words that people know from our command line or from others' files, and the key that they mean here;
    `example`: a table as it may be, for who wrote something else."""

    kind = "table"

    def __init__(
        self,
        *keys: Key,
        one_of: Sequence[tuple[str, ...]] = (),
        at_most_one: Sequence[tuple[str, ...]] = (),
        needed: Sequence[str] = (),
        elsewhere: Mapping[str, str] = MappingProxyType({}),
        example: str | None = None,
    ) -> None:
        self.elsewhere, self.example = elsewhere, example
        self.keys = {key.name: key for key in keys}
        self.one_of = tuple(one_of)
        self.at_most_one = tuple(at_most_one)
        self.needed = tuple(needed)

    def read(self, raw: Any, at: Path, reading: Reading) -> dict[str, Any]:
        if raw is WRONG:
            return {}
        if not isinstance(raw, dict):
            hint = f"such as {self.example}" if self.example else f"its keys: {', '.join(list(self.keys)[:4])} …"
            reading.wrong(at, f"expected a table, found {shown(raw)}", hint)
            return {}
        self._check_keys(raw, at, reading)
        return {
            name: self.keys[name].value.read(item, (*at, name), reading)
            for name, item in raw.items()
            if name in self.keys
        }

    def _check_keys(self, raw: dict[str, Any], at: Path, reading: Reading) -> None:
        meant = {
            reading.problems.unknown(reading.document, (*at, name), self.keys, self.elsewhere)
            for name in raw
            if name not in self.keys
        }
        for group in (*self.one_of, *self.at_most_one):
            there = [name for name in group if name in raw]
            if len(there) > 1:
                reading.wrong((*at, there[1]), f"says the same as {there[0]}", "one of " + ", ".join(group))
            elif not there and group in self.one_of and meant.isdisjoint(group):
                reading.wrong(at, "expected " + " or ".join(group), self._example(group[0]))
        for name in self.needed:
            if name not in raw and name not in meant:
                reading.wrong(at, f"expected {name}", self._example(name))

    def _example(self, name: str) -> str:
        return f"{name}: {self.keys[name].doc}"

    def schema(self) -> Schema:
        found: Schema = {
            "type": "object",
            "properties": {
                key.name: key.value.schema() | {"description": _described(key)} for key in self.keys.values()
            },
            "additionalProperties": False,
        }
        if self.needed:
            found["required"] = list(self.needed)
        rules: list[Schema] = [{"oneOf": [{"required": [name]} for name in group]} for group in self.one_of]
        rules += [
            {"not": {"required": [first, second]}}
            for group in self.at_most_one
            for place, first in enumerate(group)
            for second in group[place + 1 :]
        ]
        return found | ({"allOf": rules} if rules else {})


def _described(key: Key) -> str:
    return f"{key.doc} Default: {key.default}." if key.default else key.doc
