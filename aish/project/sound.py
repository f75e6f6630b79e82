"""What of an entry is right although other parts are wrong: so all its mistakes can be found at once. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aish.project.compound import Either, ListOf, MapOf, Table
from aish.project.schema import SECTIONS
from aish.project.value import WRONG

if TYPE_CHECKING:
    from aish.config.places import Path
    from aish.project.entry import Entry
    from aish.project.value import Value


def sound(entry: Entry) -> Entry:
    """The entry without what is wrong in it. A table inside that says nothing without that is left out as a whole."""
    return msgspec.structs.replace(entry, values=_values(SECTIONS[entry.section], entry.values))


def as_written(at: Path, entry: Entry) -> Path:
    """Where in the entry itself stands what is at `at` in its sound part, where lists may be shorter."""
    if len(at) < 2 or not isinstance(at[1], int):
        return at
    key = str(at[0])
    kind = SECTIONS[entry.section].keys[key].value
    assert isinstance(kind, ListOf)
    kept = [place for place, item in enumerate(entry.values[key]) if _sound(kind.item, item) is not WRONG]
    return (key, kept[at[1]], *at[2:])


def _values(table: Table, read: dict[str, Any]) -> dict[str, Any]:
    found = {name: _sound(table.keys[name].value, value) for name, value in read.items()}
    return {name: value for name, value in found.items() if value is not WRONG}


def _sound(kind: Value, read: Any) -> Any:
    match kind:
        case Either():
            is_long = isinstance(read, list if isinstance(kind.long, ListOf) else dict)
            return _sound(kind.long if is_long else kind.short, read)
        case ListOf():
            return [item for item in (_sound(kind.item, item) for item in read) if item is not WRONG]
        case MapOf():
            found = {name: _sound(kind.item, item) for name, item in read.items()}
            return {name: item for name, item in found.items() if item is not WRONG}
        case Table():
            return _table(kind, read)
        case _:
            return read


def _table(table: Table, read: dict[str, Any]) -> dict[str, Any] | None:
    found = _values(table, read)
    whole = all(name in found for name in table.needed)
    whole = whole and all(sum(name in found for name in group) == 1 for group in table.one_of)
    return found if whole else WRONG
