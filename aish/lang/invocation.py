"""What a command word turns out to be when it is run: a function, a built-in, a supervised stage, a program."""

from __future__ import annotations

import os

from aish.lang import builtins
from aish.lang.control import CommandError, Exit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Run, Runtime

    Invoke = Callable[[Runtime, list[str]], int]

_MISUSE = 2
_SOURCING = frozenset([".", "source"])
""".: a file that is not there is as bad as an option that is not there."""

_RUNNING = frozenset(["command", "eval", ".", "source", "exec", "trap"])
"""Built-ins that run other commands."""


def invocation(name: str | None, tested: bool, last: bool) -> Invoke:
    """How to run an argv whose first word is `name`, or not known before (None)."""
    if name is None:
        return lambda rt, argv: invoke(rt, argv, tested=tested, last=last)
    builtin = builtins.find(name)
    if builtin is None:

        def call(rt: Runtime, argv: list[str]) -> int:
            function = rt.functions.get(name)
            if function is None or tested:
                return invoke(rt, argv, tested=tested, last=last)
            return rt.call(function, argv)

        return call
    if name in _RUNNING:
        return lambda rt, argv: invoke(rt, argv, tested=tested, last=last)
    regular, special = builtin, name in builtins.SPECIAL

    def run(rt: Runtime, argv: list[str]) -> int:
        if name in rt.functions or name in rt.disabled:
            return invoke(rt, argv, tested=tested, last=last)
        return run_builtin(rt, regular, argv, special=special)

    return run


def invoke(rt: Runtime, argv: list[str], *, tested: bool = False, last: bool = False, functions: bool = True) -> int:
    """Run a function, a built-in, a supervised stage or a program."""
    name = argv[0]
    if tested:
        rt.tested += 1
    try:
        if functions and name in rt.functions:
            return rt.call(rt.functions[name], argv)
        builtin = builtins.find(name)
        if builtin is not None and name not in rt.disabled:
            return run_builtin(rt, builtin, argv, special=functions and name in builtins.SPECIAL)
    finally:
        if tested:
            rt.tested -= 1
    return run_external(rt, argv, last=last)


def run_builtin(rt: Runtime, builtin: Builtin, argv: list[str], *, special: bool = False) -> int:
    """Call a built-in; what it cannot do is reported under its name. In posix mode a `special` one that is used
    wrongly ends the shell."""
    try:
        return builtin(rt, argv)
    except CommandError as error:
        if not error.told:
            rt.complain_of(argv[0], error)
        wrong = error.status == _MISUSE or argv[0] in _SOURCING or error.readonly
        if wrong and special and ends_shell(rt):
            raise Exit(error.status) from None
        return error.status
    except OSError as error:
        rt.complain(f"{argv[0]}: {error.strerror}")
        return 1


def ends_shell(rt: Runtime) -> bool:
    """Whether an error of a special built-in is the end."""
    return rt.posix and not rt.interactive


def run_external(rt: Runtime, argv: list[str], *, last: bool = False) -> int:
    """Run a supervised stage or a program."""
    from aish.lang import process

    if argv[0][:1] == "%" and rt.monitor:
        return invoke(rt, ["fg", *argv])
    if rt.interactive and "autocd" in rt.shopt and len(argv) == 1 and _is_only_a_folder(rt, argv[0]):
        rt.error_line(f"cd -- {argv[0]}")
        return invoke(rt, ["cd", "--", argv[0]], functions=False)
    try:
        if rt.host.is_supervised(argv[0]):
            return process.run_stage(rt, argv, last=last)
        return process.run_program(rt, argv, last=last)
    except CommandError as error:
        instead = _instead(rt, argv) if error.status == process.NOT_FOUND and "/" not in argv[0] else None
        if instead is not None:
            return instead(rt)
        rt.complain_not_run(argv[0], error)
        return error.status


def _is_only_a_folder(rt: Runtime, name: str) -> bool:
    """Whether no program is meant. Looked at before one is begun: its process could not change our folder."""
    return os.path.isdir(name) and ("/" in name or rt.commands.find(name) is None)


def _instead(rt: Runtime, argv: list[str]) -> Run | None:
    """What runs where a command is not found: the function command_not_found_handle, in a copy of the shell."""
    handler = rt.functions.get("command_not_found_handle")
    if handler is None:
        return None
    from aish.lang import process
    from aish.lang.job import Job

    def run(rt: Runtime) -> int:
        job = Job(rt.command_text(argv), rt.at)
        process.fork(rt, lambda: rt.call(handler, ["command_not_found_handle", *argv]), job, foreground=True)
        return rt.jobs.wait_foreground(rt, job)

    return run
