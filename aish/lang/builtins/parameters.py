"""set shift unset"""

from __future__ import annotations

from aish.lang import options
from aish.lang.control import CommandError, NothingMore
from aish.lang.digits import saturated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime


def set_(rt: Runtime, argv: list[str]) -> int:
    """set [-abBCeEfhHkmnpPtTuvx] [-o name] [--] [words]: options, then the positional parameters."""
    if len(argv) == 1:
        from aish.lang.declarations import plain

        for name in sorted(rt.vars.names()):
            line = plain(rt, name)
            if line is not None:
                rt.write(line + "\n")
        if rt.functions and not rt.posix:
            from aish.lang.builtins.functions import laid_out

            for name in sorted(rt.functions):
                rt.write(laid_out(rt.functions[name]) + "\n")
        return 0
    at = options_from(rt, argv, 1)
    if at < len(argv) or argv[at - 1] == "--":
        rt.params = argv[at:]
        rt.params_set = all(name == "source" for name, _, _ in rt.frames)
    if rt.noexec and not rt.interactive:
        raise NothingMore
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
        raise rt.discarding_error("shift: too many arguments")
    count = 1
    if words:
        digits = words[0].removeprefix("+")
        if not (digits.isdecimal() and digits.isascii()):
            raise CommandError(f"{words[0]}: a number from 0 on expected")
        count = saturated(digits)
    if count > len(rt.params):
        if "shift_verbose" in rt.shopt:
            rt.complain(f"shift: {count}: only {len(rt.params)} positional parameters")
        return 1
    rt.params = rt.params[count:]
    return 0


# ----------------------------------------------------------------------------------------- variables


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


def unset(rt: Runtime, argv: list[str]) -> int:
    """unset [-f|-v|-n] name ...: remove variables, elements, functions, or with -n references themselves."""
    flags, operands = _flags(argv, "vfn")
    if {"f", "v"} <= flags:
        raise CommandError("-f and -v together", hint="a function and a variable are unset one after the other")
    status = 0
    for operand in operands:
        try:
            _unset(rt, flags, operand)
        except CommandError as error:
            rt.complain(f"unset: {error.message}", hint=error.hint)
            status = 1
    return status


def _unset(rt: Runtime, flags: set[str], operand: str) -> None:
    from aish.lang import subscripts

    if "f" in flags:
        _unset_function(rt, operand)
        return
    found = subscripts.split(operand)
    if found is None:
        if "v" in flags:
            raise CommandError(f"{operand}: not a variable's name")
        _unset_function(rt, operand)
        return
    name, subscript = found
    if "n" in flags:
        if name in rt.vars.references:
            rt.vars.unset_scoped(name)
        return
    if subscript is None and name in rt.vars.references:
        final, subscript = subscripts.resolve(rt, name)
        name = final
    if subscript is not None:
        subscripts.remove(rt, name, subscript)
    elif "v" not in flags and name in rt.functions and not rt.vars.knows(name):
        _unset_function(rt, name)
    else:
        rt.vars.unset_scoped(name)


def _unset_function(rt: Runtime, name: str) -> None:
    from aish.lang.builtins import functions

    functions.unset(rt, name)


TABLE: dict[str, Builtin] = {
    "set": set_,
    "shift": shift,
    "unset": unset,
}
