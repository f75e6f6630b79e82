"""PS1, PS2, PS0 and ${x@P} as bash has them: escapes first, then the expansions of a word in double quotes.

With `markers` what \\[ and \\] enclose stays between the characters 1 and 2, for whoever counts columns.
"""

from __future__ import annotations

import os

from aish.error import AishError
from aish.lang.digits import saturated
from aish.lang.text import from_byte
from aish.lang.trace import expand_prompt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.runtime import Runtime

BEGIN, END = "\x01", "\x02"
_CLOCK = {"d": "%a %b %d", "t": "%H:%M:%S", "T": "%I:%M:%S", "@": "%I:%M %p", "A": "%H:%M"}
_SIGNS = {"n": "\n", "r": "\r", "a": "\a", "e": "\x1b", "[": BEGIN, "]": END}
_EXPANDED = frozenset("$`\\")
"""What an expansion would take for its own in the value of an escape."""


def prompt(rt: Runtime, text: str) -> str:
    """${x@P}"""
    return expand_text(rt, text)


def expand(rt: Runtime, name: str, *, markers: bool = False) -> str:
    """The text of the prompt in the variable `name`. $? is afterwards what it was."""
    return expand_text(rt, rt.vars.get(name) or "", markers=markers)


def expand_text(rt: Runtime, text: str, *, markers: bool = False) -> str:
    """The text of a prompt."""
    status, statuses = rt.status, rt.pipe_status
    expands = "promptvars" in rt.shopt
    try:
        text = decode(rt, text, expands=expands)
        if expands:
            text = expand_prompt(rt, text)
    except AishError as error:
        rt.report(error)
    finally:
        rt.status, rt.pipe_status = status, statuses
    return text if markers else unmarked(text)


def unmarked(text: str) -> str:
    """Without the markers."""
    return text.replace(BEGIN, "").replace(END, "")


def decode(rt: Runtime, text: str, *, expands: bool) -> str:
    """The escapes of `text`; `expands`: what they stand for is kept from the expansions that follow."""
    if "\\" not in text:
        return text
    found: list[str] = []
    at = 0
    while at < len(text):
        if text[at] != "\\" or at + 1 == len(text):
            found.append(text[at])
            at += 1
            continue
        letter = text[at + 1]
        at += 2
        if letter in _SIGNS:
            found.append(_SIGNS[letter])
            continue
        digits = text[at - 1 : at + 2]
        if not digits.strip("01234567"):
            at += len(digits) - 1
            value = from_byte(int(digits, 8) & 0xFF)
        elif letter == "D" and text[at : at + 1] == "{" and "}" in text[at:]:
            end = text.index("}", at)
            value = _time(text[at + 1 : end] or "%X")
            at = end + 1
        else:
            known = _value(rt, letter)
            if known is None:
                found.append("\\" + letter)
                continue
            value = known
        if expands:
            value = "".join(["\\" + char if char in _EXPANDED else char for char in value])
        found.append(value)
    return "".join(found)


def _value(rt: Runtime, letter: str) -> str | None:
    """What an escape of one letter stands for; None where it is none."""
    match letter:
        case "\\":
            return "\\"
        case "$":
            return "#" if os.geteuid() == 0 else "$"
        case "u":
            return _user()
        case "h":
            return os.uname().nodename.partition(".")[0]
        case "H":
            return os.uname().nodename
        case "w":
            return _trimmed(short_folder(rt), rt.vars.get("PROMPT_DIRTRIM") or "")
        case "W":
            short = short_folder(rt)
            return short if short in ("~", "/") else short.rpartition("/")[2]
        case "j":
            return str(len(rt.jobs.jobs))
        case "l":
            return _terminal()
        case "s":
            return os.path.basename(rt.name).lstrip("-")
        case "v" | "V":
            from aish.lang.special import BASH_VERSION

            return ".".join(map(str, BASH_VERSION[: 2 if letter == "v" else 3]))
        case "!":
            return str(rt.typed.next_number() if rt.typed is not None else 1)
        case "#":
            return str(rt.command_number)
        case _:
            return _time(_CLOCK[letter]) if letter in _CLOCK else None


def short_folder(rt: Runtime) -> str:
    """The current folder, with ~ for the home folder."""
    folder, home = rt.vars.get("PWD") or "?", rt.vars.get("HOME") or ""
    if home and (folder == home or folder.startswith(home.rstrip("/") + "/")):
        return "~" + folder[len(home.rstrip("/")) :]
    return folder


def _trimmed(folder: str, most: str) -> str:
    """PROMPT_DIRTRIM: of a long path the last `most` names."""
    names = saturated(most) if most.isdecimal() else 0
    if not names:
        return folder
    head, parts = ("~/" if folder.startswith("~/") else ""), folder.strip("/").split("/")
    if head:
        parts = parts[1:]
    if len(parts) <= names:
        return folder
    return head + ".../" + "/".join(parts[-names:])


def _time(form: str) -> str:
    import time

    return time.strftime(form)


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _terminal() -> str:
    try:
        return os.path.basename(os.ttyname(0))
    except OSError:
        return "tty"
