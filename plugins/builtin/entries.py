"""Entries of MCP's JSON configurations, with the variables in them. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from aish.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def filled(value: Any, environ: Mapping[str, str], name: str) -> Any:
    """With `${NAME}` and `${NAME:-otherwise}` replaced in all texts, as other programs read the same file. Raises
    InputError."""

    def one(found: re.Match[str]) -> str:
        text = environ.get(found[1], found[2])
        if text is None:
            raise InputError(f"mcp_servers: {name} needs {found[1]}, which is not set", field="mcp_servers")
        return text

    match value:
        case str():
            return _VARIABLE.sub(one, value)
        case dict():
            return {key: filled(each, environ, name) for key, each in value.items()}
        case list():
            return [filled(each, environ, name) for each in value]
        case _:
            return value
