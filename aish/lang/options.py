"""The options of `set`: letters, names, and the attribute of Runtime that each one is."""

from __future__ import annotations

from aish.lang.control import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.runtime import Runtime

LETTERS = {
    "a": "allexport",
    "b": "notify",
    "C": "noclobber",
    "e": "errexit",
    "f": "noglob",
    "h": "hashall",
    "H": "histexpand",
    "m": "monitor",
    "n": "noexec",
    "u": "nounset",
    "v": "verbose",
    "x": "xtrace",
    "B": "braceexpand",
}
NAMES = (*sorted(LETTERS.values()), "pipefail", "posix", "ignoreeof", "emacs", "vi")


def attribute(name: str) -> str:
    """The name that `set -o` takes, checked. Raises CommandError."""
    if name not in NAMES:
        raise CommandError(f"{name}: no such option", status=2, hint="set -o lists them")
    return name


def turn(rt: Runtime, name: str, on: bool) -> None:
    """Set the option `name` of `set -o` to `on`."""
    if name == "allexport":
        rt.vars.export_all(on)
    elif name == "monitor" and on != rt.monitor:
        rt.jobs.monitor(rt, on)
    setattr(rt, attribute(name), on)
    if name == "notify" and rt.interactive:
        rt.signals.reinstall()


def turn_letters(rt: Runtime, letters: str, on: bool) -> None:
    """Set the options of a word such as -eux. Raises CommandError for a letter that is none."""
    for letter in letters:
        if letter not in LETTERS:
            sign = "-" if on else "+"
            raise CommandError(f"{sign}{letter}: no such option", status=2, hint="set -o lists them")
        turn(rt, LETTERS[letter], on)


def letters(rt: Runtime) -> str:
    """What $- says."""
    shown = "".join([letter for letter, name in LETTERS.items() if getattr(rt, name)])
    return shown + ("i" if rt.interactive else "") + ("c" if rt.from_string else "") + ("s" if rt.from_stdin else "")
