"""What `bind` has bound, as prompt_toolkit's bindings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import emacs_insert_mode, has_focus, vi_insert_mode
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.bindings.named_commands import get_by_name

from aish.lang import signals
from aish.lang.builtins.bind import COMMAND, MACRO
from aish.lang.evaluate import run_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.application import Application
    from prompt_toolkit.key_binding import KeyPress, KeyPressEvent

    from aish.lang.runtime import Runtime

_EDITING = has_focus(DEFAULT_BUFFER) & (emacs_insert_mode | vi_insert_mode)


def bound(rt: Runtime) -> KeyBindings:
    """All of them, as they are now."""
    found = KeyBindings()
    for keys, (kind, value) in rt.bound.items():
        pressed = _pressed(keys)
        if not pressed:
            continue
        if kind == COMMAND:
            handler: Callable[[KeyPressEvent], None] = _command(rt, value)
        elif kind == MACRO:
            handler = _macro(value)
        else:
            handler = get_by_name(value)  # type: ignore[assignment]
        found.add(*[one.key for one in pressed], filter=_EDITING)(handler)
    return found


def _pressed(keys: str) -> list[KeyPress]:
    """The keys that send these characters."""
    found: list[KeyPress] = []
    parser = Vt100Parser(found.append)
    parser.feed(keys.replace("\n", "\r"))  # Enter
    parser.flush()
    return found


def _macro(text: str) -> Callable[[KeyPressEvent], None]:
    def press(event: KeyPressEvent) -> None:
        event.app.key_processor.feed_multiple(_pressed(text), first=True)

    return press


def _command(rt: Runtime, command: str) -> Callable[[KeyPressEvent], None]:
    """-x: it sees the line and the cursor in variables, and may change them."""

    def run(event: KeyPressEvent) -> None:
        buffer = event.current_buffer

        def inside() -> None:
            rt.vars.set("READLINE_LINE", buffer.text)
            rt.vars.set("READLINE_POINT", str(buffer.cursor_position))
            before, rt.signals.mode = rt.signals.mode, signals.RUNNING
            status = rt.status
            try:
                run_line(rt, command)
            finally:
                rt.signals.mode, rt.status = before, status
            text = rt.vars.get("READLINE_LINE") or ""
            point = rt.vars.get("READLINE_POINT") or ""
            at = min(int(point), len(text)) if point.isdecimal() else len(text)
            rt.vars.unset("READLINE_LINE")
            rt.vars.unset("READLINE_POINT")
            buffer.set_document(Document(text, at))

        _at_terminal(event.app, inside)

    return run


def _at_terminal(app: Application[object], do: Callable[[], None]) -> None:
    """Do it with the terminal as commands have it. At once: the next key is for the line as it is afterwards."""
    app.renderer.erase()
    with app.input.detach(), app.input.cooked_mode():
        do()
    app.renderer.reset()
    app.invalidate()
