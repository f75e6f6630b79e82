"""enable help caller: about built-ins and where a command stands."""

from __future__ import annotations

from aish.lang import builtins
from aish.lang.builtins.letters import with_values
from aish.lang.control import CommandError
from aish.lang.digits import saturated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime


def enable(rt: Runtime, argv: list[str]) -> int:
    """enable [-anps] [name ...]: turn built-ins on, or with -n off, so that a program of the name is found."""
    options, names = with_values(argv, "adnpsf:")
    flags = {letter for letter, _ in options}
    if flags & {"d", "f"}:
        raise CommandError("built-ins are not loaded from files")
    if not names or "p" in flags:
        for name in sorted(builtins.TOPIC_OF):
            off = name in rt.disabled
            if ("s" in flags and name not in builtins.SPECIAL) or (off is not ("n" in flags) and "a" not in flags):
                continue
            rt.write(f"enable {'-n ' * off}{name}\n")
        return 0
    status = 0
    for name in names:
        if name not in builtins.TOPIC_OF:
            rt.complain(f"enable: {name}: not a shell builtin")
            status = 1
        elif "n" in flags:
            rt.disabled.add(name)
        else:
            rt.disabled.discard(name)
    return status


def synopsis(name: str) -> tuple[str, str]:
    """How a built-in is called, and what it does: its docstring, before and behind a colon and blank."""
    builtin = builtins.find(name)
    assert builtin is not None
    text = " ".join((builtin.__doc__ or "").split())
    end = text.find(": ", 1)
    if end < 0:
        return text, ""
    return text[:end], text[end + 2 : end + 3].upper() + text[end + 3 :]


KEYWORDS = {
    "!": ("! pipeline", "Succeed where the pipeline fails, and the other way round."),
    "%": ("job_spec [&]", "Resume a job, in the foreground or (with &) in the background."),
    "(( ... ))": ("(( expression ))", "Evaluate arithmetic: success where it is not 0."),
    "[[ ... ]]": ("[[ expression ]]", "Test strings, numbers, patterns and files."),
    "case": (
        "case word in [pattern [| pattern]...) commands ;;]... esac",
        "Run what the first matching pattern has.",
    ),
    "coproc": ("coproc [name] command [redirections]", "Run a command beside the shell, with pipes to and from it."),
    "for": ("for name [in words ... ] ; do commands; done", "Run commands for each word."),
    "for ((": ("for (( exp1; exp2; exp3 )); do commands; done", "Run commands while an expression is not 0."),
    "function": ("function name { commands ; } or name () { commands ; }", "Define a function."),
    "if": (
        "if commands; then commands; [ elif commands; then commands; ]... [ else commands; ] fi",
        "Run commands where others succeed.",
    ),
    "select": ("select name [in words ... ;] do commands; done", "Run commands for what is chosen from a menu."),
    "time": ("time [-p] pipeline", "Say how long a pipeline takes."),
    "until": ("until commands; do commands; done", "Run commands until others succeed."),
    "variables": ("variables - names and meanings of some shell variables", "See docs/reference/variables.md."),
    "while": ("while commands; do commands; done", "Run commands as long as others succeed."),
    "{ ... }": ("{ commands ; }", "Run commands as one."),
}
"""What `help` knows beside built-ins, as `synopsis` has it."""


def help_(rt: Runtime, argv: list[str]) -> int:
    """help [-dms] [pattern ...]: what built-ins and keywords do, and how they are written."""
    options, patterns = with_values(argv, "dms")
    flags = {letter for letter, _ in options}
    topics = sorted([*builtins.TOPIC_OF, *KEYWORDS])
    if not patterns:
        rt.write("".join([f"{_known(name)[0]}\n" for name in sorted(builtins.TOPIC_OF)]))
        return 0
    from aish.lang.pattern import compiled

    status = 0
    for pattern in patterns:
        found = [name for name in topics if compiled(pattern).matches(name)]
        found = found or [name for name in topics if name.startswith(pattern)]
        if not found:
            rt.complain(f"help: {pattern}: no built-in or keyword has that name", hint="help lists them")
            status = 1
        for name in found:
            rt.write(_text(name, flags))
    return status


def _known(name: str) -> tuple[str, str]:
    return KEYWORDS.get(name) or synopsis(name)


def _text(name: str, flags: set[str]) -> str:
    how, what = _known(name)
    if "s" in flags:
        return f"{name}: {how}\n"
    if "d" in flags:
        return f"{name} - {what}\n"
    return f"{name}: {how}\n    {what}\n"


def caller(rt: Runtime, argv: list[str]) -> int:
    """caller [n]: line, function and file of the n-th call from inside; status 1 where there is none."""
    _, words = with_values(argv, "")
    if words and not (words[0].isdecimal() and words[0].isascii()):
        raise CommandError(f"{words[0]}: a number expected", status=2)
    lines, names, files = (rt.vars.elements(name) for name in ("BASH_LINENO", "FUNCNAME", "BASH_SOURCE"))
    if not names and not words and len(lines) == 1:
        rt.write(f"{lines[0]} NULL\n")
        return 0
    at = saturated(words[0]) if words else 0
    if not names or at >= len(lines) or (words and at + 1 >= len(names)):
        return 1
    file = files[at + 1] if at + 1 < len(files) else "NULL"
    rt.write(f"{lines[at]} {names[at + 1]} {file}\n" if words else f"{lines[at]} {file}\n")
    return 0


TABLE: dict[str, Builtin] = {"enable": enable, "help": help_, "caller": caller}
