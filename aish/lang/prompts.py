"""The escapes of prompts in bash: \\u \\h \\w ..., for ${x@P}."""

from __future__ import annotations

import os

from aish.lang.text import from_byte

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.runtime import Runtime


def prompt(rt: Runtime, text: str) -> str:
    """`text` with its escapes done, then its parameters and substitutions expanded."""
    from aish.lang.trace import expand_prompt

    return expand_prompt(rt, _escaped(rt, text))


def _escaped(rt: Runtime, text: str) -> str:
    done: list[str] = []
    pos = 0
    while pos < len(text):
        char = text[pos]
        pos += 1
        if char != "\\" or pos >= len(text):
            done.append(char)
            continue
        letter = text[pos]
        pos += 1
        if letter in "01234567":
            digits = text[pos - 1 : pos + 2]
            digits = digits[: len(digits) - len(digits.lstrip("01234567"))] or digits
            pos += len(digits) - 1
            done.append(from_byte(int(digits, 8)))
        elif letter == "D" and text[pos : pos + 1] == "{":
            end = text.find("}", pos)
            end = len(text) if end < 0 else end
            done.append(_time(text[pos + 1 : end] or "%X"))
            pos = end + 1
        elif letter in _ESCAPES:
            done.append(_ESCAPES[letter](rt))
        else:
            done.append("\\" + letter)
    return "".join(done)


def _time(form: str) -> str:
    import time

    return time.strftime(form)


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _folder(rt: Runtime) -> str:
    folder, home = rt.vars.get("PWD") or "", rt.vars.get("HOME") or ""
    if home and (folder == home or folder.startswith(home + "/")):
        folder = "~" + folder[len(home) :]
    return _literal(folder)


def _last_folder(rt: Runtime) -> str:
    folder = rt.vars.get("PWD") or ""
    if folder == rt.vars.get("HOME"):
        return "~"
    return _literal(folder.rpartition("/")[2] or folder)


def _literal(text: str) -> str:
    """Text that the expansion behind us leaves as it is."""
    for char in "\\$`":
        text = text.replace(char, "\\" + char)
    return text


def _bash(rt: Runtime, whole: bool) -> str:
    from aish.lang.special import BASH_VERSION

    return ".".join(map(str, BASH_VERSION[: 3 if whole else 2]))


def _terminal() -> str:
    try:
        return os.ttyname(0).rpartition("/")[2]
    except OSError:
        return "tty"


_ESCAPES: dict[str, Callable[[Runtime], str]] = {
    "a": lambda rt: "\a",
    "d": lambda rt: _time("%a %b %d"),
    "e": lambda rt: "\x1b",
    "h": lambda rt: _literal(os.uname().nodename.partition(".")[0]),
    "H": lambda rt: _literal(os.uname().nodename),
    "j": lambda rt: str(len(rt.jobs.jobs)),
    "l": lambda rt: _terminal(),
    "n": lambda rt: "\n",
    "r": lambda rt: "\r",
    "s": lambda rt: _literal(rt.interpreter[0].rpartition("/")[2]),
    "t": lambda rt: _time("%H:%M:%S"),
    "T": lambda rt: _time("%I:%M:%S"),
    "@": lambda rt: _time("%I:%M %p"),
    "A": lambda rt: _time("%H:%M"),
    "u": lambda rt: _literal(_user()),
    "v": lambda rt: _bash(rt, False),
    "V": lambda rt: _bash(rt, True),
    "w": _folder,
    "W": _last_folder,
    "!": lambda rt: "1",
    "#": lambda rt: "1",
    "$": lambda rt: "\\$" if os.geteuid() else "#",
    "[": lambda rt: "",
    "]": lambda rt: "",
    "\\": lambda rt: "\\\\",
}
