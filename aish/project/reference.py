"""The tables of docs/reference/aish-toml.md, made from the schema. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aish.project import schema
from aish.project.compound import Either, ListOf, MapOf, Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aish.project.compound import Key
    from aish.project.value import Value

_OWN: Final = {
    "[services.NAME]": (schema.SERVICE, ("command", "shell")),
    "[agents.NAME]": (schema.AGENT, ("agent", "words", "model", "input", "command", "shell")),
    "[models.NAME]": (
        schema.MODEL,
        (
            "command",
            "shell",
            "url",
            "upstream",
            "dialect",
            "context",
            "login",
            "price",
            "fallback",
            "retries",
            "key_file",
            "key",
            "proxy",
            "ca_file",
            "concurrent",
        ),
    ),
    "[schedules.NAME]": (schema.SCHEDULE, ("cron", "timezone", "missed", "command", "shell")),
    "[groups.NAME]": (schema.GROUP, ("strategy",)),
}


def tables() -> str:
    """All of them, with a heading each."""
    parts = ["### The file\n\n" + _rows(schema.FILE.keys.values())]
    for title, (table, names) in _OWN.items():
        parts.append(f"### `{title}`\n\n" + _rows(table.keys[name] for name in names))
    own = {name for _, names in _OWN.values() for name in names}
    common = [key for name, key in schema.SERVICE.keys.items() if name not in own]
    parts.append("### Every entry\n\n" + _rows(common))
    return "\n\n".join(parts) + "\n"


def _rows(keys: Iterable[Key]) -> str:
    lines = ["| key | value | meaning |", "|---|---|---|"]
    for key in keys:
        lines.append(_row(key.name, key))
        inner = _inner(key.value)
        if inner is not None:
            lines += [_row(f"{key.name}.{each.name}", each) for each in inner.keys.values()]
    return "\n".join(lines)


def _inner(value: Value) -> Table | None:
    """The table behind a key, unless it has a section of its own."""
    match value:
        case Either():
            return _inner(value.long)
        case ListOf() | MapOf():
            return _inner(value.item)
        case Table() if value not in (*schema.SECTIONS.values(), schema.GROUP):
            return value
        case _:
            return None


def _row(name: str, key: Key) -> str:
    default = f" Default: {key.default}." if key.default else ""
    return f"| `{name}` | {key.value.kind} | {key.doc}{default} |".replace("|`", "| `")
