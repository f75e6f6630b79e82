"""The options of `set`: letters, names, and the attribute of Runtime that each one is."""

from __future__ import annotations

from aish.lang.control import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.runtime import Runtime

LETTERS = {
    "a": "allexport",
    "b": "notify",
    "e": "errexit",
    "f": "noglob",
    "h": "hashall",
    "k": "keyword",
    "m": "monitor",
    "n": "noexec",
    "p": "privileged",
    "t": "onecmd",
    "u": "nounset",
    "v": "verbose",
    "x": "xtrace",
    "B": "braceexpand",
    "C": "noclobber",
    "E": "errtrace",
    "H": "histexpand",
    "P": "physical",
    "T": "functrace",
}
"""In the order of $-, in which an i stands behind the h."""

NAMES = (
    *LETTERS.values(), "emacs", "history", "ignoreeof", "interactive-comments", "nolog", "pipefail", "posix", "vi",
)  # fmt: skip

SHOPT_AT_START = frozenset(
    ["checkwinsize", "cmdhist", "complete_fullquote", "extquote", "force_fignore", "globasciiranges", "globskipdots",
     "hostcomplete", "interactive_comments", "patsub_replacement", "progcomp", "promptvars", "sourcepath"]
)  # fmt: skip
"""Options of `shopt` (see shopts) that are on in a new shell."""

_SHOPT_OF_POSIX = frozenset(
    ["expand_aliases", "inherit_errexit", "interactive_comments", "shift_verbose", "sourcepath"]
)
"""What posix mode turns on. Not all of it goes off with it, as in bash."""


def attribute(name: str) -> str:
    """The name that `set -o` takes, checked. Raises CommandError."""
    if name not in NAMES:
        raise CommandError(f"{name}: no such option", status=2, hint="set -o lists them")
    return name


def is_on(rt: Runtime, name: str) -> bool:
    """Whether the option `name` of `set -o` is on; False for a name that is none."""
    if name == "errexit":
        return rt.exits
    if name == "interactive-comments":
        return "interactive_comments" in rt.shopt
    if name == "monitor":
        return rt.monitor or rt.monitor_outside
    return name in NAMES and bool(getattr(rt, name))


def turn(rt: Runtime, name: str, on: bool) -> None:
    """Set the option `name` of `set -o` to `on`."""
    attribute(name)
    match name:
        case "allexport":
            rt.vars.export_all(on)
        case "monitor":
            rt.monitor_outside = False
            if on != rt.monitor:
                rt.jobs.monitor(rt, on)
        case "errexit":
            rt.exits = on
            rt.moments_changed()
            return
        case "interactive-comments":
            from aish.lang import shopts

            shopts.turn(rt, "interactive_comments", on)
            return
        case "posix" if on != rt.posix:
            if on:
                rt.shopt |= _SHOPT_OF_POSIX
            else:
                rt.shopt -= {"shift_verbose"} if rt.interactive else {"shift_verbose", "expand_aliases"}
            rt.posix = on
            if on and rt.vars.get("POSIXLY_CORRECT") is None:
                rt.vars.set("POSIXLY_CORRECT", "y")
            elif not on:
                rt.vars.unset("POSIXLY_CORRECT")
        case "history" if on and not rt.interactive:
            if rt.vars.get("HISTSIZE") is None:
                rt.vars.set("HISTSIZE", "500")
        case "vi" | "emacs" if on:
            rt.vi = rt.emacs = False
        case _:
            pass
    setattr(rt, name, on)
    if name == "notify" and rt.interactive:
        rt.signals.reinstall()


def turn_letters(rt: Runtime, letters: str, on: bool) -> None:
    """Set the options of a word such as -eux. Raises CommandError for a letter that is none."""
    for letter in letters:
        if letter not in LETTERS:
            sign = "-" if on else "+"
            raise CommandError(f"{sign}{letter}: no such option", status=2, hint="set -o lists them")
    for letter in letters:
        turn(rt, LETTERS[letter], on)


def letters(rt: Runtime) -> str:
    """What $- says."""
    shown = []
    for letter, name in LETTERS.items():
        if is_on(rt, name):
            shown.append(letter)
        if letter == "h" and (rt.interactive or rt.from_prompt):
            shown.append("i")
    return "".join(shown) + ("c" if rt.from_string else "") + ("s" if rt.from_stdin else "")


def shown(rt: Runtime) -> str:
    """What $SHELLOPTS says."""
    return ":".join([name for name in sorted(NAMES) if is_on(rt, name)])
