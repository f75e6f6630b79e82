"""Keys that run commands, macros, and what signals do while a line is edited: the editor with keys from a pipe.

(tests/shell/test_job_control.py has the same on a terminal, beside bash.)
"""

from __future__ import annotations

import asyncio
import os
import signal
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from aish.lang.builtins.bind import EMACS
from aish.lang.control import Exit, Interrupted
from aish.lang.evaluate import run_source
from aish.lang.host import NoHost
from aish.lang.runtime import Runtime
from aish.lang.signals import PROMPTING, Section
from aish.lang.source import Source
from aish.shell.bound_keys import Pressed
from aish.shell.history import History
from aish.shell.key_functions import function
from aish.shell.prompt import Prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from prompt_toolkit.key_binding import KeyPressEvent

    from aish.shell.companion.link import Link


class Nobody:
    """A companion that knows nothing, at once."""

    watcher = None

    def begin(self, what: str, within_s: float, then: Callable[[object], None], **fields: object) -> None:
        then(None)

    def ask(self, what: str, within_s: float, **fields: object) -> None:
        """Nothing is known."""

    def wait(self, happened: Callable[[], object], within_s: float) -> None:
        """It is there."""

    def check(self) -> None:
        """Nothing is late."""

    def fileno(self) -> int | None:
        return None


class Editor:
    """A shell of this process."""

    def __init__(self, setup: str) -> None:
        self.rt = Runtime(NoHost(), {"PS1": "$ ", "PS2": "> ", "HISTFILE": "", "n": "0"})
        self.rt.history = True
        self.rt.emacs = self.rt.interactive = self.rt.lasting = self.rt.histexpand = True
        self.rt.signals.reinstall()
        self.typed: list[str] = []
        """Lines before this one."""
        run_source(self.rt, Source("setup", setup))

    def read(self, keys: str) -> str | None:
        link = cast("Link", Nobody())
        with create_pipe_input() as pipe:
            pipe.send_text(keys)
            history = History(self.rt, link)
            for line in self.typed:
                history.begins(line)
            self.rt.typed = history
            self.prompt = Prompt(self.rt, link, history, input=pipe, output=DummyOutput())
            return self.prompt.read()


@pytest.fixture(autouse=True)
def dispositions() -> Iterator[None]:
    kept = {signo: signal.getsignal(signo) for signo in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)}
    yield
    for signo, handler in kept.items():
        signal.signal(signo, handler)


def test_a_command_runs_outside_of_the_editor_which_goes_on() -> None:
    """Ctrl-C never reached one that was endless: SIGINT was the event loop's."""
    editor = Editor("bind -x '\"\\C-t\": kill -INT $$; while :; do :; done'; (exit 3)")
    assert editor.read("ab\x14!\r") == "ab!"
    assert editor.rt.status == 3


@pytest.mark.parametrize(
    ("command", "text", "point"),
    [
        ('READLINE_LINE="new $READLINE_LINE"', "new ab", 2),
        ("READLINE_POINT=0", "ab", 0),
        ("READLINE_POINT=" + "9" * 5000, "ab", 2),
        ("unset READLINE_LINE", "", 0),
    ],
)
def test_a_command_sees_the_line_and_may_change_it(command: str, text: str, point: int) -> None:
    rt = Editor("(exit 3)").rt
    assert Pressed(command, Document("ab", 2)).run(rt) == Document(text, point)
    assert rt.status == 3
    assert "READLINE_LINE" not in rt.values


@pytest.mark.parametrize(("command", "left"), [("exit 3", Exit), ("kill -HUP $$", Interrupted)])
def test_a_command_may_end_the_shell(command: str, left: type[BaseException]) -> None:
    """It stuck in the event loop, and the keyboard was dead."""
    rt = Editor("").rt
    with pytest.raises(left):
        Pressed(command, Document("ab")).run(rt)
    assert "READLINE_LINE" not in rt.values


@pytest.mark.parametrize(
    ("name", "keys", "line"),
    [
        ("history-search-backward", "ec\x0f!\r", "ec!ho two"),
        ("history-search-backward", "ec\x0f\x0f\x0f\r", "echo one"),
        ("history-search-backward", "\x0f\x0f\x0e\r", "echo two"),
        ("history-search-backward", "none\x0f\r", "none"),
        ("history-substring-search-backward", "two\x0f!\r", "echo two!"),
        ("history-substring-search-backward", "echo\x0f\x0f\x0f\x0e\r", "ls -l; echo"),
        ("magic-space", "a !$\x0fb\r", "a two b"),
        ("kill-whole-line", "a b\x01\x0fc\r", "c"),
        ("shell-backward-word", "a b\x0fc\r", "a cb"),
        ("delete-char-or-list", "ab\x01\x0f\r", "b"),
        ("accept-line", "for i in 1 2\x0fdo :; done\x0f", "for i in 1 2\ndo :; done"),
    ],
)
def test_functions_of_readline(name: str, keys: str, line: str) -> None:
    """Keys that people have had for readline. accept-line took a line that was not complete."""
    forward = name.replace("backward", "forward")
    editor = Editor(f"bind '\"\\C-o\": {name}'; bind '\"\\C-n\": {forward}'")
    editor.typed = ["echo one", "ls -l; echo", "echo two"]
    assert editor.read(keys) == line


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("abc\x12echo\x07!\r", "abc!"),
        ("abc\x12echo\x12\x07!\r", "abc!"),  # it left the line of the first Ctrl-R
        ("\x12echo\x12\x12\x13\x07x\r", "x"),
        ("\x12ls\x12\x07\x12echo\x12\r", "ls -l; echo"),
        ("a\x1bqb\r", "ab"),  # q was written
        ("a\x18*b\r", "ab"),
    ],
)
def test_keys_that_nobody_has_bound(keys: str, line: str) -> None:
    editor = Editor("")
    editor.typed = ["echo one", "ls -l; echo", "echo two"]
    assert editor.read(keys) == line


