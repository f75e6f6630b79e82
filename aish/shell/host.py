"""The shell's answers to what the language asks: agents, verbs and tensor edges, loaded when they are used."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os
import sys

from aish.lang.control import CommandError
from aish.lang.depth import ordinary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aish.lang.host import TensorEdge
    from aish.lang.runtime import Runtime

_HOLD_THE_TERMINAL = frozenset(["run", "top", "logs", "events", "wait", "attach"])
"""Verbs that may last: at a prompt they are jobs, so that Ctrl-Z works and Ctrl-C ends nothing else."""


class ShellHost:
    """Its arguments come from the command line (see `main` of aish.shell)."""

    def __init__(
        self,
        verb: Callable[[list[str]], int] | None = None,
        is_verb: Callable[[list[str]], bool] | None = None,
        verbs: Iterable[str] = (),
        names: Callable[[], list[str]] | None = None,
        after: Callable[[list[str], str], list[tuple[str, str]] | None] | None = None,
    ) -> None:
        self._verb = verb
        self._is_verb = is_verb
        self.verbs = verbs
        self.names = names
        self.after = after

    def is_supervised(self, name: str) -> bool:
        return len(name) > 1 and name[0] == "@"

    def run_stage(self, argv: list[str], environment: dict[str, str]) -> int:
        from aish.agents import stub

        _fill()
        _become(environment)
        with ordinary(), _AsPythonStarts():
            return stub.main(argv)

    def is_verb(self, words: list[str]) -> bool:
        return self._is_verb is not None and self._is_verb(words)

    def run_verb(self, words: list[str], environment: dict[str, str]) -> int:
        if self._verb is None:
            raise CommandError("no verbs in this shell", status=127)
        _fill()
        _become(environment)
        try:
            with ordinary(), _AsPythonStarts():
                return self._verb(words)
        finally:
            _flush()  # what Python buffered belongs into the redirections of this command

    def verb_needs_process(self, words: list[str]) -> bool:
        return bool(words) and words[0] in _HOLD_THE_TERMINAL

    def tensor_edge(self) -> TensorEdge:
        from aish.tensor.edge import create
        from aish.tensor.errors import TensorError

        try:
            return create()
        except TensorError as error:  # a tree of its own: aish.tensor knows nothing of aish
            raise CommandError(str(error), hint=getattr(error, "hint", None)) from None

    def edit_line(self, rt: Runtime, prompt: str, begin: str, within_s: float | None) -> str | None:
        from aish.shell.line_edit import edit

        with ordinary(), _AsPythonStarts():
            return edit(rt, prompt, begin, within_s)

    def tree_folder(self) -> str:
        from aish.config import folders

        return os.path.join(folders.cache(), "trees")


class _AsPythonStarts:
    """Without the signals that writing may bring: in the shell they have their default action, but Python code, and
    verbs are that, is written for an error instead. A daemon that dies must not end the shell that talks to it."""

    __slots__ = ("_before",)

    def __enter__(self) -> None:
        self._before = [
            (number, _signal.signal(number, _signal.SIG_IGN)) for number in (_signal.SIGPIPE, _signal.SIGXFSZ)
        ]

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before:
            _signal.signal(number, _signal.SIG_DFL if handler is None else handler)


def _fill() -> None:
    """`aish ps >&-`: a socket of the verb's own must not become what it prints to."""
    from aish.streams import fill

    fill()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass  # closed, or its reader is gone: the verb has told


def _become(environment: dict[str, str]) -> None:
    """Python code that runs as a command sees the shell's exported variables in os.environ."""
    if os.environ != environment:
        os.environ.clear()
        os.environ.update(environment)
