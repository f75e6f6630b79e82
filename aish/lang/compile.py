"""The tree to closures: dispatch, lists, and-or lists, functions.

A closure takes the Runtime, runs its command, and returns the status, which is also in `Runtime.status`.
Two things are known when a command is compiled and need no care when it runs:
    tested   its failure is a condition's answer (if, while, &&, ||, !), so `set -e` does not look at it
    last     its process ends with it, so a program may replace the process
"""

from __future__ import annotations

from aish.lang.compile_simple import compile_simple
from aish.lang.control import Exit
from aish.lang.runtime import Function as ShellFunction
from aish.lang.source import ParseError
from aish.lang.text import is_name
from aish.lang.tree import (
    AndOr,
    Background,
    Compound,
    Function,
    Pipeline,
    Sequence,
    Simple,
    Subshell,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.runtime import Run, Runtime
    from aish.lang.source import Source
    from aish.lang.tree import Node


def compile_command(src: Source, node: Node, *, tested: bool = False, last: bool = False) -> Run:
    """The closure for any command."""
    match node:
        case Simple():
            return compile_simple(src, node, tested, last)
        case Sequence():
            return compile_sequence(src, node, tested, last)
        case AndOr():
            return _and_or(src, node, tested, last)
        case Function():
            return _function(src, node)
        case Pipeline() | Background():
            from aish.lang import compile_pipeline

            return compile_pipeline.compile_node(src, node, tested)
        case Subshell():
            from aish.lang import compile_subshell

            return compile_subshell.subshell(src, node, tested, last)
        case Compound():
            from aish.lang import compile_compound

            return compile_compound.compile_node(src, node, tested)
        case _:
            return _of_bash(src, node, tested)


def _of_bash(src: Source, node: Node, tested: bool) -> Run:
    from aish.lang.tree_bash import Coprocess, Time

    match node:
        case Time():
            from aish.lang.timing import timed

            return timed(src, node, tested)
        case Coprocess():
            from aish.lang.compile_process import coprocess

            return coprocess(src, node)
        case _:
            return _broken(src, node)


def _broken(src: Source, node: Node) -> Run:
    from aish.lang.tree_broken import Broken

    assert isinstance(node, Broken)

    def run(rt: Runtime) -> int:
        raise ParseError(node.message, src, node.start, node.end, hint=node.hint)

    return run


def compile_sequence(src: Source, node: Sequence, tested: bool, last: bool = False) -> Run:
    """Commands one after the other; between two of them, as between any two, signals have their turn."""
    count = len(node.items)
    runs = [
        compile_command(src, item, tested=tested, last=last and i == count - 1) for i, item in enumerate(node.items)
    ]
    if len(runs) == 1:
        return runs[0]
    if not runs:
        return nothing

    def run(rt: Runtime) -> int:
        status = 0
        for one in runs:
            status = one(rt)
            if rt.pending:
                rt.signals.poll()
        return status

    return run


def nothing(rt: Runtime) -> int:
    """An empty list: $() and the arms of `case`."""
    rt.status = 0
    return 0


def _and_or(src: Source, node: AndOr, tested: bool, last: bool) -> Run:
    """Every command but the last one is a condition."""
    end = len(node.rest) - 1
    first = compile_command(src, node.first, tested=True)
    rest = [
        (op == "&&", compile_command(src, item, tested=tested or i < end, last=last and i == end))
        for i, (op, item) in enumerate(node.rest)
    ]

    def run(rt: Runtime) -> int:
        status = first(rt)
        for wanted, one in rest:
            if rt.pending:
                rt.signals.poll()
            if (status == 0) is wanted:
                status = one(rt)
        return status

    return run


def _may_be_called(name: str) -> bool:
    """Whether POSIX lets a function have this name."""
    from aish.lang.builtins import SPECIAL

    return is_name(name) and name not in SPECIAL


def _function(src: Source, node: Function) -> Run:
    file = {"-c": "environment", "stdin": "main"}.get(src.name, src.name)
    start, end = node.body_range
    text, body_text = src.text[node.start : node.end], src.text[start:end]
    function: ShellFunction

    def first(rt: Runtime) -> int:
        function.body = body = compile_command(src, node.body)
        return body(rt)

    body = first if src.late else compile_command(src, node.body)
    function = ShellFunction(body, text, body_text, file, (src, node))
    name = node.name

    def define(rt: Runtime) -> int:
        if rt.posix and not _may_be_called(name):
            rt.complain(f"{name}: no name for a function in posix mode")
            if not rt.interactive:
                raise Exit(2)
            rt.status = 1
            return 1
        if rt.function_marks and "r" in rt.function_marks.get(name, ()):
            rt.complain(f"{name}: readonly function")
            rt.status = 1
            return 1
        rt.functions[name] = function
        if rt.allexport or (rt.vars.foreign and rt.vars.is_handed_on(name)):
            rt.vars.hand_on_function(name, body_text)
        rt.status = 0
        return 0

    return define
