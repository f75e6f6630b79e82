"""A Procfile (foreman, heroku, overmind): `NAME: COMMAND` lines. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aish.project.importing.draft import plain

if TYPE_CHECKING:
    from aish.project.importing.draft import Draft

_LINE: Final = re.compile(r"([A-Za-z0-9_.-]+)\s*:\s*(.+)")
_SHELL: Final = re.compile(r"[|&;<>()$`\\\"'*?\[\]#~=%{}!\n]")
"""What a shell might make something of."""


def read(text: str, file: str, draft: Draft) -> None:
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            draft.leave(file, f"line {number}", "it is no NAME: COMMAND")
            continue
        name, command = found[1], found[2]
        if name == "release":
            table = draft.entry("services", name, file)
            table |= {**run(command), "restart": "never"}
            draft.leave(file, "release", "nothing waits for it; where something should: needs")
            continue
        table = draft.entry("services", name, file)
        table |= run(command)
        if re.search(r"\$\{?PORT\b", command):
            draft.leave(
                file, f"{name}: $PORT", "foreman counts ports up from 5000; write a port, or {port} for a free one"
            )


def run(command: str) -> dict[str, str]:
    """`shell` where a shell has something to do with it."""
    return {"shell" if _SHELL.search(command) else "command": plain(command)}
