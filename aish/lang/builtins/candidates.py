"""The words that a completion specification gives for the beginning of a word."""

from __future__ import annotations

import os

from aish.lang import builtins, lookup, options, shopts, signal_names, signals
from aish.lang.pattern import compiled, escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from aish.lang.builtins.completion import Spec
    from aish.lang.runtime import Runtime

_KEYWORDS = (
    "if", "then", "else", "elif", "fi", "case", "esac", "for", "select", "while", "until", "do", "done", "in",
    "function", "time", "{", "}", "!", "[[", "]]", "coproc",
)  # fmt: skip
"""In bash's order."""


def candidates(rt: Runtime, spec: Spec, word: str, asked: tuple[str, str, str] | None = None) -> list[str]:
    """What begins with `word`, filtered and dressed as the specification says. `asked`: what a function is called
    with, the command, the word, and the one before it."""
    asked = asked or ("compgen", word, "")
    found: list[str] = []
    for action in spec.actions:
        found += _of_action(rt, action, word)
    if "G" in spec.values:
        from aish.lang.glob import expand

        found += expand(rt, spec.values["G"])
    if "W" in spec.values:
        found += [item for item in split_words(rt, spec.values["W"]) if item.startswith(word)]
    if "F" in spec.values:
        found += _of_function(rt, spec.values["F"], asked)
    if "C" in spec.values:
        found += _of_command(rt, spec.values["C"], asked)
    if not found and "dirnames" in spec.options:
        found = _of_action(rt, "directory", word)
    if "plusdirs" in spec.options:
        found += _of_action(rt, "directory", word)
    if "X" in spec.values:
        pattern = spec.values["X"].replace("\\&", "\0").replace("&", escape(word)).replace("\0", "&")
        keep = pattern[:1] == "!"
        test = compiled(pattern[keep:])
        found = [item for item in found if test.matches(item) is keep]
    prefix, suffix = spec.values.get("P", ""), spec.values.get("S", "")
    return [prefix + item + suffix for item in found] if prefix or suffix else found


def split_words(rt: Runtime, text: str) -> list[str]:
    """The words of -W: expanded, then split at IFS, where quotes and backslashes keep a piece together."""
    from aish.lang.trace import expand_prompt

    text = expand_prompt(rt, text)
    found: list[str] = []
    piece: list[str] | None = None
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char in rt.separators:
            if piece is not None:
                found.append("".join(piece))
            piece = None
            continue
        piece = [] if piece is None else piece
        if char == "\\" and at < len(text):
            piece.append(text[at])
            at += 1
        elif char in "'\"" and text.find(char, at) >= 0:
            end = text.find(char, at)
            piece.append(text[at:end])
            at = end + 1
        else:
            piece.append(char)
    if piece is not None:
        found.append("".join(piece))
    return found


def _of_function(rt: Runtime, name: str, asked: tuple[str, str, str]) -> list[str]:
    """What a function puts into COMPREPLY."""
    if name not in rt.functions:
        return []
    rt.vars.unset("COMPREPLY")
    rt.status = rt.call(rt.functions[name], [name, *asked])
    return rt.vars.elements("COMPREPLY")


def _of_command(rt: Runtime, command: str, asked: tuple[str, str, str]) -> list[str]:
    """The lines that a command writes."""
    from aish.lang.text import quote
    from aish.lang.trace import expand_prompt

    return expand_prompt(rt, f"$({command} {' '.join([quote(word) for word in asked])})").split("\n")


def _of_action(rt: Runtime, action: str, word: str) -> list[str]:
    if action in ("file", "directory"):
        return _files(word, folders=action == "directory")
    if action in ("arrayvar", "export", "variable"):
        among = {"arrayvar": rt.vars.arrays, "export": rt.vars.exported}.get(action)
        return [name for name in rt.vars.with_values(word) if among is None or name in among]
    return [item for item in _names(rt, action) if item.startswith(word)]


def _names(rt: Runtime, action: str) -> Iterable[str]:
    match action:
        case "alias":
            return sorted(rt.aliases)
        case "function":
            return sorted(rt.functions)
        case "setopt":
            return sorted(options.NAMES)
        case "shopt":
            return shopts.NAMES
        case "signal":
            names = [f"SIG{signal_names.name_of(number)}" for number in range(1, signals.LAST + 1)]
            return ["EXIT", *names, "DEBUG", "ERR", "RETURN"]
        case "job" | "running" | "stopped":
            state = {"running": "Running", "stopped": "Stopped"}.get(action)
            jobs = rt.jobs.jobs.values()
            return [job.text.split()[0] for job in jobs if state in (None, job.state) and job.text.split()]
        case _:
            return _command_names(rt, action) or _system_names(action)


def _command_names(rt: Runtime, action: str) -> list[str]:
    match action:
        case "builtin" | "helptopic":
            return sorted(builtins.TOPIC_OF)
        case "enabled":
            return sorted(set(builtins.TOPIC_OF) - rt.disabled)
        case "disabled":
            return sorted(rt.disabled)
        case "keyword":
            return [*_KEYWORDS]
        case "command":
            return _commands(rt)
        case _:
            return []


def _system_names(action: str) -> list[str]:
    match action:
        case "user":
            import pwd

            return [entry.pw_name for entry in pwd.getpwall()]
        case "group":
            import grp

            return [entry.gr_name for entry in grp.getgrall()]
        case "hostname":
            return _first_columns("/etc/hosts", hosts=True)
        case "service":
            return _first_columns("/etc/services", hosts=False)
        case _:
            return []


def _commands(rt: Runtime) -> list[str]:
    found = [*sorted(rt.aliases), *_KEYWORDS, *sorted(rt.functions), *sorted(builtins.TOPIC_OF)]
    for folder in rt.values.get("PATH", "").split(":"):
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue  # PATH may name what is not there
        found += [name for name in names if lookup.is_program(f"{folder or '.'}/{name}")]
    return found


def _files(word: str, *, folders: bool) -> list[str]:
    """Names that begin with `word`, its folder included; hidden ones, too, but neither . nor .. ."""
    folder, slash, begin = word.rpartition("/")
    try:
        names = os.listdir(os.path.expanduser(folder + slash) if slash else ".")
    except OSError:
        return []
    found = [folder + slash + name for name in names if name.startswith(begin)]
    return [path for path in found if os.path.isdir(os.path.expanduser(path))] if folders else found


def _first_columns(path: str, *, hosts: bool) -> list[str]:
    """Names in a table of the system: of hosts all behind the address, of services the first."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            rows = [line.partition("#")[0].split() for line in file]
    except OSError:
        return []  # a system without that table
    return [name for row in rows for name in (row[1:] if hosts else row[:1])]
