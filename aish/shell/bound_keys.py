"""What `bind` has bound, as prompt_toolkit's bindings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import emacs_insert_mode, has_focus, vi_insert_mode
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.key_processor import KeyPress

from aish.lang.builtins.bind import COMMAND, MACRO
from aish.lang.digits import saturated
from aish.lang.evaluate import run_line
from aish.shell.key_functions import function

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.key_binding import KeyPressEvent

    from aish.lang.runtime import Runtime

_DEEPEST = 16
"""So deep may macros be in one another, as in readline."""
_EDITING = has_focus(DEFAULT_BUFFER) & (emacs_insert_mode | vi_insert_mode)


def bound(rt: Runtime) -> KeyBindings:
    """All of them, as they are now."""
    found = KeyBindings()
    for keys, (kind, value) in rt.bound.items():
        pressed = _pressed(keys)
        if not pressed:
            continue
        if kind == COMMAND:
            handler: Callable[[KeyPressEvent], None] = _command(value)
        elif kind == MACRO:
            handler = _macro(value)
        else:
            handler = function(rt, value) or _nothing
        found.add(*[one.key for one in pressed], filter=_EDITING)(handler)
    return found


def _pressed(keys: str) -> list[KeyPress]:
    """The keys that send these characters."""
    found: list[KeyPress] = []
    parser = Vt100Parser(found.append)
    parser.feed(keys.replace("\n", "\r"))  # Enter
    parser.flush()
    return found


class _Fed(KeyPress):
    """A key that a macro sends. `depth`: in so many macros, one in the other."""

    def __init__(self, key: KeyPress, depth: int) -> None:
        super().__init__(key.key, key.data)
        self.depth = depth


def _nothing(event: KeyPressEvent) -> None:
    """A function that this editor has not: better than what the key does here where nobody has bound it."""


def _macro(text: str) -> Callable[[KeyPressEvent], None]:
    keys = _pressed(text)

    def press(event: KeyPressEvent) -> None:
        processor = event.app.key_processor
        depth = 1 + max(key.depth if isinstance(key, _Fed) else 0 for key in event.key_sequence)
        if depth > _DEEPEST:  # it sends itself
            typed = [key for key in processor.empty_queue() if not isinstance(key, _Fed)]
            processor.feed_multiple(typed)
            event.app.output.bell()
        else:
            processor.feed_multiple([_Fed(key, depth) for key in keys], first=True)

    return press


def _command(command: str) -> Callable[[KeyPressEvent], None]:
    """-x"""

    def leave(event: KeyPressEvent) -> None:
        event.app.erase_when_done = True
        event.app.exit(result=Pressed(command, event.current_buffer.document))

    return leave


class Pressed:
    """What the editor gives in place of a line: a key that runs a command. The keys behind it wait for the editor."""

    def __init__(self, command: str, document: Document) -> None:
        self.command = command
        self.document = document

    def run(self, rt: Runtime) -> Document:
        """Run the command as any other: outside of the editor, so that it may end the shell, be interrupted, and edit
        lines itself. It sees the line and the cursor in variables; the line as it is afterwards."""
        rt.vars.set("READLINE_LINE", self.document.text)
        rt.vars.set("READLINE_POINT", str(self.document.cursor_position))
        status = rt.status
        try:
            run_line(rt, self.command)
            text = rt.vars.get("READLINE_LINE") or ""
            point = rt.vars.get("READLINE_POINT") or ""
        finally:
            rt.vars.unset("READLINE_LINE")
            rt.vars.unset("READLINE_POINT")
        rt.status = status
        point_is_number = point.isdecimal() and point.isascii()
        return Document(text, min(saturated(point), len(text)) if point_is_number else len(text))
