"""getopts: one option after the other out of a list of words."""

from __future__ import annotations

from aish.lang.builtins.letters import with_values
from aish.lang.control import CommandError
from aish.lang.digits import saturated
from aish.lang.text import is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime


def getopts(rt: Runtime, argv: list[str]) -> int:
    """getopts letters name [words]: the next option into `name`, its argument into OPTARG."""
    _, operands = with_values(argv, "")
    if len(operands) < 2:
        raise CommandError("option letters and a variable's name expected", status=2, hint='getopts "ab:" option')
    letters, name, *given = operands
    if not is_name(name):
        raise CommandError(f"{name}: not a variable's name")
    words = given or rt.params
    value = rt.vars.get("OPTIND") or "1"
    at = max(saturated(value), 1) if value.isdecimal() else 1
    inside = rt.options_index
    word = words[at - 1] if at <= len(words) else ""
    if inside == 0 or inside >= len(word):
        if word[:1] != "-" or len(word) < 2:
            return _no_more(rt, name, min(at, len(words) + 1))
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
    rt.vars.set("OPTIND", str(at))
    rt.options_index = inside
    _answer(rt, letters, name, letter, known, takes, argument)
    return 0


def _no_more(rt: Runtime, name: str, at: int) -> int:
    rt.vars.set("OPTIND", str(at))
    rt.vars.unset("OPTARG")
    _give(rt, name, "?")
    return 1


def _answer(
    rt: Runtime, letters: str, name: str, letter: str, known: bool, takes: bool, argument: str | None
) -> None:
    """Set the variable and OPTARG. A leading colon in `letters` keeps complaints to the script."""
    silent = letters.startswith(":")
    if known and (not takes or argument is not None):
        if argument is None:
            rt.vars.unset("OPTARG")
        else:
            rt.vars.set("OPTARG", argument)
        _give(rt, name, letter)
        return
    if silent:
        rt.vars.set("OPTARG", letter)
    else:
        rt.vars.unset("OPTARG")
        if rt.vars.get("OPTERR") != "0":
            rt.complain(f"{rt.name}: -{letter}: " + ("an argument is missing" if known else "unknown option"))
    _give(rt, name, ":" if known and silent else "?")


def _give(rt: Runtime, name: str, letter: str) -> None:
    """Raises CommandError with the status that is an error of getopts, and not the end of the options."""
    try:
        rt.vars.set(name, letter)
    except CommandError as error:
        raise CommandError(error.message, status=2) from None


TABLE: dict[str, Builtin] = {"getopts": getopts}
