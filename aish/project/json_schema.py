"""The JSON Schema (2020-12) of aish.toml, for editors: completion, descriptions and checks while typing. Pure."""

from __future__ import annotations

from typing import Any, Final

from aish.agents import definition, limits, tables
from aish.project.schema import FILE, SECTIONS

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """Entries are definitions of their own: editors show their names."""
    found = FILE.schema()
    definitions: dict[str, Any] = {}
    for section, table in SECTIONS.items():
        definitions[section] = table.schema()
        if section == tables.SECTION:  # a process, or an agent; of what the latter's values are its reader knows more
            definitions["agent"] = _agent()
            definitions[section] = {"anyOf": [table.schema(), {"$ref": "#/$defs/agent"}]}
        found["properties"][section]["additionalProperties"] = {"$ref": f"#/$defs/{section}"}
    return {"$schema": DIALECT, "title": "aish.toml", **found, "$defs": definitions}


def _agent() -> dict[str, Any]:
    """A table with the keys of an agent file: docs/reference/agent-files.md."""
    known: dict[str, Any] = {key: {} for key in (*definition.KEYS, *definition.TABLE_KEYS)}
    known["limits"] = {
        "type": "object",
        "properties": {key: {} for key in limits.KEYS},
        "additionalProperties": False,
    }
    return {"type": "object", "properties": known, "additionalProperties": False}