@pytest.mark.parametrize(
    ("bound", "keys", "line"),
    [
        ('"\\C-h": kill-whole-line', "ab\x7fc\x08d\r", "d"),
        ('"\\C-h": kill-whole-line', "ab\x7fc\r", "ac"),
        ('"\\C-h": "1"\' \'"\\C-?": "2"', "\x7f\x08\x7f\r", "212"),
        ('"\\e\\C-h": "1"', "ab\x1b\x08\x1b\x7fc\r", "c"),
        ('"\\C-j": "1"', "a\nb\r", "a1b"),
        ('LFD: "1"', "a\nb\r", "a1b"),
        ("RETURN: accept-line", "if :\rthen :; fi\r", "if :\nthen :; fi"),
        ('"\\C-a": spell-correct-word', "a\x01b\r", "ba"),
        ('"\\C-a": vi-movement-mode', "a\x01b\r", "ba"),
        ('"\\C-d": "1"', "a\x04\r", "a1"),
        ('"\\C-d": "1"', "\x04", None),
        ('"\\C-o": delete-char-or-list', "\x0f", None),
    ],
)
def test_what_keys_are_meant(bound: str, keys: str, line: str | None) -> None:
    """Bound to Ctrl-H or Ctrl-J, it took Backspace or Enter away; a function that this editor has not, the key."""
    assert Editor(f"bind '{bound}'").read(keys) == line


def test_keys_of_vi_are_those_of_vi() -> None:
    editor = Editor("bind -m vi-insert '\"jj\": vi-movement-mode'")
    assert editor.read("ajjx\r") == "ajjx"
    editor.rt.vi, editor.rt.emacs = True, False
    assert editor.read("abjjx\r") == "a"


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("one two three\x1bx..\r", "one two th"),
        ("one two three\x1b0dw.\r", "three"),
        ("one two three\x1b03x.\r", "o three"),
        ("(one) (two)\x1b0di(W.\r", "() ()"),
        ("echo one\x1b0fod$.\r", "ec"),
        ("one two\x1b0cwab\x1bw.\r", "ab ab"),
        ("one\x1bA x\x1b..\r", "one x x x"),
        ("one two\x1b0x$.u\r", "ne two"),
        ("abc\x1b0rxl.\r", "xxc"),
        ("one\x1b.\r", "one"),  # what was typed is no command
        ("one two\x1b0xkj.\r", "e two"),
    ],
)
def test_the_last_change_of_vi(keys: str, line: str) -> None:
    """`.` did nothing."""
    editor = Editor("set -o vi")
    editor.rt.vi, editor.rt.emacs = True, False
    editor.typed = ["echo one"]
    assert editor.read(keys) == line


def test_keys_are_made_anew_only_where_others_are_bound() -> None:
    editor = Editor('bind \'"\\C-o": "1"\'')
    editor.read("a\r")
    made = editor.prompt._bound
    editor.prompt._prepare()
    assert editor.prompt._bound is made
    run_source(editor.rt, Source("later", "bind -r '\\C-o'"))
    editor.prompt._prepare()
    assert editor.prompt._bound is not made


@pytest.mark.parametrize(("words", "lines"), [(["ab", "ac"], ["ab", "ac", "a"]), (["ab "], ["ab ", "ab ab "])])
def test_menu_complete_goes_on_with_each_key(words: list[str], lines: list[str]) -> None:
    """Each key has the next completion inserted. Behind one that was alone a second key went back."""
    press = function(Editor("").rt, "menu-complete", EMACS)
    assert press is not None

    class Words(Completer):
        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
            start = -len(document.text.rpartition(" ")[2])
            yield from [Completion(word, start_position=start) for word in words]

    async def texts() -> list[str]:
        buffer = Buffer(document=Document("a"), completer=Words())
        tasks: list[Coroutine[None, None, None]] = []
        app = SimpleNamespace(create_background_task=tasks.append)
        found = []
        for _ in lines:
            press(cast("KeyPressEvent", SimpleNamespace(current_buffer=buffer, arg=1, app=app)))
            while tasks:
                await tasks.pop()
            found.append(buffer.text)
        return found

    assert asyncio.run(texts()) == lines


def test_an_action_may_end_the_shell() -> None:
    editor = Editor(f"trap 'exit 4' USR1; PS2='$(kill -USR1 {os.getpid()})> '")
    with pytest.raises(Exit) as ended:
        editor.read("if\r")
    assert ended.value.status == 4


@pytest.mark.parametrize(
    ("text", "keys", "line"),
    [("xy", "1\x0f2\r", "1xy2"), ("ab\\C-o", "\x0f1\r", "1"), ("\\C-o\\C-o", "\x0f1\r", "1")],
)
def test_a_macro_that_sends_itself_ends(text: str, keys: str, line: str) -> None:
    editor = Editor(f'bind \'"\\C-o": "{text}"\'')
    found = editor.read(keys)
    assert found is not None
    assert found.replace("ab", "") == line


def test_a_prompt_is_expanded_once_and_signals_are_as_before() -> None:
    """It was at each drawing, so that it could not count; and after a $( ) in it a signal was only noted."""
    editor = Editor("PS1='$((n++)) '; PS2='$(:)$((n++)) '")
    assert editor.read("true\r") == "true"
    assert editor.rt.values["n"] == "1"
    signals = editor.rt.signals
    with Section(signals, PROMPTING):
        assert [editor.prompt._typed_prompt(row) for row in (0, 1, 1, 2, 0)] == ["0 ", "1 ", "1 ", "2 ", "0 "]
        assert signals.mode is PROMPTING
