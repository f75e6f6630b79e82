"""Commands that only compute, run in the shell itself where a copy of it would only be asked what they wrote.

    x=$(kind "$file")               the output of commands
    printf '%s\\n' "$x" | program    the first stage of a pipeline, where it writes little

What such commands change is put back: `footprint` says what that can be. A copy would cost 2 ms, and more the larger
the shell has grown.
"""

from __future__ import annotations

import os

from aish.error import AishError
from aish.lang import builtins
from aish.lang.control import Break, Continue, Exit, Return, status_of
from aish.lang.footprint import HARMLESS, Footprint, footprint
from aish.lang.source import Source
from aish.lang.text import decode, encode
from aish.lang.tree import Function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.compile_program import Program
    from aish.lang.compile_word import Text
    from aish.lang.runtime import Function as ShellFunction
    from aish.lang.runtime import Run, Runtime
    from aish.lang.tree import CommandSub, Node

    _Others = tuple[Program | None, Text]


def substitution(src: Source, part: CommandSub) -> Text:
    """The closure for $(..), which decides each time how little is enough."""
    inside = compile_inside(src, part.body)
    others: _Others | None = None

    def run(rt: Runtime) -> str:
        nonlocal others
        if inside is not None and (done := inside.run(rt, errexit="inherit_errexit" in rt.shopt)) is not None:
            rt.substituted = rt.status = done[0]
            written = done[1].replace("\0", "")
            if not written.isascii():
                written = decode(encode(written))  # characters that were written byte by byte
            return written.rstrip("\n")
        if others is None:
            others = _others(src, part)
        program, copy = others
        output = None if program is None else _output(rt, program, src.text[part.start : part.end])
        return copy(rt) if output is None else output

    return run


def _others(src: Source, part: CommandSub) -> _Others:
    """What is done where it cannot be done inside."""
    from aish.lang.compile_program import compile_program
    from aish.lang.compile_substitution import captured

    items = part.body.items
    return compile_program(src, items[0]) if len(items) == 1 else None, captured(src, part)


class Inside:
    """Commands that leave nothing behind that could not be put back."""

    def __init__(self, src: Source, node: Node, own: Footprint, tested: bool) -> None:
        self.src, self.node, self.own, self.tested = src, node, own, tested
        self.body: Run | None = None

    def run(self, rt: Runtime, *, errexit: bool = True) -> tuple[int, str] | None:
        """Their status, and what they wrote; None where a copy would do something else. Without `errexit` `set -e` is
        not in force."""
        whole = None if _is_watched(rt) else _whole(rt, self.own)
        if whole is None or not whole.names.isdisjoint(rt.vars.arrays) or not whole.names.isdisjoint(rt.vars.dynamic):
            return None  # an array is changed in place, and what the shell makes up has more than a value
        if self.body is None:
            from aish.lang.compile import compile_command

            self.body = compile_command(self.src, self.node, tested=self.tested)
        return _inside(rt, self.body, whole, errexit)


def compile_inside(src: Source, node: Node, *, tested: bool = False) -> Inside | None:
    """None where what they leave behind cannot be told."""
    own = footprint(node)
    return None if own is None else Inside(src, node, own, tested)


def _is_watched(rt: Runtime) -> bool:
    """Whether the shell is in a state in which a copy would do something else."""
    return bool(
        rt.xtrace
        or rt.interactive
        or rt.signals.traps
        or rt.disabled  # a built-in's name is that of a program
        or rt.aliases  # a function's text is not what it does
        or rt.vars.references  # a name is not what is set
    )


# ----------------------------------------------------------------------------------------- in the shell


_known: dict[str, Footprint | None] = {}
"""Of functions, by their definitions."""


def _whole(rt: Runtime, own: Footprint) -> Footprint | None:
    """With those of the functions that are called; None where anything else would be run."""
    functions = rt.functions
    if own.commands <= HARMLESS and functions.keys().isdisjoint(own.commands):
        return own
    names, seen = set(own.names), set()
    pending = list(own.commands)
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in functions:
            called = None if name in builtins.TOPIC_OF else _of_function(functions[name])
            if called is None:
                return None
            names |= called.names
            pending += called.commands
        elif name not in HARMLESS:
            return None
    whole = Footprint()
    whole.names, whole.commands = names, seen
    return whole


def _of_function(function: ShellFunction) -> Footprint | None:
    text = function.definition
    if text not in _known:
        from aish.lang.script import parse

        commands = parse(text).commands
        items = commands[0].items if len(commands) == 1 else []
        single = items[0] if len(items) == 1 else None
        _known[text] = footprint(single.body, of_function=True) if isinstance(single, Function) else None
    return _known[text]


def _inside(rt: Runtime, body: Run, whole: Footprint, errexit: bool) -> tuple[int, str]:
    """Run it with its output kept, and put back what it changed."""
    folder = os.open(".", os.O_PATH | os.O_CLOEXEC) if "cd" in whole.commands else -1
    saved = rt.capture, rt.params, rt.last_argument, rt.at, rt.exits, rt.folder, rt.pipe_status
    values = rt.values.copy()
    written: list[str] = []
    rt.capture = written
    rt.errexit = rt.exits = rt.exits and errexit
    rt.vars.push_copied(whole.names)
    try:
        status = _settled(rt, body)
    finally:
        rt.vars.pop()
        rt.capture, rt.params, rt.last_argument, rt.at, rt.exits, rt.folder, rt.pipe_status = saved
        rt.errexit = rt.exits
        if rt.values != values:  # a value that is an expression has assigned to something
            _put_back(rt, values)
        if folder >= 0:
            os.fchdir(folder)
            os.close(folder)
    output = "".join(written)
    return status & 0xFF, output


def _put_back(rt: Runtime, values: dict[str, str]) -> None:
    for name in [*values, *(rt.values.keys() - values.keys())]:
        if name not in values:
            rt.vars.unset(name)
        elif rt.values.get(name) != values[name]:
            rt.vars.set(name, values[name])


def _settled(rt: Runtime, body: Run) -> int:
    """As a process of the shell ends: ending.settle. There are no traps."""
    try:
        return body(rt)
    except (Exit, Return) as error:
        return error.status
    except Break as error:  # of a loop around it
        return error.status
    except Continue:
        return 0
    except AishError as error:
        rt.report(error)
        return status_of(error)


# --------------------------------------------------------------------------------------------- programs


def _output(rt: Runtime, program: Program, text: str) -> str | None:
    """What a program alone wrote; None where a copy of the shell is needed."""
    from aish.lang.compile_substitution import pipe, read_all
    from aish.lang.job import Job

    read, write = pipe(rt)
    monitor, rt.monitor = rt.monitor, False  # it stays in the shell's own process group
    try:
        try:
            pid = program.start(rt, (-1, write))
        finally:
            os.close(write)
        if pid is None:
            return None
        job = Job(text)
        job.add(pid)
        output = read_all(rt, read)
        rt.substituted = rt.status = rt.jobs.wait_foreground(rt, job, settles=False)
    finally:
        rt.monitor = monitor
        os.close(read)
    return decode(output.replace(b"\0", b"")).rstrip("\n")
