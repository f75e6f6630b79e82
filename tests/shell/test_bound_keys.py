"""Keys that run commands, macros, and what signals do while a line is edited: the editor with keys from a pipe.

(tests/shell/test_job_control.py has the same on a terminal, beside bash.)
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, cast

import pytest
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from aish.lang.control import Exit, Interrupted
from aish.lang.evaluate import run_source
from aish.lang.host import NoHost
from aish.lang.runtime import Runtime
from aish.lang.signals import PROMPTING, Section
from aish.lang.source import Source
from aish.shell.history import History
from aish.shell.prompt import Prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
        self.rt.emacs = self.rt.interactive = self.rt.lasting = True
        self.rt.signals.reinstall()
        run_source(self.rt, Source("setup", setup))

    def read(self, keys: str) -> str | None:
        link = cast("Link", Nobody())
        with create_pipe_input() as pipe:
            pipe.send_text(keys)
            self.prompt = Prompt(self.rt, link, History(self.rt, link), input=pipe, output=DummyOutput())
            return self.prompt.read()


@pytest.fixture(autouse=True)
def dispositions() -> Iterator[None]:
    kept = {signo: signal.getsignal(signo) for signo in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)}
    yield
    for signo, handler in kept.items():
        signal.signal(signo, handler)


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ('READLINE_LINE="new $READLINE_LINE"', "ne!w ab"),
        ("READLINE_POINT=0", "!ab"),
        ("READLINE_POINT=" + "9" * 5000, "ab!"),
        ("unset READLINE_LINE", "!"),
        ("kill -INT $$; while :; do :; done", "ab!"),
    ],
)
def test_a_command_sees_the_line_and_may_change_it(command: str, line: str) -> None:
    """Ctrl-C never reached one that was endless: SIGINT was the event loop's."""
    editor = Editor(f"bind -x '\"\\C-t\": {command}'; (exit 3)")
    assert editor.read("ab\x14!\r") == line
    assert editor.rt.status == 3
    assert "READLINE_LINE" not in editor.rt.values


@pytest.mark.parametrize(
    ("setup", "left"),
    [
        ("bind -x '\"\\C-t\": exit 3'", Exit),
        ("bind -x '\"\\C-t\": kill -HUP $$'", Interrupted),
    ],
)
def test_a_command_may_end_the_shell(setup: str, left: type[BaseException]) -> None:
    """It stuck in the event loop, and the keyboard was dead."""
    editor = Editor(setup)
    with pytest.raises(left):
        editor.read("ab\x14\r")
    assert "READLINE_LINE" not in editor.rt.values


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
