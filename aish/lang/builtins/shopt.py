"""shopt"""

from __future__ import annotations

from aish.lang import options, shopts
from aish.lang.builtins.letters import letters
from aish.lang.control import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime


def shopt(rt: Runtime, argv: list[str]) -> int:
    """shopt [-pqsu] [-o] [name ...]: options beside those of `set` (with -o, those)."""
    flags, names = letters(argv, "pqsuo")
    if "s" in flags and "u" in flags:
        raise CommandError("-s and -u at the same time")
    ours = _SetOptions(rt) if "o" in flags else _ShoptOptions(rt)
    wanted = True if "s" in flags else False if "u" in flags else None
    if not names:
        if "q" not in flags:
            chosen = [name for name in ours.names if wanted is None or ours.is_on(name) is wanted]
            rt.write("".join([ours.line(name, "p" in flags) for name in chosen]))
        return 0
    status = 0
    for name in names:
        if name not in ours.names:
            rt.complain(f"shopt: {name}: no such option", hint="shopt lists them; shopt -o those of set")
            status = 1
        elif wanted is not None:
            ours.turn(name, wanted)
        else:
            if not ours.is_on(name):
                status = 1
            if "q" not in flags:
                rt.write(ours.line(name, "p" in flags))
    return status


class _ShoptOptions:
    """Those that only shopt sets."""

    names: tuple[str, ...] = shopts.NAMES

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt

    def is_on(self, name: str) -> bool:
        return name in self.rt.shopt

    def turn(self, name: str, on: bool) -> None:
        shopts.turn(self.rt, name, on)

    def line(self, name: str, as_command: bool) -> str:
        """What is listed."""
        on = self.is_on(name)
        return f"shopt {'-s' if on else '-u'} {name}\n" if as_command else f"{name:<15}\t{'on' if on else 'off'}\n"


class _SetOptions(_ShoptOptions):
    """Those of `set -o`."""

    names = tuple(sorted(options.NAMES))

    def is_on(self, name: str) -> bool:
        return options.is_on(self.rt, name)

    def turn(self, name: str, on: bool) -> None:
        options.turn(self.rt, name, on)

    def line(self, name: str, as_command: bool) -> str:
        on = self.is_on(name)
        return f"set {'-o' if on else '+o'} {name}\n" if as_command else super().line(name, False)


TABLE: dict[str, Builtin] = {"shopt": shopt}
