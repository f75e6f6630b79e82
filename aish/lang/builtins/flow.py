"""break continue return exit logout eval . source exec"""

from __future__ import annotations

import os

from aish.lang.builtins.letters import usage, with_values
from aish.lang.control import Break, CommandError, Continue, Exit, Return, told
from aish.lang.digits import signed
from aish.lang.ending import last_word, leave_function, run_exit_trap
from aish.lang.signals import RETURN
from aish.lang.source import ParseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime


def _operands(argv: list[str]) -> list[str]:
    return argv[2:] if argv[1:2] == ["--"] else argv[1:]


def _number(rt: Runtime, argv: list[str], default: int) -> int:
    """The number behind the name. Raises CommandError for what is none."""
    words = _operands(argv)
    if not words:
        return default
    number = signed(words[0])
    if number is None:
        raise CommandError(f"{words[0]}: a number expected", status=2)
    if len(words) > 1:
        raise rt.discarding_error(f"{argv[0]}: too many arguments")
    return number


def _levels(rt: Runtime, argv: list[str]) -> int:
    """How many loops; 0 outside of all."""
    if not rt.loops:
        if not rt.posix:
            rt.complain(f"{argv[0]}: no loop is running")
        return 0
    try:
        levels = _number(rt, argv, 1)
    except CommandError as error:
        rt.complain(f"{argv[0]}: {error.message}")
        raise Exit(128) from None
    if levels < 1:
        rt.complain(f"{argv[0]}: {levels}: at least 1 expected")
        raise Break(rt.loops, 1)
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
    status = _status(rt, argv)
    if not rt.returns:
        raise CommandError("neither a function nor a sourced file is running", status=2)
    raise Return(status)


def _status(rt: Runtime, argv: list[str]) -> int:
    """The status that return and exit give: 2 for what is no number."""
    default = rt.status if rt.trap_status is None else rt.trap_status
    try:
        return _number(rt, argv, default) & 0xFF
    except CommandError as error:
        rt.complain(f"{argv[0]}: {error.message}")
        return error.status


def exit_(rt: Runtime, argv: list[str]) -> int:
    """exit [n]: end the shell."""
    if rt.interactive:
        rt.error_line(last_word(rt))
    status = _status(rt, argv)
    if not rt.lasting and (rt.frames or not (rt.from_string or rt.calls)):  # bash's, but for `eval` and -c alone
        status = run_exit_trap(rt, status)  # here, where it sees local variables, and writes where this is written to
    raise Exit(status)


def logout(rt: Runtime, argv: list[str]) -> int:
    """logout [n]: end a login shell."""
    if "login_shell" not in rt.shopt:
        raise CommandError("this is no login shell", hint="use exit")
    return exit_(rt, argv)


def eval_(rt: Runtime, argv: list[str]) -> int:
    """eval words: run the words, joined by spaces, as commands."""
    from aish.lang.evaluate import run_text

    if argv[1:2] and argv[1][:1] == "-" and argv[1] not in ("-", "--"):
        raise usage(argv[1][:2], "")
    at = rt.at
    shift = at.line - 1 if at is not None else 0
    rt.trace_depth += 1
    try:
        return run_text(rt, " ".join(_operands(argv)), "eval", line_shift=shift)
    except ParseError as error:
        rt.report(error)
        raise told(error.exit_status) from None
    finally:
        rt.trace_depth -= 1
        rt.at = at


