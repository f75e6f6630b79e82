"""What is known of one call of a tool, by all that the agent has told of it. Pure."""

from __future__ import annotations

import difflib
import os
from typing import TYPE_CHECKING, Any, Final

from aish.plugins.acp.update import as_json, content, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

DOES: Final = {"execute": "run", "edit": "edit", "delete": "delete", "move": "move", "read": "read", "fetch": "fetch"}
"""Kinds of tools, as people say what they do; others have only their title."""
OVER: Final = ("completed", "failed")
_DIFF_CHARS: Final = 1 << 20


class Call:
    """Changed by `learn`. `cwd`: paths below it are told without it."""

    __slots__ = (
        "_content",
        "_places",
        "_title",
        "cwd",
        "entered",
        "id",
        "input",
        "kind",
        "output",
        "refused",
        "status",
    )

    def __init__(self, id_: str, cwd: str) -> None:
        self.id, self.cwd = id_, cwd
        self.kind = ""
        self.status = "pending"
        self.input: object = None
        self.output: object = None
        self.entered = False
        """The transcript has it."""
        self.refused = False
        """A person did not allow it: its agent may tell nothing more of it."""
        self._title = ""
        self._content: list[object] = []
        self._places: list[object] = []

    def learn(self, fields: Mapping[str, Any]) -> None:
        """An update has only what is new."""
        title, kind, status = fields.get("title"), fields.get("kind"), fields.get("status")
        if isinstance(title, str) and title.strip():
            self._title = one_line(title)
        if isinstance(kind, str):
            self.kind = kind
        if isinstance(status, str):
            self.status = status
        if isinstance(fields.get("content"), list):
            self._content = fields["content"]
        if fields.get("locations") and isinstance(fields["locations"], list):
            self._places = fields["locations"]
        if fields.get("rawInput"):
            self.input = fields["rawInput"]
        if fields.get("rawOutput") is not None:
            self.output = fields["rawOutput"]

    @property
    def over(self) -> bool:
        return self.status in OVER

    @property
    def title(self) -> str:
        """What it does: `run: pytest -x`, `edit: src/a.py`."""
        known = self.command if self.kind == "execute" else ", ".join(dict.fromkeys(self.paths() or self.places()))
        told = known or self._title or self.kind or "a tool"
        told = one_line(told).replace(f"{self.cwd.rstrip('/')}/", "")
        does = DOES.get(self.kind)
        return told if does is None or told.lower().startswith(does) else f"{does}: {told}"

    @property
    def command(self) -> str | None:
        """What it would run, where that is known: by its input, else by its title."""
        given = self.input.get("command") if isinstance(self.input, dict) else None
        if isinstance(given, str) and given.strip():
            return given
        if isinstance(given, list) and given:
            return " ".join(map(str, given))
        return self._title or None if self.kind == "execute" else None

    @property
    def text(self) -> str:
        """What it has put out, or what is to be known before it runs."""
        blocks = [block.get("content") for block in self._content if isinstance(block, dict)]
        return "\n".join(piece for piece in map(content, blocks) if piece)

    def paths(self) -> list[str]:
        """Of files that it would change, as far as it shows how."""
        return [os.path.normpath(os.path.join(self.cwd, path)) for path, _, _ in self._diffs()]

    def places(self) -> list[str]:
        """Files that it is about, for a kind that has no other object."""
        if self.kind not in ("edit", "delete", "read"):
            return []
        found = [place.get("path") for place in self._places if isinstance(place, dict)]
        return [os.path.normpath(os.path.join(self.cwd, path)) for path in found if isinstance(path, str)]

    def diff(self) -> str:
        """Unified; empty where it shows none."""
        return "".join(diff(os.path.relpath(path, self.cwd), old, new) for path, old, new in self._diffs())

    def result(self) -> str:
        return self.text or self.diff() or ("" if self.output is None else _plain(self.output))

    def shown_input(self) -> str:
        return "" if self.input is None else _plain(self.input)

    def _diffs(self) -> list[tuple[str, str, str]]:
        found = []
        for block in self._content:
            if isinstance(block, dict) and block.get("type") == "diff":
                path, old, new = (block.get(name) for name in ("path", "oldText", "newText"))
                if isinstance(path, str) and isinstance(new, str):
                    found.append((path, old if isinstance(old, str) else "", new))
        return found


def diff(path: str, old: str, new: str) -> str:
    """Unified. Texts that are long are not compared, which takes the square of their lines."""
    if len(old) + len(new) > _DIFF_CHARS:
        return f"--- {path}\n+++ {path}\n({len(old):,} characters become {len(new):,})\n"
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), path if old else "/dev/null", path
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else as_json(value)
