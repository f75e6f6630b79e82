"""What `bind` has bound, as prompt_toolkit's bindings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.application import get_app
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Always, Condition, emacs_insert_mode, has_focus, vi_insert_mode
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.keys import Keys

from aish.lang.builtins.bind import COMMAND, EMACS, MACRO, VI
from aish.lang.builtins.history import in_editor
from aish.lang.control import CommandError, Interrupted
from aish.lang.digits import saturated
from aish.lang.evaluate import run_line
from aish.lang.signals import SIGHUP
from aish.shell.key_functions import function

if TYPE_CHECKING:
    from prompt_toolkit.filters import Filter
    from prompt_toolkit.key_binding import KeyPressEvent

    from aish.lang.runtime import Runtime
    from aish.shell.keys import Press
    from aish.shell.offered import Offered

_DEEPEST = 16
"""So deep may macros be in one another, as in readline."""
_ENDING = ("accept-line", "operate-and-get-next", "edit-and-execute-command", "vi-edit-and-execute-command")
_EDITING = {EMACS: has_focus(DEFAULT_BUFFER) & emacs_insert_mode, VI: has_focus(DEFAULT_BUFFER) & vi_insert_mode}


@Condition
def _something_is_typed() -> bool:
    return bool(get_app().current_buffer.text)


def bound(rt: Runtime, offered: Offered | None) -> KeyBindings:
    """All of them, as they are now; without `offered` for lines that are no commands, which end as they are."""
    found = KeyBindings()
    for (mode, keys), (kind, value) in rt.bound.items():
        pressed = _pressed(keys)
        if kind == COMMAND:
            handler: Press | None = _command(value)
        elif kind == MACRO:
            handler = _macro(value)
        elif value in _ENDING and offered is None:
            continue
        elif value == "operate-and-get-next" and offered is not None:
            handler = offered.run_and_go_on(rt)
        else:
            handler = function(rt, value, mode)
        if pressed and handler is not None:  # else the key stays what it is
            found.add(*[one.key for one in pressed], filter=_EDITING[mode] & _meant(pressed))(handler)
    return found


def _meant(pressed: list[KeyPress]) -> Filter:
    """Whether these are the keys. Ctrl-D in an empty line is the end of the input, whatever is bound to it. Backspace
    and Ctrl-H are one key to prompt_toolkit, but for the characters that they send."""
    if [one.key for one in pressed] == [Keys.ControlD]:
        return _something_is_typed
    sent = [one.data if one.key == Keys.ControlH else None for one in pressed]

    def same() -> bool:
        typed = get_app().key_processor.key_buffer
        return all(data is None or key.data == data for key, data in zip(typed, sent, strict=False))

    return Condition(same) if any(sent) else Always()


def _pressed(keys: str) -> list[KeyPress]:
    """The keys that send these characters."""
    found: list[KeyPress] = []
    parser = Vt100Parser(found.append)
    parser.feed(keys)
    parser.flush()
    return found


class _Fed(KeyPress):
    """A key that a macro sends. `depth`: in so many macros, one in the other."""

    def __init__(self, key: KeyPress, depth: int) -> None:
        super().__init__(key.key, key.data)
        self.depth = depth


def _macro(text: str) -> Press:
    keys = _pressed(text.replace("\n", "\r"))  # Enter

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


def _command(command: str) -> Press:
    """-x"""

    def leave(event: KeyPressEvent) -> None:
        event.app.erase_when_done = True
        event.app.exit(result=Pressed(command, event.current_buffer.document))

    return leave


def open_editor(event: KeyPressEvent) -> None:
    """Ctrl-X Ctrl-E"""
    event.app.erase_when_done = True
    event.app.exit(result=InEditor(event.current_buffer.document))


class InEditor:
    """The same, for the keys that open the line in the user's own editor: Ctrl-X Ctrl-E, and v of vi's commands."""

    def __init__(self, document: Document) -> None:
        self.document = document

    def run(self, rt: Runtime) -> Document | str:
        """Edit the line, as a job that has the terminal; what is to run, or the line where nothing came of it."""
        editor = rt.vars.get("VISUAL") or rt.vars.get("EDITOR") or "vi"
        kept = rt.status
        try:
            status, text = in_editor(rt, editor, self.document.text + "\n")
        except (CommandError, OSError) as error:
            rt.error_line(f"aish: {editor}: {error}")
            status, text = 1, ""
        except Interrupted as error:
            if error.signo == SIGHUP:
                raise
            status, text = 1, ""
        rt.status = kept
        if status or not text.strip():
            return self.document
        rt.error_line(text.rstrip("\n"))
        return text


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