def source(rt: Runtime, argv: list[str]) -> int:
    """. file [words]; source file [words]: run the commands of a file in this shell."""
    _, words = with_values(argv, "")
    if not words:
        raise CommandError("a file's name expected", status=2)
    try:
        path = _sourced_path(rt, words[0])
        if os.path.isdir(path):
            raise CommandError(f"{words[0]}: is a directory")
        with open(path, "rb") as file:
            stat = os.fstat(file.fileno())
            data = file.read()
    except (OSError, ValueError) as error:
        message = f"{words[0]}: {error.strerror}" if isinstance(error, OSError) else f"{words[0]!r}: not a path"
        raise CommandError(message) from None
    from aish.lang.evaluate import run_file
    from aish.lang.runtime import MAX_CALLS

    params, at = rt.params, rt.at
    rt.trace_depth += 1
    rt.calls += 1
    rt.uncounted = False
    rt.returns += 1
    rt.frames.append(("source", path, rt.at))
    rt.params_set = False
    if len(words) > 1:
        rt.params = words[1:]
    pushed = rt.arguments if "extdebug" in rt.shopt else None
    if pushed is not None:
        pushed.append(words[1:] or [path])
    try:
        if rt.calls > MAX_CALLS:
            raise rt.too_deep()
        try:
            status = run_file(rt, path, data, stat)
        except Return as error:
            status = error.status
        except Exit as error:
            leave_function(rt, error)
            raise
        if rt.signals.traps:
            rt.run_moment(RETURN)
        return status
    except ParseError as error:
        rt.report(error)
        raise told(error.exit_status) from None
    finally:
        rt.trace_depth -= 1
        rt.calls -= 1
        rt.returns -= 1
        rt.frames.pop()
        rt.at = at
        if pushed is not None:
            pushed.pop()
        if len(words) > 1 and not rt.params_set:
            rt.params = params


def _sourced_path(rt: Runtime, name: str) -> str:
    """A name without a slash is looked for in PATH, then (as bash does, but not POSIX) here."""
    if "/" in name:
        return name
    if "sourcepath" in rt.shopt or rt.posix:
        for folder in (rt.vars.get("PATH") or "").split(":"):
            candidate = f"{folder}/{name}" if folder else f"./{name}"
            if os.path.isfile(candidate) and os.access(candidate, os.R_OK):
                return candidate
    if rt.posix:
        raise FileNotFoundError(2, "not in PATH")
    return name


def exec_(rt: Runtime, argv: list[str]) -> int:
    """exec [-cl] [-a name] [command]: become a program. Without one, the redirections stay."""
    options, words = with_values(argv, "cla:")
    flags = {letter for letter, _ in options}
    name = next((value for letter, value in reversed(options) if letter == "a"), None)
    if not words:
        return 0
    from aish.lang import process

    if rt.host.is_supervised(words[0]):
        raise Exit(process.run_stage(rt, words, last=True))
    if rt.lasting and not rt.interactive:  # a session: the command ends as the program does, the shell stays
        raise Exit(process.run_program(rt, words))
    path = rt.commands.find(words[0])
    error = CommandError(f"{words[0]}: command not found", status=process.NOT_FOUND)
    if path is not None:
        shown = "-" * ("l" in flags) + (name if name is not None else words[0])
        environment = {} if "c" in flags else rt.environment_for(path)
        if "c" not in flags and not rt.in_parentheses:  # a shell in our place is as deep as we are
            depth = signed(environment.get("SHLVL") or rt.vars.get("SHLVL") or "") or 0
            environment = environment | {"SHLVL": str(max(depth - 1, 0))}
        if rt.typed is not None and not rt.in_subshell:
            rt.typed.save()
        rt.signals.leave()
        try:
            process.replace(rt, path, [shown, *words[1:]], environment)
        except CommandError as found:
            error = CommandError(f"{words[0]}: {found.message}", status=found.status, hint=found.hint)
        rt.signals.reinstall()
    if rt.interactive or ("execfail" in rt.shopt and not rt.in_subshell):
        raise error
    rt.complain(f"exec: {error.message}", hint=error.hint)
    raise Exit(error.status)


TABLE: dict[str, Builtin] = {
    "break": break_,
    "continue": continue_,
    "return": return_,
    "exit": exit_,
    "logout": logout,
    "eval": eval_,
    ".": source,
    "source": source,
    "exec": exec_,
}
