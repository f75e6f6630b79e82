"""The shell's answers to what the language asks: agents, verbs and tensor edges, loaded when they are used."""

from __future__ import annotations

import posix

from aish.lang.control import CommandError
from aish.lang.text import decode

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
        from aish.shell.python_code import as_python_starts, become

        become(environment)
        with as_python_starts():
            return stub.main(argv)

    def is_verb(self, words: list[str]) -> bool:
        return self._is_verb is not None and self._is_verb(words)

    def run_verb(self, words: list[str], environment: dict[str, str]) -> int:
        if self._verb is None:
            raise CommandError("no verbs in this shell", status=127)
        from aish.shell.python_code import as_python_starts, become, flush

        become(environment)
        try:
            with as_python_starts():
                return self._verb(words)
        finally:
            flush()  # what Python buffered belongs into the redirections of this command

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
        from aish.shell.python_code import as_python_starts

        with as_python_starts():
            return edit(rt, prompt, begin, within_s)

    def tree_folder(self) -> str:
        """In the folder that aish.config.folders knows as well, and a lean start has no time for."""
        base = posix.environ.get(b"XDG_CACHE_HOME", b"")
        if base[:1] != b"/":
            base = posix.environ.get(b"HOME", b"") + b"/.cache"
        return decode(base + b"/aish/trees") if base[:1] == b"/" and base != b"/.cache" else ""
