"""The JSON Schema (2020-12) of aish.toml, for editors: completion, descriptions and checks while typing. Pure."""

from __future__ import annotations

from typing import Any, Final

from aish.project.schema import FILE, SECTIONS

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """Entries are definitions of their own: editors show their names."""
    found = FILE.schema()
    definitions: dict[str, Any] = {}
    for section, table in SECTIONS.items():
        definitions[section] = table.schema()
        found["properties"][section]["additionalProperties"] = {"$ref": f"#/$defs/{section}"}
    return {"$schema": DIALECT, "title": "aish.toml", **found, "$defs": definitions}
