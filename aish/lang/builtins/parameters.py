"""set shift export readonly unset local"""

from __future__ import annotations

from aish.lang import options
from aish.lang.control import CommandError
from aish.lang.text import is_name, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime


def set_(rt: Runtime, argv: list[str]) -> int:
    """set [-abCefhmnuvx] [-o name] [--] [words]: options, then the positional parameters."""
    if len(argv) == 1:
        for name in sorted(rt.values):
            if is_name(name):
                rt.write(f"{name}={quote(rt.values[name])}\n")
        return 0
    at = options_from(rt, argv, 1)
    if at < len(argv) or argv[at - 1] == "--":
        rt.params = argv[at:]
    return 0


def options_from(rt: Runtime, argv: list[str], at: int) -> int:
    """Do the options in argv from `at` on; gives the index of the first operand."""
    while at < len(argv):
        word = argv[at]
        if word == "--":
            return at + 1
        if word in ("-", "+"):
            if word == "-":
                rt.xtrace = rt.verbose = False
            return at + 1
        if word[:1] not in ("-", "+"):
            return at
        on = word[0] == "-"
        letters = word[1:]
        at += 1
        if "o" in letters:
            plain, _, behind = letters.partition("o")
            options.turn_letters(rt, plain + behind, on)
            if at >= len(argv):
                _list_options(rt, on)
                return at
            options.turn(rt, argv[at], on)
            at += 1
        else:
            options.turn_letters(rt, letters, on)
    return at


def _list_options(rt: Runtime, readable: bool) -> None:
    for name in sorted(options.NAMES):
        on = options.is_on(rt, name)
        rt.write(f"{name:<15}\t{'on' if on else 'off'}\n" if readable else f"set {'-+'[not on]}o {name}\n")


def shift(rt: Runtime, argv: list[str]) -> int:
    """shift [n]: drop the first n positional parameters; status 1 where there are fewer."""
    words = argv[2:] if argv[1:2] == ["--"] else argv[1:]
    if len(words) > 1:
        raise rt.discard("shift: too many arguments")
    count = 1
    if words:
        digits = words[0].removeprefix("+")
        if not (digits.isdecimal() and digits.isascii()):
            raise CommandError(f"{words[0]}: a number from 0 on expected")
        count = int(digits)
    if count > len(rt.params):
        if "shift_verbose" in rt.shopt:
            rt.complain(f"shift: {count}: only {len(rt.params)} positional parameters")
        return 1
    rt.params = rt.params[count:]
    return 0


# ----------------------------------------------------------------------------------------- variables


def _each(rt: Runtime, operands: list[str]) -> list[tuple[str, str | None]]:
    """(name, value or None) for words of the form name, name=value, name+=value."""
    found: list[tuple[str, str | None]] = []
    for word in operands:
        name, equals, value = word.partition("=")
        append = name.endswith("+") and bool(equals)
        name = name[:-1] if append else name
        if not is_name(name):
            raise CommandError(f"{word}: not a variable's name")
        if append:
            value = (rt.vars.get(name) or "") + value
        found.append((name, value if equals else None))
    return found


def _flags(argv: list[str], allowed: str) -> tuple[set[str], list[str]]:
    flags: set[str] = set()
    at = 1
    while at < len(argv) and len(argv[at]) > 1 and argv[at][0] == "-":
        if argv[at] == "--":
            at += 1
            break
        for letter in argv[at][1:]:
            if letter not in allowed:
                raise CommandError(f"-{letter}: unknown option", status=2, hint=f"options are: {' '.join(allowed)}")
            flags.add(letter)
        at += 1
    return flags, argv[at:]


def export(rt: Runtime, argv: list[str]) -> int:
    """export [-n] [-p] name[=value] ...: hand variables to programs."""
    flags, operands = _flags(argv, "npf")
    if not operands:
        _print(rt, "export", rt.vars.exported)
        return 0
    for name, value in _each(rt, operands):
        if value is not None:
            rt.vars.set(name, value)
        if "n" in flags:
            rt.vars.unexport(name)
        else:
            rt.vars.export(name)
    return 0


def readonly(rt: Runtime, argv: list[str]) -> int:
    """readonly [-p] name[=value] ...: values that can no longer change."""
    _, operands = _flags(argv, "pf")
    if not operands:
        _print(rt, "readonly", rt.vars.readonly)
        return 0
    for name, value in _each(rt, operands):
        if value is not None:
            rt.vars.set(name, value)
        rt.vars.protect(name)
    return 0


def _print(rt: Runtime, word: str, names: set[str]) -> None:
    for name in sorted(names):
        value = rt.values.get(name)
        rt.write(f"{word} {name}\n" if value is None else f"{word} {name}={quote(value)}\n")


def local(rt: Runtime, argv: list[str]) -> int:
    """local name[=value] ...: variables that get their old values back when the function ends."""
    if not rt.vars.scopes or not rt.calls:
        raise CommandError("no function is running")
    _, operands = _flags(argv, "")
    for name, value in _each(rt, operands):
        new = name not in rt.vars.scopes[-1]
        rt.vars.local(name)
        if value is not None:
            rt.vars.set(name, value)
        elif new and name in rt.values:
            exported = name in rt.vars.exported
            rt.vars.unset(name)
            if exported:
                rt.vars.export(name)
    return 0


def unset(rt: Runtime, argv: list[str]) -> int:
    """unset [-v|-f] name ...: remove variables, or functions."""
    flags, operands = _flags(argv, "vf")
    for name in operands:
        if "f" in flags:
            rt.functions.pop(name, None)
            continue
        if not is_name(name):
            raise CommandError(f"{name}: not a variable's name")
        if name not in rt.values and "v" not in flags and name in rt.functions:
            del rt.functions[name]
        else:
            rt.vars.unset(name)
    return 0


TABLE: dict[str, Builtin] = {
    "set": set_,
    "shift": shift,
    "export": export,
    "readonly": readonly,
    "local": local,
    "unset": unset,
}
