"""ulimit umask times: what the system grants this process, and what it has used."""

from __future__ import annotations

import os

from aish.lang.builtins.letters import letters, usage
from aish.lang.control import CommandError
from aish.lang.digits import saturated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime


def times(rt: Runtime, argv: list[str]) -> int:
    """times: user and system time of the shell, then of its children."""
    letters(argv, "")
    used = os.times()

    def shown(seconds: float) -> str:
        return f"{int(seconds // 60)}m{seconds % 60:.3f}s"

    rt.write(f"{shown(used.user)} {shown(used.system)}\n")
    rt.write(f"{shown(used.children_user)} {shown(used.children_system)}\n")
    return 0


# ------------------------------------------------------------------------------------------- umask


def umask(rt: Runtime, argv: list[str]) -> int:
    """umask [-p] [-S] [mask]: what new files do not get, octal or symbolic such as u=rwx,g-w."""
    flags, operands = letters(argv, "Sp")
    before = os.umask(0o77)
    os.umask(before)
    if operands:
        before = _new_mask(operands[0], before)
        os.umask(before)
        if "S" not in flags:
            return 0
    prefix = "umask " * ("p" in flags and not operands) + "-S " * ("p" in flags and "S" in flags and not operands)
    rt.write(prefix + (_as_permissions(before) if "S" in flags else f"{before:04o}") + "\n")
    return 0


def _as_permissions(mask: int) -> str:
    return ",".join(
        [
            f"{who}={''.join([c for bit, c in ((4, 'r'), (2, 'w'), (1, 'x')) if not mask >> shift & bit])}"
            for who, shift in (("u", 6), ("g", 3), ("o", 0))
        ]
    )


def _new_mask(text: str, before: int) -> int:
    if text[:1].isdecimal():
        if text.strip("01234567") or len(text.lstrip("0")) > 4:
            raise CommandError(f"{text}: an octal number up to 777 expected")
        return int(text, 8) & 0o777
    return 0o777 & ~_symbolic_mode(text, 0o777 & ~before)


def _symbolic_mode(text: str, mode: int) -> int:
    """`mode` (permissions, not a mask) changed as chmod would."""
    wrong = CommandError(f"{text}: not a mode", hint="for example 022, or u=rwx,go=rx")
    for clause in text.split(","):
        rest = clause.lstrip("ugoa")
        who = clause[: len(clause) - len(rest)] or "a"
        if not rest or rest[0] not in "+-=":
            raise wrong
        places = [shift for letter, shift in (("u", 6), ("g", 3), ("o", 0)) if letter in who or "a" in who]
        while rest:
            op, rest = rest[0], rest[1:]
            count = len(rest) - len(rest.lstrip("rwxXugost"))
            granted, rest = rest[:count], rest[count:]
            if rest and rest[0] not in "+-=":
                raise wrong
            bits = 0
            for letter in granted:
                copied = {"r": 4, "w": 2, "x": 1, "X": 1 if mode & 0o111 else 0, "s": 0, "t": 0}
                bits |= copied[letter] if letter in copied else (mode >> {"u": 6, "g": 3, "o": 0}[letter]) & 7
            for shift in places:
                if op == "=":
                    mode = mode & ~(7 << shift) | bits << shift
                elif op == "+":
                    mode |= bits << shift
                else:
                    mode &= ~(bits << shift)
    return mode


# ------------------------------------------------------------------------------------------- ulimit

