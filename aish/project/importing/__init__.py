"""An aish.toml out of what other supervisors read, with a list of what was not taken over. Pure."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any, Final

from aish.errors import SourceError
from aish.project.importing import compose, fitting, procfile, systemd_unit
from aish.project.importing.draft import Draft, Left, toml

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS: Final = ("procfile", "compose", "systemd")
_UNITS: Final = (".service", ".timer", ".socket")

__all__ = ["KINDS", "Imported", "Left", "imported", "kind_of"]


class Imported:
    __slots__ = ("left", "text")

    def __init__(self, text: str, left: list[Left]) -> None:
        self.text = text
        self.left = left


def kind_of(name: str) -> str | None:
    """By its name; None: it does not tell."""
    base = posixpath.basename(name)
    if base.endswith(_UNITS):
        return "systemd"
    if base.startswith("Procfile") or base.endswith(".procfile"):
        return "procfile"
    return "compose" if base.endswith((".yaml", ".yml")) else None


def imported(sources: Sequence[tuple[str, str, bytes]]) -> Imported:
    """(name, kind, content) each. Raises SourceError."""
    draft = Draft()
    units: list[tuple[str, str]] = []
    for name, kind, content in sources:
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            raise SourceError("not UTF-8 text", file=name, hint="save it as UTF-8") from error
        match kind:
            case "procfile":
                procfile.read(text, name, draft)
            case "compose":
                compose.read(text, name, draft)
            case _:
                units.append((name, text))
    if units:  # together: a timer is about a service, a socket too
        systemd_unit.read(units, draft)
    fitting.fit(draft)
    _forget_strangers(draft)
    return Imported(toml(draft), draft.left)


def _forget_strangers(draft: Draft) -> None:
    """Nothing can need what was not taken over."""
    names = {name for _, name in draft.entries}
    for (_, name), table in draft.entries.items():
        needs = [_renamed(need, draft, draft.files[name]) for need in table.get("needs", [])]
        table["needs"] = [need for need in needs if _name(need) in names]
        for need in needs:
            if _name(need) not in names:
                draft.leave(
                    draft.files[name], f"{name}: its need of {_name(need)}", "that is not among what is imported"
                )


def _renamed(need: Any, draft: Draft, file: str) -> Any:
    """As what it needs is called here; a unit is in another file than who needs it."""
    said = _name(need)
    told = draft.renamed.get((file, said))
    if told is None and all(name != said for _, name in draft.entries):
        told = next((new for (_, old), new in draft.renamed.items() if old == said), None)
    return need if told is None else {**need, "name": told} if isinstance(need, dict) else told


def _name(need: Any) -> str:
    return str(need["name"] if isinstance(need, dict) else need)
