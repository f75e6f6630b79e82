"""A program with plain words and redirections, started by posix_spawn where a copy of the shell would only become it.

    x=$(program)        compile_inside
    program | ...       compile_pipeline

Its words are expanded in the shell itself, so they must have no effect there: footprint.is_pure. A copy is made after
all wherever it would do something else, or has to say why the program cannot be run.
"""

from __future__ import annotations

import os

from aish.error import AishError
from aish.lang import builtins, compile_word, process
from aish.lang.descriptors import place, restore
from aish.lang.footprint import is_pure
from aish.lang.source import Site
from aish.lang.tree import Simple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.compile_redirect import Apply
    from aish.lang.runtime import Runtime
    from aish.lang.source import Source
    from aish.lang.tree import Node, Redirect

_LAST_SIGNAL = 64
"""Traps with higher numbers are for commands: DEBUG and its like."""


class Program:
    """The command's closures."""

    def __init__(self, src: Source, node: Simple, name: str) -> None:
        self.name = name
        self.site = Site(src, node.start, node.end)
        self.arguments = compile_word.argument_list([compile_word.fields(src, word) for word in node.words])
        self.redirects: list[Apply] = []
        if node.redirects:
            from aish.lang.compile_redirect import compile_redirects

            self.redirects = compile_redirects(src, node.redirects)

    def start(self, rt: Runtime, streams: tuple[int, int], *, merge: bool = False) -> int | None:
        """Its process id; None where a copy of the shell is needed. `streams` are its stdin and stdout where they are
        not -1; `merge`: its stderr is its stdout."""
        name = self.name
        if (
            rt.xtrace
            or rt.monitor
            or rt.keyword
            or any(action and signo > _LAST_SIGNAL for signo, action in rt.signals.traps.items())
        ):
            return None
        if name in rt.functions or builtins.find(name) is not None or rt.host.is_supervised(name):
            return None
        path = rt.commands.look(name)
        if path is None or process.may_be_stopped(rt):
            return None
        before, rt.at = rt.at, self.site
        try:
            argv = self.arguments(rt)
            if self.redirects or min(stream for stream in streams if stream >= 0) < 3:
                return self._redirected(rt, path, argv, streams, merge)
            actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(streams) if fd >= 0]
            if merge:
                actions.append((os.POSIX_SPAWN_DUP2, 1, 2))
            return process.spawn(rt, path, argv, rt.environment_for(path), actions)
        except AishError:
            rt.commands.looked.pop(name, None)  # it may have gone
            return None  # the copy has the same trouble, and its own stderr to tell it on
        finally:
            rt.at = before

    def _redirected(self, rt: Runtime, path: str, argv: list[str], streams: tuple[int, int], merge: bool) -> int:
        """The redirections are done here, and undone. Raises AishError."""
        saved: list[tuple[int, int]] = []
        try:
            for number, fd in enumerate(streams):
                if fd >= 0:
                    place(os.dup(fd), number, saved)
            if merge:
                place(os.dup(1), 2, saved)
            for apply in self.redirects:
                apply(rt, saved)
            return process.spawn(rt, path, argv, rt.environment_for(path))
        finally:
            restore(saved)


def _opens_nothing(redirect: Redirect) -> bool:
    """A copy of a descriptor, a here-document, /dev/null."""
    if getattr(redirect, "variable", None) is not None:
        return False
    return redirect.op in (">&", "<&", "<<", "<<<") or redirect.target.literal() == "/dev/null"


def compile_program(src: Source, node: Node) -> Program | None:
    """None for anything else."""
    if not isinstance(node, Simple) or node.assigns or not node.words:
        return None
    name = node.words[0].literal()
    if name is None or name in builtins.TOPIC_OF:
        return None
    if not is_pure([*node.words, *(redirect.target for redirect in node.redirects)]):
        return None
    if not all(map(_opens_nothing, node.redirects)):
        return None  # opening may wait, or fail when something is done already
    return Program(src, node, name)
