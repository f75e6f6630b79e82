"""What a key does: (choices, view, key) -> (choices, act). Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from aish.model import state
from aish.top.rows import index_of, rows
from aish.top.ui import SORTS, Confirm

if TYPE_CHECKING:
    from aish.top.ui import Ui
    from aish.wire.part import ProcessPart
    from aish.wire.reply import View

PAGE: Final = 10
_MOVES: Final = {"up": -1, "down": 1, "page-up": -PAGE, "page-down": PAGE, "home": -(10**6), "end": 10**6}
_MOST_FILTER: Final = 64


class Act(NamedTuple):
    """What is to be done outside: leave, draw anew, or ask the daemon for something about `target`."""

    kind: Literal["quit", "redraw", "pause", "cont", "stop", "cancel", "answer"]
    target: str = ""
    name: str = ""


def press(ui: Ui, view: View | None, key: str) -> tuple[Ui, Act | None]:
    """`view` None: nothing has come yet, so there is nothing to select."""
    ui = replace(ui, message="", trouble=False)
    if key in ("ctrl-c", "ctrl-d"):
        return ui, Act("quit")
    if ui.confirm is not None:
        return _answered(ui, ui.confirm, key)
    if ui.editing:
        return _edited(ui, key), None
    if ui.help:
        return replace(ui, help=False), Act("quit") if key == "q" else None
    return _chosen(ui, view, key)


def _chosen(ui: Ui, view: View | None, key: str) -> tuple[Ui, Act | None]:
    match key:
        case "q":
            return ui, Act("quit")
        case "?" | "h":
            return replace(ui, help=True), None
        case "ctrl-l":
            return ui, Act("redraw")
        case " ":
            return replace(ui, paused=not ui.paused), None
        case "/":
            return replace(ui, editing=True), None
        case "esc":
            return replace(ui, filter="", paused=False), None
        case "<" | ">":
            at = SORTS.index(ui.sort) + (1 if key == ">" else -1)
            return replace(ui, sort=SORTS[at % len(SORTS)]), None
        case "p" | "k" | "c":
            return _on_selected(ui, view, key)
        case "a":
            return _to_answer(ui, view)
        case _ if key in _MOVES:
            return _moved(ui, view, _MOVES[key]), None
        case _:
            return ui, None


def selected(ui: Ui, view: View | None) -> ProcessPart | None:
    """The process that the marker is on."""
    listed = rows(view, ui) if view is not None else []
    return listed[index_of(listed, ui.selected)].process if listed else None


def _moved(ui: Ui, view: View | None, steps: int) -> Ui:
    listed = rows(view, ui) if view is not None else []
    if not listed:
        return ui
    at = min(max(index_of(listed, ui.selected) + steps, 0), len(listed) - 1)
    return replace(ui, selected=listed[at].process.id)


def _on_selected(ui: Ui, view: View | None, key: str) -> tuple[Ui, Act | None]:
    process = selected(ui, view)
    if process is None:
        return replace(ui, message="nothing is selected", trouble=True), None
    ui = replace(ui, selected=process.id)
    if process.lifecycle in state.ENDED:
        return replace(ui, message=f"{process.name} has ended already", trouble=True), None
    if key == "k":
        return replace(ui, confirm=Confirm(target=process.id, name=process.name)), None
    if key == "c":
        return ui, Act("cancel", process.id, process.name)
    return ui, Act("cont" if state.USER in process.holds else "pause", process.id, process.name)


def _to_answer(ui: Ui, view: View | None) -> tuple[Ui, Act | None]:
    """What the selected process asks; where it asks nothing, all that others ask."""
    asking = [each.id for each in view.processes if each.activity == state.NEEDS_INPUT] if view is not None else []
    if not asking:
        return replace(ui, message="nobody needs you"), None
    process = selected(ui, view)
    return ui, Act("answer", process.id if process is not None and process.id in asking else "")


def _answered(ui: Ui, question: Confirm, key: str) -> tuple[Ui, Act | None]:
    ui = replace(ui, confirm=None)
    if key in ("y", "Y"):
        return ui, Act("stop", question.target, question.name)
    return replace(ui, message=f"{question.name} goes on"), None


def _edited(ui: Ui, key: str) -> Ui:
    match key:
        case "enter":
            return replace(ui, editing=False)
        case "esc":
            return replace(ui, editing=False, filter="")
        case "backspace":
            return replace(ui, filter=ui.filter[:-1])
        case _ if len(key) == 1 and len(ui.filter) < _MOST_FILTER:
            return replace(ui, filter=ui.filter + key)
        case _:
            return ui
