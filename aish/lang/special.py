"""The variables that the shell makes up when they are asked for: $RANDOM, $SECONDS, $FUNCNAME ...

Some of them take an assignment (RANDOM begins a sequence, SECONDS starts to count there), some ignore it, and the
others become ordinary variables by it.
"""

from __future__ import annotations

import os

from aish.lang.arithmetic import value_of
from aish.lang.arithmetic_tokens import ExpressionError
from aish.lang.arrays import Associative, Indexed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.arrays import Array
    from aish.lang.runtime import Frame, Runtime

BASH_VERSION = (5, 2, 0, 1, "aish")
"""The bash whose language this is: files that are made for it look before they use it."""

_IGNORING = frozenset(
    ["BASHPID", "BASH_COMMAND", "BASH_SUBSHELL", "EPOCHREALTIME", "EPOCHSECONDS", "FUNCNAME", "GROUPS", "HISTCMD",
     "LINENO",
     "BASH_LINENO", "BASH_SOURCE", "BASH_ARGC", "BASH_ARGV", "PIPESTATUS", "DIRSTACK", "SRANDOM"]
)  # fmt: skip


def value(rt: Runtime, name: str) -> str | None:
    """What the variable is now; of a list its first element."""
    compute = _VALUES.get(name)
    if compute is not None:
        return compute(rt)
    found = elements(rt, name)
    return found[0] if found else None


def elements(rt: Runtime, name: str) -> list[str]:
    """The elements of a list, a scalar being a list of one."""
    compute = _LISTS.get(name)
    if compute is not None:
        return compute(rt)
    return [_VALUES[name](rt)] if name in _VALUES else []


def array(rt: Runtime, name: str) -> Array:
    """A list, or a table of the shell's own as an associative array."""
    table = {"BASH_ALIASES": rt.aliases, "BASH_CMDS": rt.commands.known}.get(name)
    if table is None:
        return Indexed(elements(rt, name))
    view = Associative()
    view.items, view.unset = table, False
    return view


def assign(rt: Runtime, name: str, text: str) -> bool:
    """Do what an assignment does here. False where it makes an ordinary variable of it."""
    if name == "RANDOM":
        rt.random_state = _number(rt, text) & 0xFFFFFFFF
        rt.random_pid, rt.random_last = os.getpid(), 0
        return True
    if name == "SECONDS":
        rt.started_s = os.times().elapsed - _number(rt, text)
        return True
    if name == "BASH_ARGV0":
        rt.name = text
        return True
    return name in _IGNORING


def _number(rt: Runtime, text: str) -> int:
    try:
        return value_of(rt, text)
    except ExpressionError:
        return 0


# ----------------------------------------------------------------------------------------------- numbers


def _random(rt: Runtime) -> str:
    """0 to 32767, by the generator of bash: the same seed gives the same sequence."""
    pid = os.getpid()
    if rt.random_pid != pid:
        rt.random_state, rt.random_pid = int.from_bytes(os.urandom(4), "little"), pid
    while True:
        rt.random_state = _following(rt.random_state)
        number = (rt.random_state if _is_old(rt) else (rt.random_state >> 16) ^ rt.random_state) & 0x7FFF
        if number != rt.random_last:
            rt.random_last = number
            return str(number)


def _is_old(rt: Runtime) -> bool:
    """Whether $BASH_COMPAT asks for the numbers of bash 5.0 and before."""
    return (rt.values.get("BASH_COMPAT") or "99").replace(".", "", 1) <= "50"


def _following(state: int) -> int:
    """Park and Miller's minimal standard."""
    high, low = divmod(state or 123459876, 127773)
    found = 16807 * low - 2836 * high
    return found + 0x7FFFFFFF if found < 0 else found


def _epoch(rt: Runtime) -> str:
    import time

    return str(int(time.time()))


def _epoch_exact(rt: Runtime) -> str:
    import time

    seconds, rest_ns = divmod(time.time_ns(), 1_000_000_000)
    return f"{seconds}.{rest_ns // 1000:06d}"


# --------------------------------------------------------------------------------------------- the machine


def _type(rt: Runtime) -> str:
    return f"{os.uname().machine}-pc-linux-gnu"


def version() -> str:
    """$BASH_VERSION."""
    major, minor, patch, build, status = BASH_VERSION
    return f"{major}.{minor}.{patch}({build})-{status}"


