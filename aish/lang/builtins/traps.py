"""trap"""

from __future__ import annotations

from aish.lang import signal_names, signals
from aish.lang.builtins.letters import letters
from aish.lang.control import CommandError
from aish.lang.text import single_quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime


def trap(rt: Runtime, argv: list[str]) -> int:
    """trap [-lp] [action] [signal ...]: '' ignores, - gives the default back; without arguments, what is set."""
    at = 1
    if len(argv) > 1 and argv[1] != "-" and argv[1][:1] == "-":
        flags, words = letters(argv, "lp")
        if "l" in flags:
            rt.write(signal_names.table(plain=False))
            return 0
        if "p" in flags:
            return _show(rt, words, every=rt.posix)
        at = len(argv) - len(words)
    words = argv[at:]
    if not words:
        return _show(rt, [])
    action: str | None
    if words[0].isdecimal() and words[0].isascii() and _is_signal(words[0]):
        action, names = None, words  # only signals: reset them
    elif len(words) == 1:
        action, names = None, words
        if not _is_signal(words[0]):
            raise CommandError("signals expected behind the action", status=2, hint="trap 'rm -f $tmp' EXIT")
    else:
        action = None if words[0] == "-" else words[0]
        names = words[1:]
    status = 0
    for name in names:
        try:
            rt.signals.trap(signal_names.number_of(name), action)
        except CommandError as error:
            rt.complain(f"trap: {error.message}", hint=error.hint)
            status = 1
    return status


def _is_signal(word: str) -> bool:
    try:
        signal_names.number_of(word)
    except CommandError:
        return False
    return True


def _show(rt: Runtime, names: list[str], *, every: bool = False) -> int:
    """What is set, as commands; `every`: also what is not (trap -p of POSIX)."""
    shown = rt.signals.shown()
    status = 0
    chosen = [] if names else sorted(shown)
    if every and not names:
        chosen = list(range(signals.RETURN + 1))
    for name in names:
        try:
            chosen.append(signal_names.number_of(name))
        except CommandError as error:
            rt.complain(f"trap: {error.message}", hint=error.hint)
            status = 1
    for signo in chosen:
        if signo in shown:
            prefix = "" if rt.posix or signo == signals.EXIT or signo > signals.LAST else "SIG"
            rt.write(f"trap -- {single_quoted(shown[signo])} {prefix}{signal_names.name_of(signo)}\n")
        elif every:
            rt.write(f"trap -- - {signal_names.name_of(signo)}\n")
    return status


TABLE: dict[str, Builtin] = {"trap": trap}
