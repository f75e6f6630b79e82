"""What a client may control beside looking: a guard against mistakes, on top of the authority of the daemon.

A supervised process may anyway only control what is below it. The user's own editor acts as the user, who may stop
everything; but a model in it is to stop no training run because that has a name like a dev server's. So it controls
what it has started itself, which labels tell. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from aish.errors import RefusedError
from aish.model import label
from aish.tools.results import tree_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aish.wire.part import ProcessPart

Scope = Literal["own", "all"]
OWN: Final = "own"
ALL: Final = "all"
SCOPES: Final = (OWN, ALL)
CLIENT: Final = "mcp"
FOLDER: Final = "mcp-folder"


def default(standing: str) -> Scope:
    """Of who acts as the user only its own; a supervised process has no more than its own anyway."""
    return ALL if standing == "process" else OWN


def labels_of(client: str, folder: str) -> dict[str, str]:
    """By which is known what a client has started from a folder: it is to be known again after a restart of the
    client, and not to be taken for that of another window of it."""
    return {CLIENT: _value(client) or "unknown", FOLDER: _value(folder)}


def own(rows: Iterable[ProcessPart], labels: Mapping[str, str]) -> set[str]:
    """The ids of what has these labels, and of all that is below it."""
    found: set[str] = set()
    for row in tree_order(rows):
        if row.parent in found or label.matches(row.labels, labels):
            found.add(row.id)
    return found


def refused(what: str, row: ProcessPart) -> RefusedError:
    return RefusedError(
        f"{what} {row.name} ({row.id}) refused: this client has not started it",
        hint=f"ask the person to do it: aish {what} {row.id}; ps with mine=true shows what is yours",
    )


def _value(text: str) -> str:
    clean = "".join(each if each.isprintable() else "?" for each in text)
    return clean[-label.VALUE_CHARS :]
