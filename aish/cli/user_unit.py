"""The systemd user unit that brings a project up again after a reboot. Pure: words in, systemd.service(5) out."""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING, Final

from aish.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MADE_BY: Final = "# Made by `aish systemd install`; `aish systemd uninstall` takes it away."
PREFIX: Final = "aish-"
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_.-]+")


def name(project: str, path: str) -> str:
    """The unit's name: readable, and another one for another file of the same project name."""
    stem = _UNFIT.sub("-", project)[:64].strip("-.") or "project"
    return f"{PREFIX}{stem}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}.service"


def text(project: str, path: str, program: Sequence[str], options: Sequence[str], environ: Mapping[str, str]) -> str:
    """`program` is how aish is run, `options` go to `aish up`; `environ` is what is fixed now since systemd has
    another one: PATH, and where aish keeps its things. Raises InputError for what no unit can say.
    """
    up = [*program, "up", "--no-wait", "--file", path, *options]
    reload = [*program, "reload", "--no-wait", "--file", path, *options]
    down = [*program, "down", "--file", path]
    lines = [
        MADE_BY,
        "[Unit]",
        f"Description={_plain(f'aish: {project} ({path})')}",
        "",
        "[Service]",
        "Type=oneshot",
        "RemainAfterExit=yes",
        "# The processes are the supervisor's, not this unit's.",
        "KillMode=process",
        f"WorkingDirectory={_plain(os.path.dirname(path))}",
        *(f"Environment={_quoted(f'{name}={value}')}" for name, value in sorted(environ.items())),
        f"ExecStart={_command(up)}",
        f"ExecReload={_command(reload)}",
        f"ExecStop={_command(down)}",
        "",
        "[Install]",
        "WantedBy=default.target",
        "",
    ]
    return "\n".join(lines)


def _command(words: Sequence[str]) -> str:
    return " ".join(_quoted(word).replace("$", "$$") for word in words)


def _quoted(word: str) -> str:
    """As systemd.syntax(7) has it; specifiers are doubled."""
    return '"' + _plain(word).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _plain(word: str) -> str:
    if any(ord(character) < 32 or 0xD800 <= ord(character) < 0xE000 for character in word):
        raise InputError(f"a unit cannot hold {word[:80]!r}", hint="rename it: it has a line end, or is no UTF-8")
    return word.replace("%", "%%")
