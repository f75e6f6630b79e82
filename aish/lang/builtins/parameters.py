"""set shift getopts unset"""

from __future__ import annotations

from aish.lang import options
from aish.lang.control import CommandError, NothingMore
from aish.lang.text import is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime


def set_(rt: Runtime, argv: list[str]) -> int:
    """set [-abCefhmnuvx] [-o name] [--] [words]: options, then the positional parameters."""
    if len(argv) == 1:
        from aish.lang.declarations import plain

        for name in sorted(rt.vars.names()):
            line = plain(rt, name)
            if line is not None:
                rt.write(line + "\n")
        return 0
    at = options_from(rt, argv, 1)
    if at < len(argv) or argv[at - 1] == "--":
        rt.params = argv[at:]
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
        on = getattr(rt, name)
        rt.write(f"{name:<15}\t{'on' if on else 'off'}\n" if readable else f"set {'-+'[not on]}o {name}\n")


def shift(rt: Runtime, argv: list[str]) -> int:
    """shift [n]: drop the first n positional parameters."""
    words = argv[2:] if argv[1:2] == ["--"] else argv[1:]
    count = 1
    if words:
        if not (words[0].isdecimal() and words[0].isascii()):
            raise CommandError(f"{words[0]}: a number expected", status=2)
        count = int(words[0])
    if count > len(rt.params):
        raise CommandError(f"{count}: only {len(rt.params)} positional parameters")
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
        rt.functions.pop(operand, None)
        return
    found = subscripts.split(operand)
    if found is None:
        if "v" in flags:
            raise CommandError(f"{operand}: not a variable's name")
        rt.functions.pop(operand, None)
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
        del rt.functions[name]
    else:
        rt.vars.unset_scoped(name)


# ------------------------------------------------------------------------------------------- getopts


def getopts(rt: Runtime, argv: list[str]) -> int:
    """getopts letters name [words]: the next option into `name`, its argument into OPTARG."""
    if len(argv) < 3:
        raise CommandError("option letters and a variable's name expected", status=2, hint='getopts "ab:" option')
    letters, name = argv[1], argv[2]
    if not is_name(name):
        raise CommandError(f"{name}: not a variable's name", status=2)
    words = argv[3:] if len(argv) > 3 else rt.params
    value = rt.vars.get("OPTIND") or "1"
    at = int(value) if value.isdecimal() and int(value) > 0 else 1
    inside = rt.options_index
    word = words[at - 1] if at <= len(words) else ""
    if inside == 0 or inside >= len(word):
        if word[:1] != "-" or len(word) < 2:
            return _no_more(rt, name, at)
        if word == "--":
            return _no_more(rt, name, at + 1)
        inside = 1
    letter = word[inside]
    inside += 1
    known = letter != ":" and letter in letters
    takes = known and letters[letters.index(letter) + 1 : letters.index(letter) + 2] == ":"
    argument: str | None = None
    if takes:
        if inside < len(word):
            argument = word[inside:]
        else:
            argument = words[at] if at < len(words) else None
            at += argument is not None
        inside = len(word)
    if inside >= len(word):
        at, inside = at + 1, 0
    _answer(rt, letters, name, letter, known, takes, argument)
    rt.vars.set("OPTIND", str(at))
    rt.options_index = inside
    return 0


def _no_more(rt: Runtime, name: str, at: int) -> int:
    rt.vars.set("OPTIND", str(at))
    rt.vars.unset("OPTARG")
    rt.vars.set(name, "?")
    return 1


def _answer(
    rt: Runtime, letters: str, name: str, letter: str, known: bool, takes: bool, argument: str | None
) -> None:
    """Set the variable and OPTARG. A leading colon in `letters` keeps complaints to the script."""
    silent = letters.startswith(":")
    if known and (not takes or argument is not None):
        rt.vars.set(name, letter)
        if argument is None:
            rt.vars.unset("OPTARG")
        else:
            rt.vars.set("OPTARG", argument)
        return
    rt.vars.set(name, ":" if known and silent else "?")
    if silent:
        rt.vars.set("OPTARG", letter)
        return
    rt.vars.unset("OPTARG")
    if rt.vars.get("OPTERR") != "0":
        rt.complain(f"{rt.name}: -{letter}: " + ("an argument is missing" if known else "unknown option"))


TABLE: dict[str, Builtin] = {
    "set": set_,
    "shift": shift,
    "getopts": getopts,
    "unset": unset,
}
