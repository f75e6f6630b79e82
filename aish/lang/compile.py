"""The tree to closures: dispatch, lists, and-or lists, functions.

A closure takes the Runtime, runs its command, and returns the status, which is also in `Runtime.status`.
Two things are known when a command is compiled and need no care when it runs:
    tested   its failure is a condition's answer (if, while, &&, ||, !), so `set -e` does not look at it
    last     its process ends with it, so a program may replace the process
"""

from __future__ import annotations

from aish.lang.compile_simple import compile_simple
from aish.lang.runtime import Function as ShellFunction
from aish.lang.tree import (
    AndOr,
    Background,
    Calculation,
    Case,
    Coprocess,
    Counting,
    For,
    Function,
    Group,
    If,
    Pipeline,
    Sequence,
    Simple,
    Subshell,
    Test,
    Time,
    Unreadable,
    While,
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
        case Pipeline() | Background() | Subshell():
            from aish.lang import compile_pipeline

            return compile_pipeline.compile_node(src, node, tested, last)
        case Group() | If() | For() | While() | Case() | Test() | Calculation() | Counting():
            from aish.lang import compile_compound

            return compile_compound.compile_node(src, node, tested)
        case Time():
            from aish.lang.timing import timed

            return timed(src, node, tested)
        case Coprocess():
            from aish.lang.compile_process import coprocess

            return coprocess(src, node)
        case Unreadable():
            return _unreadable(src, node)
        case _:
            raise AssertionError(node)


def _unreadable(src: Source, node: Unreadable) -> Run:
    """Raises ParseError, behind what stands before the fault."""
    text, name, line = node.text, src.name, src.line(node.start) - 1
    return lambda rt: rt.run_text(text, name, line)


def compile_sequence(src: Source, node: Sequence, tested: bool, last: bool = False) -> Run:
    """Commands one after the other; between two of them signals have their turn."""
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
            if (status == 0) is wanted:
                status = one(rt)
        return status

    return run


def _function(src: Source, node: Function) -> Run:
    file = "environment" if src.name == "-c" else src.name
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
        if rt.function_marks and "r" in rt.function_marks.get(name, ()):
            rt.complain(f"{name}: readonly function")
            rt.status = 1
            return 1
        rt.functions[name] = function
        if rt.vars.foreign and rt.vars.is_handed_on(name):
            rt.vars.hand_on_function(name, body_text)
        rt.status = 0
        return 0

    return define
