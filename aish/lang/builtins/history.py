"""history fc bind: of the line editor. A script has no history and no keys."""

from __future__ import annotations

from aish.lang.builtins.letters import with_values
from aish.lang.control import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime


def history(rt: Runtime, argv: list[str]) -> int:
    """history [-c] [-d offset] [n]; history -anrw [file]; history -ps word ...: lines that were typed."""
    options, words = with_values(argv, "cd:anrwps")
    flags = {letter for letter, _ in options}
    if "p" in flags:
        rt.write("".join([word + "\n" for word in words]))
    elif not flags and words:
        if len(words) > 1:
            raise CommandError("too many arguments")
        if not words[0].isdecimal():
            raise CommandError(f"{words[0]}: a number expected")
    return 0


def fc(rt: Runtime, argv: list[str]) -> int:
    """fc [-e editor] [-lnr] [first] [last]; fc -s [old=new] [command]: typed lines, edited and run again."""
    _, words = with_values(argv, "e:lnrs")
    if words and not rt.interactive:
        raise CommandError("no line was typed in this shell")
    return 0


def bind(rt: Runtime, argv: list[str]) -> int:
    """bind [-lpsvPSVX] [-m keymap] [-f file] [-qu name] [-r keys] [-x keys:command] [keys:name]: accepted."""
    with_values(argv, "lpsvPSVXm:f:q:u:r:x:")
    return 0


TABLE: dict[str, Builtin] = {"history": history, "fc": fc, "bind": bind}
