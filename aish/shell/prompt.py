"""The prompt on a terminal: prompt_toolkit with our parser behind the Enter key, the colours and the completion.

Everything that takes long comes from the companion, whose answers are received by the event loop of the prompt:
nothing that it does delays a key, and no thread is ever made.
"""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from typing import TYPE_CHECKING, Any

from prompt_toolkit.application import get_app, run_in_terminal
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER, EditingMode
from prompt_toolkit.filters import Condition, emacs_insert_mode, emacs_mode, has_focus, vi_navigation_mode
from prompt_toolkit.formatted_text import ANSI, FormattedText, merge_formatted_text, to_formatted_text
from prompt_toolkit.key_binding import DynamicKeyBindings, KeyBindings, merge_key_bindings
from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.styles import Style
from prompt_toolkit.utils import get_cwidth

from aish.error import AishError
from aish.lang import prompts, signals
from aish.lang.control import Interrupted, Unwind
from aish.lang.signals import PROMPTING, SIGCHLD, SIGHUP, SIGWINCH, Section
from aish.shell import search, terminal_marks
from aish.shell.arrivals import run_traps
from aish.shell.completer import ShellCompleter
from aish.shell.drawing import DrawnOnce
from aish.shell.editor import SEEN, Editor
from aish.shell.glance import Glance
from aish.shell.keys import bindings
from aish.shell.known_words import KnownWords
from aish.shell.last_change import LastChange
from aish.shell.leaving import IdleError, idle_s
from aish.shell.offered import Offered
from aish.shell.paper import Screen, echoes, is_paper
from aish.shell.plain import PlainReader
from aish.shell.recalled import Lines, Suggest
from aish.shell.shell_lexer import ShellLexer
from aish.shell.typewriter import Typewriter, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prompt_toolkit import PromptSession
    from prompt_toolkit.formatted_text import AnyFormattedText
    from prompt_toolkit.input import Input
    from prompt_toolkit.key_binding import KeyPressEvent
    from prompt_toolkit.output import Output

    from aish.lang.runtime import Runtime
    from aish.shell.bound_keys import InEditor, Pressed
    from aish.shell.companion.link import Link
    from aish.shell.history import History

PLAIN_PS1 = "\\w \\$ "
"""PS1 where nobody has set it: the prompt of our own stands in its place."""
_ESCAPE_S = 0.1
"""An Escape that nothing follows for so long is the key itself."""
_CHECK_S = 0.5

_STYLE = Style.from_dict(
    {
        "aish.keyword": "bold ansimagenta",
        "aish.command": "ansigreen",
        "aish.function": "bold ansigreen",
        "aish.assignment": "ansicyan",
        "aish.operator": "bold",
        "aish.redirect": "ansiyellow",
        "aish.string": "ansiyellow",
        "aish.variable": "ansicyan",
        "aish.comment": "ansibrightblack",
        "aish.error": "ansired underline",
        "aish.unknown": "ansired",
        "aish.path": "underline",
        "aish.folder": "bold ansiblue",
        "aish.branch": "ansimagenta",
        "aish.venv": "ansicyan",
        "aish.gpu": "ansibrightblack",
        "aish.running": "ansigreen",
        "aish.duration": "ansiyellow",
        "aish.good": "ansigreen",
        "aish.bad": "bold ansired",
        "aish.need": "bold ansiyellow",
    }
)