_RESOURCES = {
    # letter: (what it is, its unit, the kernel's number, bytes or so of one unit)
    "R": ("real-time non-blocking time", "microseconds", 15, 1),
    "c": ("core file size", "blocks", 4, 1024),
    "d": ("data seg size", "kbytes", 2, 1024),
    "e": ("scheduling priority", "", 13, 1),
    "f": ("file size", "blocks", 1, 1024),
    "i": ("pending signals", "", 11, 1),
    "l": ("max locked memory", "kbytes", 8, 1024),
    "m": ("max memory size", "kbytes", 5, 1024),
    "n": ("open files", "", 7, 1),
    "p": ("pipe size", "512 bytes", -1, 512),
    "q": ("POSIX message queues", "bytes", 12, 1),
    "r": ("real-time priority", "", 14, 1),
    "s": ("stack size", "kbytes", 3, 1024),
    "t": ("cpu time", "seconds", 0, 1),
    "u": ("max user processes", "", 6, 1),
    "v": ("virtual memory", "kbytes", 9, 1024),
    "x": ("file locks", "", 10, 1),
}
_PIPE_BYTES = 4096


def ulimit(rt: Runtime, argv: list[str]) -> int:
    """ulimit [-HSa] [-letter [limit] ...]: what this process and its programs may use."""
    hard = soft = every = False
    asked: list[tuple[str, str | None]] = []
    at = 1
    while at < len(argv) and len(argv[at]) > 1 and argv[at][0] == "-":
        word = argv[at]
        at += 1
        if word == "--":
            break
        for i, letter in enumerate(word[1:]):
            match letter:
                case "H":
                    hard = True
                case "S":
                    soft = True
                case "a":
                    every = True
                case _ if letter in _RESOURCES:
                    limit = None
                    if i == len(word) - 2 and at < len(argv) and argv[at][:1] != "-":
                        limit = argv[at]
                        at += 1
                    asked.append((letter, limit))
                case _:
                    raise usage("-" + letter, "HSa" + "".join(_RESOURCES))
    if every:
        for letter in _RESOURCES:
            _show(rt, letter, hard, labelled=True)
        return 0
    if not asked:
        asked.append(("f", argv[at] if at < len(argv) else None))
        at += 1
    if at < len(argv):
        raise CommandError("too many arguments")
    labelled = len(asked) > 1
    for letter, limit in asked:
        if limit is None:
            _show(rt, letter, hard, labelled=labelled)
        else:
            _set(letter, limit, hard, soft, rt.posix)
    return 0


def _unit(letter: str, posix: bool) -> int:
    return 512 if posix and letter in "cf" else _RESOURCES[letter][3]


def _limits(letter: str) -> tuple[int, int]:
    import resource

    number = _RESOURCES[letter][2]
    return (_PIPE_BYTES, _PIPE_BYTES) if number < 0 else resource.getrlimit(number)


def _show(rt: Runtime, letter: str, hard: bool, *, labelled: bool) -> None:
    value = _limits(letter)[hard]
    shown = "unlimited" if value < 0 else str(value // _unit(letter, rt.posix))
    if labelled:
        text, unit, _, _ = _RESOURCES[letter]
        where = f"({unit}, -{letter})" if unit else f"(-{letter})"
        rt.write(f"{text:<20} {where:>19} {shown}\n")
    else:
        rt.write(shown + "\n")


def _set(letter: str, text: str, hard: bool, soft: bool, posix: bool) -> None:
    import resource

    if not hard and not soft:
        hard = soft = True
    present = _limits(letter)
    match text:
        case "unlimited":
            value = -1
        case "hard":
            value = present[1]
        case "soft":
            value = present[0]
        case _ if text.isdecimal() and text.isascii():
            value = saturated(text) * _unit(letter, posix)
        case _:
            raise CommandError(f"{text}: a number, hard, soft or unlimited expected")
    if _RESOURCES[letter][2] < 0:
        raise CommandError(f"-{letter}: cannot be changed")
    try:
        resource.setrlimit(_RESOURCES[letter][2], (value if soft else present[0], value if hard else present[1]))
    except (ValueError, OverflowError, OSError):
        raise CommandError(f"-{letter} {text}: more than is allowed, or than the hard limit") from None


TABLE: dict[str, Builtin] = {"times": times, "umask": umask, "ulimit": ulimit}
