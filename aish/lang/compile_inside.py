"""$(..) without a copy of the shell: commands that only compute are run here, a program alone is started from here.

What such commands change is put back: `footprint` says what that can be. A copy would cost 2 ms and more the larger
the shell has grown, a program by posix_spawn a third of that.
"""

from __future__ import annotations

import os

from aish.errors import AishError
from aish.lang import builtins
from aish.lang.compile_pipeline import _read_all, captured, pipe
from aish.lang.compile_program import Program, compile_program
from aish.lang.control import Break, Continue, Exit, Return, status_of
from aish.lang.footprint import HARMLESS, Footprint, footprint
from aish.lang.jobs import Job
from aish.lang.source import Source
from aish.lang.text import decode, encode
from aish.lang.tree import Function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.compile_word import Text
    from aish.lang.runtime import Function as ShellFunction
    from aish.lang.runtime import Run, Runtime
    from aish.lang.tree import CommandSub


def substitution(src: Source, part: CommandSub) -> Text:
    """The closure for $(..), which decides each time how little is enough."""
    copy = captured(src, part)
    own = footprint(part.body)
    program = compile_program(src, part.body.items[0]) if len(part.body.items) == 1 else None
    if own is None and program is None:
        return copy
    text = src.text[part.start : part.end]
    body: Run | None = None

    def run(rt: Runtime) -> str:
        nonlocal body
        whole = None if own is None or _is_watched(rt) else _whole(rt, own)
        if whole is not None:
            if body is None:
                from aish.lang.compile import compile_command

                body = compile_command(src, part.body)
            return _inside(rt, body, whole)
        output = None if program is None else _output(rt, program, text)
        return copy(rt) if output is None else output

    return run


def _is_watched(rt: Runtime) -> bool:
    """Whether the shell is in a state in which a copy would do something else."""
    return bool(
        rt.xtrace
        or rt.interactive
        or rt.monitor
        or rt.signals.traps
        or getattr(rt, "aliases", None)  # a function's text is not what it does
        or getattr(rt.vars, "references", None)  # a name is not what is set
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
        from aish.lang.parser import parse

        commands = parse(text).commands
        items = commands[0].items if len(commands) == 1 else []
        _known[text] = footprint(items[0].body) if len(items) == 1 and isinstance(items[0], Function) else None
    return _known[text]


def _inside(rt: Runtime, body: Run, whole: Footprint) -> str:
    """Run it with its output kept, and put back what it changed."""
    folder = os.open(".", os.O_PATH | os.O_CLOEXEC) if "cd" in whole.commands else -1
    saved = rt.capture, rt.params, rt.loops, rt.last_argument, rt.at, rt.errexit
    written: list[str] = []
    rt.capture, rt.loops = written, 0
    rt.errexit = rt.errexit and rt.posix  # as in bash
    rt.vars.push()
    for name in whole.names:
        rt.vars.local(name)
    try:
        status = _settled(rt, body)
    finally:
        rt.vars.pop()
        rt.capture, rt.params, rt.loops, rt.last_argument, rt.at, rt.errexit = saved
        if folder >= 0:
            os.fchdir(folder)
            os.close(folder)
    rt.substituted = rt.status = status & 0xFF
    output = "".join(written)
    if not output.isascii():
        output = decode(encode(output)).replace("\0", "")  # characters that were written byte by byte
    elif "\0" in output:
        output = output.replace("\0", "")
    return output.rstrip("\n")


def _settled(rt: Runtime, body: Run) -> int:
    """As a process of the shell ends: process.settle. There are no traps."""
    try:
        return body(rt)
    except (Exit, Return) as error:
        return error.status
    except (Break, Continue):
        return rt.status
    except AishError as error:
        rt.report(error)
        return status_of(error)


# --------------------------------------------------------------------------------------------- programs


def _output(rt: Runtime, program: Program, text: str) -> str | None:
    """What a program alone wrote; None where a copy of the shell is needed."""
    read, write = pipe(rt)
    try:
        try:
            pid = program.start(rt, (-1, write))
        finally:
            os.close(write)
        if pid is None:
            return None
        job = Job(text)
        job.add(pid)
        output = _read_all(rt, read)
        rt.substituted = rt.status = rt.jobs.wait_foreground(rt, job)
    finally:
        os.close(read)
    return decode(output.replace(b"\0", b"")).rstrip("\n")