class Prompt:
    """Reads commands. `input` and `output` are for tests."""

    def __init__(
        self,
        rt: Runtime,
        link: Link,
        history: History,
        *,
        verbs: Iterable[str] = (),
        input: Input | None = None,
        output: Output | None = None,
    ) -> None:
        self.rt = rt
        self.link = link
        self.history = history
        self.glance = Glance(rt, link)
        self.known = KnownWords(rt, link)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watched: int | None = None
        self._first = ""
        """PS1, expanded once for a prompt however often that is drawn."""
        self._prefix: str | None = None
        """What PS1 has before the prompt of our own, which changes with the glance; None where it has none."""
        self._more: dict[int, str] = {}
        """PS2 of the rows that were drawn, the same."""
        self._plain = PlainReader(rt)
        self._bound: KeyBindings | None = None
        self.offered = Offered()
        self._bound_of: dict[tuple[str, str], tuple[str, str]] = {}
        """What of `Runtime.bound` these are."""
        self._lexers: deque[ShellLexer] = deque([self._lexer()], maxlen=16)
        self._completer = ShellCompleter(rt, link, verbs)
        self._input, self._output = input, output
        self._is_paper = output is None and is_paper(rt.values.get("TERM", ""))
        self._editors: dict[bool, Editor] = {}
        """On paper, and on a screen."""
        self._changes: dict[bool, LastChange] = {}
        self._looked: list[KeyPress] = []
        self.editor = self._editor_on(self._is_paper)
        link.watcher = self._watch

    def _editor_on(self, on_paper: bool) -> Editor:
        """What edits lines there; made when it is wanted."""
        if on_paper not in self._editors:
            self._editors[on_paper] = editor = Editor(
                self.rt,
                self._typed_prompt,
                on_paper=on_paper,
                input=self._input,
                output=None if on_paper else self._output,
                message=self._message,
                history=Lines(self.history),
                lexer=self._lexers[-1],
                completer=self._completer,
                auto_suggest=None if on_paper else Suggest(self.rt, self.link, self.history),
                key_bindings=merge_key_bindings(
                    [bindings(self.rt), self._more_keys(), DynamicKeyBindings(lambda: self._bound)]
                ),
                multiline=True,
                prompt_continuation=self._continuation,
                style=_STYLE,
                complete_while_typing=False,
                complete_style=CompleteStyle.READLINE_LIKE if on_paper else CompleteStyle.COLUMN,
            )
            app = editor.session.app
            search.tell_misses(app.layout)
            self._changes[on_paper] = LastChange(app, editor.session.default_buffer)
            app.ttimeoutlen = _ESCAPE_S
            app.terminal_size_polling_interval = None  # a change of size is told by SIGWINCH, once
            drawn_anew = app._on_resize  # noqa: SLF001
            app._on_resize = lambda: self._resized(drawn_anew)  # type: ignore[method-assign]  # noqa: SLF001
        return self._editors[on_paper]

    @property
    def session(self) -> PromptSession[Any]:
        """prompt_toolkit's part of the editor."""
        return self.editor.session

    @property
    def marks(self) -> bool:
        """Whether the terminal is told more than what is to be seen."""
        return terminal_marks.takes_marks(self.rt.values) and not self.editor.on_paper

    def read(self) -> str | None:
        """The next complete command; None for Ctrl-D. Raises Interrupted for Ctrl-C, IdleError."""
        if not (self.rt.vi or self.rt.emacs):
            return self._plain.read()
        self._prepare()
        self.session.editing_mode = EditingMode.VI if self.rt.vi else EditingMode.EMACS
        begin: Document | str = Document(self.offered.take())
        while isinstance(begin, Document):
            taken = self._edit(begin)
            if taken is None or isinstance(taken, str):
                return taken
            begin = taken.run(self.rt)
        return begin

    def _more_keys(self) -> KeyBindings:
        """Keys that end in something else than a line, or have something follow it."""
        found = KeyBindings()
        here = has_focus(DEFAULT_BUFFER)
        found.add("c-o", filter=here & emacs_insert_mode)(self.offered.run_and_go_on(self.rt))
        found.add("escape", "t", filter=here & emacs_insert_mode)(_transpose_words)
        found.add("c-x", "c-e", filter=here & emacs_mode)(_open_editor)
        found.add("v", filter=here & vi_navigation_mode)(_open_editor)
        found.add(".", filter=here & vi_navigation_mode)(self._change_again)
        old = here & Condition(lambda: not self._looked_for() and self._lines.may_be_old(self.session.default_buffer))
        for key in ("up", "c-p", "c-r", "c-s"):
            found.add(key, filter=old, record_in_macro=False)(self._look_back)
        for key in ("k", "/", "?"):
            found.add(key, filter=old & vi_navigation_mode, record_in_macro=False)(self._look_back)
        return found

    def _change_again(self, event: KeyPressEvent) -> None:
        self._changes[self.editor.on_paper].again(event)

    @property
    def _lines(self) -> Lines:
        history = self.session.history
        assert isinstance(history, Lines)
        return history

    def _look_back(self, event: KeyPressEvent) -> None:
        """Before a key that shows lines typed before: those that other shells have run since this prompt came."""
        self._lines.bring_up(self.session.default_buffer)
        self._looked = [KeyPress(key.key, key.data) for key in event.key_sequence]
        if event.arg_present:
            event.key_processor.arg = str(event.arg)  # it is for the key
        event.app.key_processor.feed_multiple(self._looked, first=True)

    def _looked_for(self) -> bool:
        """Whether the key that is being matched is one that `_look_back` has put back, however long it took."""
        return any(key is looked for key in get_app().key_processor.key_buffer for looked in self._looked)

    def _edit(self, begin: Document) -> str | Pressed | InEditor | None:
        """The line, or the key that runs a command before it goes on."""
        self.rt.signals.at_prompt = self._signal
        try:
            with Section(self.rt.signals, PROMPTING):
                taken: str | Pressed | InEditor | None = self.editor.read(begin, self._running)
            return taken
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return None  # nobody sees the prompt any more
        finally:
            self.rt.signals.at_prompt = None
            self.glance.changed = self.known.changed = None
            self._loop, self._watched = None, None

    def offer(self, text: str) -> bool:
        """The next line begins with this, for somebody to look at it."""
        self.offered.text = text
        return True

    def begins(self, text: str) -> None:
        """What was read is about to run."""
        if self.marks:
            self.rt.prompt(terminal_marks.command_begins(text))

    def ended(self, text: str, duration_s: float) -> None:
        """It has run."""
        self.glance.duration_s = duration_s
        if self.marks:
            self.rt.prompt(terminal_marks.command_ended(self.rt.status))

    # ---------------------------------------------------------------------------------- what is shown

    def _prepare(self) -> None:
        shows = echoes(0)  # else what is typed is not to be seen: a program types, and reads what is written
        self.editor = self._editor_on(self._is_paper or not shows)
        if isinstance(self.session.app.renderer, Typewriter):
            self.session.app.renderer.silent = not shows
            self.session.app.renderer.breaks = shows or self.rt.brackets_paste()
        elif isinstance(self.session.app.renderer, DrawnOnce):
            self.session.app.renderer.behind = terminal_marks.PROMPT_ENDS if self.marks else ""
        if isinstance(self.session.app.output, Screen):
            self.session.app.output.brackets = self.rt.brackets_paste()
        self.glance.look()
        self.known.renew()
        self.history.renew()
        if self.marks:
            folder = self.rt.vars.get("PWD") or "/"
            self.rt.prompt(terminal_marks.folder(folder) + terminal_marks.title(prompts.short_folder(self.rt)))
        if self.rt.bound != self._bound_of:
            from aish.shell.bound_keys import bound

            self._bound, self._bound_of = bound(self.rt, self.offered), dict(self.rt.bound)
        self._prefix = None
        self._more.clear()
        text = self.rt.vars.get("PS1") or ""
        if text.endswith(PLAIN_PS1) and not isinstance(self.session.app.renderer, Typewriter):
            self._prefix = prompts.expand_text(self.rt, text.removesuffix(PLAIN_PS1), markers=True)
        else:
            self._first = prompts.expand(self.rt, "PS1", markers=True)

    def _message(self) -> AnyFormattedText:
        if self._prefix is not None:
            own = FormattedText(self.glance.parts(self.rt.status, venv=not self._prefix))
            shown: AnyFormattedText = merge_formatted_text([ANSI(for_toolkit(self._prefix)), own])
        else:
            shown = ANSI(for_toolkit(self._first))
        fragments = list(to_formatted_text(shown, style=SEEN))
        if not self.marks:
            return fragments
        renderer = self.session.app.renderer
        if isinstance(renderer, DrawnOnce) and renderer.has_begun:
            return fragments
        begin, end = (
            ("[ZeroWidthEscape]", terminal_marks.PROMPT_BEGINS),
            ("[ZeroWidthEscape]", terminal_marks.PROMPT_ENDS),
        )
        return [begin, *fragments, end] if self.session.default_buffer.text else [begin, *fragments]

    def _typed_prompt(self, row: int) -> str | None:
        """As it is written; None for the prompt of our own, which changes while it is seen."""
        if self._prefix is not None:
            return None
        if row and not self.editor.on_paper and self.rt.vars.get("PS2") == "> ":
            return "> ".rjust(get_cwidth(visible(self._first.rpartition("\n")[2])))
        text = prompts.unmarked(self._second(row) if row else self._first)
        return text if row or not self.marks else terminal_marks.PROMPT_BEGINS + text + terminal_marks.PROMPT_ENDS

    def _lexer(self) -> ShellLexer:
        return ShellLexer(self.rt, self.known, self._rows_at_once)

    def _rows_at_once(self) -> int:
        """Rows that the editor has as they were typed."""
        renderer = self.session.app.renderer
        return renderer.at_once if isinstance(renderer, DrawnOnce) else 0

    def _second(self, row: int) -> str:
        """PS2, expanded when its row is first drawn: in the midst of the prompt, but as commands are run."""
        if row not in self._more:
            self._more[row] = "> "
            try:
                with Section(self.rt.signals, signals.RUNNING):
                    self._more[row] = prompts.expand(self.rt, "PS2", markers=True)
            except (Unwind, AishError) as error:  # Ctrl-C, or an action that came meanwhile: the line ends of it
                asyncio.get_running_loop().call_soon(_give_up, error)
            for signo in self.rt.signals.arrived:  # meanwhile
                self._signal(signo)
        return self._more[row]

    def _continuation(self, width: int, number: int, wrapped: int) -> AnyFormattedText:
        if wrapped:
            return ""  # a long line goes on as a terminal shows it
        text = self.rt.vars.get("PS2") or ""
        if text == "> ":
            return [(SEEN, text.rjust(width))]
        return to_formatted_text(ANSI(for_toolkit(self._second(number))), style=SEEN)

    # ---------------------------------------------------------------------------------------- the loop

    def _running(self) -> None:
        """The event loop runs: receive answers in it."""
        self._changes[self.editor.on_paper].begin()
        self._loop = asyncio.get_running_loop()
        self.glance.changed, self.known.changed = get_app().invalidate, self._paint_anew
        self._watch(self.link.fileno())
        self._check()
        for signo in self.rt.signals.arrived:  # since the last command, before there was a loop to tell
            self._loop.call_soon(self._act, signo)
        wait_s = idle_s(self.rt)
        if wait_s is not None:
            self._loop.call_later(wait_s, self._idle)

    def _paint_anew(self) -> None:
        """More is known of the words. Colours are remembered by the lexer that gave them: take a new one."""
        self._lexers.append(self._lexer())
        self.session.lexer = self._lexers[-1]
        get_app().invalidate()

    def _watch(self, fd: int | None) -> None:
        if self._loop is not None and self._watched is not None:
            self._loop.remove_reader(self._watched)
            self._watched = None
        if self._loop is not None and fd is not None:
            self._loop.add_reader(fd, self.link.receive)
            self._watched = fd

    def _check(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self.link.check()
            self._loop.call_later(_CHECK_S, self._check)

    def _idle(self) -> None:
        if get_app().is_running and not get_app().is_done:  # the line may just have been taken
            get_app().exit(exception=IdleError())

    def _signal(self, signo: int) -> None:
        """In a signal's handler."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._act, signo)

    def _act(self, signo: int) -> None:
        app = get_app()
        if not app.is_running or app.is_done:
            return
        if signo == SIGHUP and not self.rt.signals.traps.get(SIGHUP):
            app.exit(exception=Interrupted(SIGHUP))
        elif signo == SIGCHLD and not self.rt.signals.traps.get(SIGCHLD):
            if self.rt.jobs.has_news():
                run_in_terminal(lambda: self.rt.jobs.tell_news(self.rt))
        else:
            run_in_terminal(lambda: run_traps(self.rt))

    def _resized(self, drawn_anew: Callable[[], None]) -> None:
        """SIGWINCH, which is the event loop's while a line is edited."""
        drawn_anew()
        if self.rt.signals.traps.get(SIGWINCH):
            self.rt.signals.note(SIGWINCH)
            self._act(SIGWINCH)


def _give_up(error: BaseException) -> None:
    """What came while the line was drawn."""
    app = get_app()
    if app.is_running and not app.is_done:
        app.exit(exception=error, style="class:aborting" if isinstance(error, Interrupted) else "")


def _transpose_words(event: KeyPressEvent) -> None:
    """Loaded with the key: the first prompt need not wait for it."""
    from aish.shell.key_functions import transpose_words

    transpose_words(event)


def _open_editor(event: KeyPressEvent) -> None:
    """The same."""
    from aish.shell.bound_keys import open_editor

    open_editor(event)


def for_toolkit(text: str) -> str:
    """What \\[ and \\] enclose is passed on, but for colours: prompt_toolkit, which repaints, must know them."""
    found: list[str] = []
    for number, piece in enumerate(text.replace(prompts.END, prompts.BEGIN).split(prompts.BEGIN)):
        if number % 2 and not (piece.startswith("\x1b[") and piece.endswith("m")):
            found.append(f"\x01{piece}\x02")
        else:
            found.append(piece)
    return "".join(found)