def _number_typed(rt: Runtime) -> str:
    """That of the command itself; between two commands, where PS1 asks, of the next one."""
    if rt.typed is None:
        return "0"
    return str(rt.typed.next_number() - rt.typed.has_own())


def _line_number(rt: Runtime) -> str:
    """At a prompt the lines that were typed before count, but not in what functions and files have."""
    line = rt.at.line if rt.at else 0
    return str(line if rt.frames else line + rt.lines_before)


def _set_options(rt: Runtime) -> str:
    from aish.lang import options

    return options.shown(rt)


def _shopt_options(rt: Runtime) -> str:
    from aish.lang import shopts

    return shopts.shown(rt)


# ------------------------------------------------------------------------------------------------ calls


def _frames(rt: Runtime, of: Callable[[Frame], str], last: str | None) -> list[str]:
    found = [of(frame) for frame in reversed(rt.frames)]
    if last is not None:
        found.append(last)
    return found


def _has_file(rt: Runtime) -> bool:
    """Whether the outermost frame is a script's: -c and stdin have none, as in bash."""
    return not (rt.from_string or rt.from_stdin)


def _functions(rt: Runtime) -> list[str]:
    if not any(frame[0] != "source" for frame in rt.frames):
        return []
    return _frames(rt, lambda frame: frame[0], "main" if _has_file(rt) else None)


def _lines(rt: Runtime) -> list[str]:
    return _frames(rt, lambda frame: str(frame[2].line if frame[2] else 0), "0" if _has_file(rt) else None)


def _sources(rt: Runtime) -> list[str]:
    return _frames(rt, lambda frame: frame[1], rt.name if _has_file(rt) else None)


def _command(rt: Runtime) -> str:
    site = rt.interrupted or rt.at
    return "" if site is None else site.text()


def _arguments(rt: Runtime) -> list[list[str]]:
    """Those of the innermost call first. Outside of functions it is enough to ask for them."""
    if rt.arguments is None and not any(frame[0] != "source" for frame in rt.frames):
        rt.arguments = [list(rt.params)]
    return [*reversed(rt.arguments or [])]


_VALUES: dict[str, Callable[[Runtime], str]] = {
    "BASH": lambda rt: rt.program,
    "BASHOPTS": _shopt_options,
    "BASHPID": lambda rt: str(os.getpid()),
    "BASH_ARGV0": lambda rt: rt.name,
    "BASH_COMMAND": _command,
    "BASH_SUBSHELL": lambda rt: str(rt.subshells - rt.uncounted),
    "BASH_VERSION": lambda rt: version(),
    "COMP_WORDBREAKS": lambda rt: " \t\n\"'@><=;|&(:",
    "EPOCHREALTIME": _epoch_exact,
    "EPOCHSECONDS": _epoch,
    "EUID": lambda rt: str(os.geteuid()),
    "HISTCMD": _number_typed,
    "HOSTNAME": lambda rt: os.uname().nodename,
    "HOSTTYPE": lambda rt: os.uname().machine,
    "LINENO": _line_number,
    "MACHTYPE": _type,
    "OSTYPE": lambda rt: "linux-gnu",
    "RANDOM": _random,
    "SECONDS": lambda rt: str(int(os.times().elapsed - rt.started_s)),
    "SHELLOPTS": _set_options,
    "SRANDOM": lambda rt: str(int.from_bytes(os.urandom(4), "little")),
    "UID": lambda rt: str(os.getuid()),
}
_LISTS: dict[str, Callable[[Runtime], list[str]]] = {
    "BASH_ARGC": lambda rt: [str(len(words)) for words in _arguments(rt)],
    "BASH_ARGV": lambda rt: [word for words in _arguments(rt) for word in reversed(words)],
    "BASH_LINENO": _lines,
    "BASH_SOURCE": _sources,
    "BASH_VERSINFO": lambda rt: [*map(str, BASH_VERSION), _type(rt)],
    "DIRSTACK": lambda rt: [rt.values.get("PWD", ""), *rt.folders],
    "FUNCNAME": _functions,
    "GROUPS": lambda rt: [*dict.fromkeys(map(str, (os.getegid(), *os.getgroups())))],
    "PIPESTATUS": lambda rt: [str(status) for status in rt.pipe_status or (rt.status,)],
}
