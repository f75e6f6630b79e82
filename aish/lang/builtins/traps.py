"""trap"""

from __future__ import annotations

from aish.lang import signals
from aish.lang.control import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime


def trap(rt: Runtime, argv: list[str]) -> int:
    """trap [action] signal ...: '' ignores, - gives the default back; without arguments, what is set."""
    words = argv[1:]
    if words[:1] == ["--"]:
        words = words[1:]
    if words[:1] == ["-l"]:
        rt.write(" ".join([signals.NAMES[number] for number in sorted(signals.NAMES)]) + "\n")
        return 0
    if not words or words[0] == "-p":
        _show(rt, words[1:])
        return 0
    if len(words) == 1 or (words[0].isdecimal() and words[0].isascii()):
        action: str | None = None  # only signals: reset them
        names = words
        if len(words) == 1 and not _is_signal(words[0]):
            raise CommandError("signals expected behind the action", status=2, hint="trap 'rm -f $tmp' EXIT")
    else:
        action = None if words[0] == "-" else words[0]
        names = words[1:]
    status = 0
    for name in names:
        try:
            rt.signals.trap(signals.number_of(name), action)
        except CommandError as error:
            rt.complain(f"trap: {error.message}", hint=error.hint)
            status = 1
    return status


def _is_signal(word: str) -> bool:
    try:
        signals.number_of(word)
    except CommandError:
        return False
    return True


def _show(rt: Runtime, names: list[str]) -> None:
    shown = rt.signals.shown()
    chosen = [signals.number_of(name) for name in names] if names else sorted(shown)
    for signo in chosen:
        if signo in shown:
            action = "'" + shown[signo].replace("'", "'\\''") + "'"
            prefix = "" if signo == signals.EXIT else "SIG"
            rt.write(f"trap -- {action} {prefix}{signals.name_of(signo)}\n")


TABLE: dict[str, Builtin] = {"trap": trap}
