"""break continue return exit eval . source exec"""

from __future__ import annotations

import os

from aish.lang.control import Break, CommandError, Continue, Exit, Return, ToldError
from aish.lang.source import ParseError, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime


def _number(rt: Runtime, argv: list[str], default: int) -> int:
    if len(argv) > 2:
        rt.complain(f"{argv[0]}: too many arguments")
        if rt.interactive:
            raise ToldError(1)
        raise Exit(1)  # as in bash and dash: who knows what was meant
    if len(argv) < 2:
        return default
    word = argv[1]
    if not (word.removeprefix("-").isdecimal() and word.isascii()):
        raise CommandError(f"{word}: a number expected", status=2)
    return int(word)


def _levels(rt: Runtime, argv: list[str]) -> int:
    levels = _number(rt, [word for word in argv if word != "--"], 1)
    if levels < 1:
        raise CommandError(f"{levels}: at least 1 expected")
    return min(levels, rt.loops)


def break_(rt: Runtime, argv: list[str]) -> int:
    """break [n]: leave n loops. Outside a loop nothing happens."""
    levels = _levels(rt, argv)
    if levels:
        raise Break(levels)
    return 0


def continue_(rt: Runtime, argv: list[str]) -> int:
    """continue [n]: the next round of the n-th loop from inside."""
    levels = _levels(rt, argv)
    if levels:
        raise Continue(levels)
    return 0


def return_(rt: Runtime, argv: list[str]) -> int:
    """return [n]: leave a function or a sourced file."""
    status = _number(rt, [word for word in argv if word != "--"], rt.status) & 0xFF
    if not rt.returns and not rt.in_subshell:
        raise CommandError("neither a function nor a sourced file is running", status=2)
    raise Return(status)


def exit_(rt: Runtime, argv: list[str]) -> int:
    """exit [n]: end the shell."""
    try:
        status = _number(rt, [word for word in argv if word != "--"], rt.status)
    except CommandError as error:
        if len(argv) > 2:
            raise
        rt.complain(f"exit: {error.message}")
        status = 2
    raise Exit(status & 0xFF)


def eval_(rt: Runtime, argv: list[str]) -> int:
    """eval words: run the words, joined by spaces, as commands."""
    from aish.lang.evaluate import run_text

    words = argv[2:] if argv[1:2] == ["--"] else argv[1:]
    rt.status = 0
    shift = rt.at.line - 1 if rt.at is not None else 0
    rt.trace_depth += 1
    try:
        return run_text(rt, " ".join(words), "eval", line_shift=shift)
    except ParseError as error:
        rt.report(error)
        raise ToldError(error.exit_status) from None
    finally:
        rt.trace_depth -= 1


def source(rt: Runtime, argv: list[str]) -> int:
    """. file [words] (and source): run the commands of a file in this shell."""
    words = argv[2:] if argv[1:2] == ["--"] else argv[1:]
    if not words:
        raise CommandError("a file's name expected", status=2)
    path = _sourced_path(rt, words[0])
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise CommandError(f"{words[0]}: {error.strerror}") from None
    from aish.lang.evaluate import run_source
    from aish.lang.runtime import MAX_CALLS
    from aish.lang.text import decode

    params = rt.params
    rt.trace_depth += 1
    rt.calls += 1
    rt.returns += 1
    rt.frames.append(("source", path, rt.at))
    loops, rt.loops = rt.loops, 0
    if len(words) > 1:
        rt.params = words[1:]
    inner = rt.params
    rt.status = 0
    try:
        if rt.calls > MAX_CALLS:
            raise rt.too_deep()
        return run_source(rt, Source(path, decode(data)))
    except Return as error:
        return error.status
    except ParseError as error:
        rt.report(error)
        raise ToldError(error.exit_status) from None
    finally:
        rt.trace_depth -= 1
        rt.calls -= 1
        rt.returns -= 1
        rt.frames.pop()
        rt.loops = loops
        if len(words) > 1 and rt.params is inner:
            rt.params = params


def _sourced_path(rt: Runtime, name: str) -> str:
    """A name without a slash is looked for in PATH, then (as bash does) here."""
    if "/" in name:
        return name
    for folder in (rt.vars.get("PATH") or "").split(":"):
        candidate = f"{folder}/{name}" if folder else name
        if os.path.isfile(candidate) and os.access(candidate, os.R_OK):
            return candidate
    return name


def exec_(rt: Runtime, argv: list[str]) -> int:
    """exec [-a name] [command]: become a program. Without one, the redirections stay."""
    words = argv[1:]
    name: str | None = None
    if words[:1] == ["-a"] and len(words) > 2:
        name, words = words[1], words[2:]
    if words[:1] == ["--"]:
        words = words[1:]
    if not words:
        return 0
    from aish.lang import process

    if rt.host.is_supervised(words[0]):
        raise Exit(process.run_stage(rt, words, last=True))
    path = rt.commands.find(words[0])
    error = CommandError(f"{words[0]}: command not found", status=process.NOT_FOUND)
    if path is not None:
        rt.signals.leave()
        try:
            process.replace(rt, path, [name or words[0], *words[1:]], rt.environment_for(path))
        except CommandError as found:
            error = CommandError(f"{words[0]}: {found.message}", status=found.status, hint=found.hint)
        rt.signals.reinstall()
    if rt.interactive:
        raise error
    rt.complain(f"exec: {error.message}", hint=error.hint)
    raise Exit(error.status)


TABLE: dict[str, Builtin] = {
    "break": break_,
    "continue": continue_,
    "return": return_,
    "exit": exit_,
    "eval": eval_,
    ".": source,
    "source": source,
    "exec": exec_,
}
