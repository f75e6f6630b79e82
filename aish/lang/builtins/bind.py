"""bind: which keys do what at the prompt. The editor asks `Runtime.bound` before each line."""

from __future__ import annotations

import os

from aish.lang import options
from aish.lang.builtins.inputrc import Terminal, counting
from aish.lang.builtins.key_functions import NAMES
from aish.lang.builtins.letters import with_values
from aish.lang.control import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime

MACRO, COMMAND, FUNCTION = "macro", "command", "function"
_KEYMAPS = {"emacs": True, "emacs-standard": True, "emacs-meta": True, "emacs-ctlx": True, "vi-insert": True,
            "vi": False, "vi-move": False, "vi-command": False}  # fmt: skip
"""Whether its keys are those of a line that is being typed: in vi's command mode letters are commands."""
_NAMED = {"d": "\x7f", "e": "\x1b", "\\": "\\", '"': '"', "'": "'", "a": "\a", "b": "\b", "f": "\f", "n": "\n",
          "r": "\r", "t": "\t", "v": "\v"}  # fmt: skip

_OCTAL = "01234567"


def bind(rt: Runtime, argv: list[str]) -> int:
    """bind [-lpsvPSVX] [-m keymap] [-f file] [-qu name] [-r keys] [-x keys:command] [keys:name]: its keys."""
    given, words = with_values(argv, "lpsvPSVXm:f:q:u:r:x:")
    status, typed = 0, True
    for letter, value in given:
        match letter:
            case "l":
                rt.write("".join([name + "\n" for name in NAMES]))
            case "p" | "P" | "s" | "S" | "X":
                _show(rt, letter.lower())
            case "q" | "u":
                status = _of_name(rt, value, forget=letter == "u")
            case "m":
                typed = _is_typed(value)
            case "r" if typed:
                rt.bound.pop(_keys(value), None)
            case "x" if typed:
                keys, command = _parted(value)
                rt.bound[keys] = COMMAND, _text(command)
            case "f":
                read_file(rt, value)
            case _:
                pass  # readline's variables: the editor has its own
    for word in words:
        try:
            _bind_line(rt, word, typed)
        except CommandError as error:
            rt.complain_of("bind", error)  # the status stays as it is, in bash as well
    return status


def _is_typed(keymap: str) -> bool:
    """Whether keys of a keymap are those of a line that is being typed. Raises CommandError."""
    if keymap not in _KEYMAPS:
        raise CommandError(f"{keymap}: no keymap", hint="they are " + ", ".join(_KEYMAPS))
    return _KEYMAPS[keymap]


def _bind_line(rt: Runtime, line: str, typed: bool) -> bool:
    """A line as readline's file has it; whether the keys of the next one are typed ones, too. Raises CommandError."""
    line = line.strip()
    words = line.split()
    if not words or line[0] in "#$":
        return typed
    if words[0] == "set":
        return _set(rt, words[1:], typed)
    keys, value = _parted(line)
    if typed:
        if value[:1] in ("'", '"'):
            rt.bound[keys] = MACRO, _keys(value[1:-1] if value[-1:] == value[0] else value[1:])
        elif value.lower() in NAMES:
            rt.bound[keys] = FUNCTION, value.lower()
        else:
            rt.bound.pop(keys, None)  # nobody is told, in bash as well
    return typed


def _set(rt: Runtime, words: list[str], typed: bool) -> bool:
    """A line `set name value`: of readline's variables the editor has the two that say which keys are meant."""
    match words:
        case ["keymap", name, *_]:
            return _KEYMAPS.get(name, typed)
        case ["editing-mode", "vi" | "emacs" as name, *_]:
            if rt.vi or rt.emacs:
                options.turn(rt, name, True)
            return True
        case _:
            return typed


def read_file(rt: Runtime, path: str) -> None:
    """Do what a file of readline's says. What cannot be a line of it is told. Raises CommandError."""
    terminal = Terminal(rt.values.get("TERM", ""), "vi" if rt.vi else "emacs")
    typed = True
    for line in counting(_text_of(path), terminal, _included):
        try:
            typed = _bind_line(rt, line, typed)
        except CommandError as error:
            rt.complain_of("bind", CommandError(f"{path}: {error.message}"))


def _text_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None


def _included(path: str) -> str:
    """One that is not there says nothing, as in bash."""
    try:
        return _text_of(os.path.expanduser(path))
    except CommandError:
        return ""


def _show(rt: Runtime, letter: str) -> None:
    """As what would bind them again."""
    wanted = {"p": FUNCTION, "s": MACRO, "x": COMMAND}[letter]
    for keys, (kind, value) in rt.bound.items():
        if kind == wanted:
            rt.write(f'"{shown(keys)}": ' + (value if kind == FUNCTION else f'"{shown(value)}"') + "\n")


def _of_name(rt: Runtime, name: str, *, forget: bool) -> int:
    """-q and -u: the keys of a function."""
    if name not in NAMES:
        raise CommandError(f"{name}: no function of the editor", hint="bind -l lists them")
    found = [keys for keys, bound in rt.bound.items() if bound == (FUNCTION, name)]
    if forget:
        for keys in found:
            del rt.bound[keys]
        return 0
    if not found:
        rt.write(f"{name} is not bound to any keys.\n")
        return 1
    rt.write(f"{name} can be invoked via " + ", ".join([f'"{shown(keys)}"' for keys in found]) + ".\n")
    return 0


def _parted(line: str) -> tuple[str, str]:
    """The keys, and what they are to do. Raises CommandError."""
    if line[:1] == '"':
        at = 1
        while at < len(line) and line[at] != '"':
            at += 2 if line[at] == "\\" else 1
        keys, rest = _keys(line[1:at]), line[at + 1 :].strip()
    else:
        name, colon, rest = line.partition(":")
        keys, rest = _named_key(name.strip()), colon + rest.strip()
    if rest[:1] != ":" or not keys:
        raise CommandError(f"{line}: keys, a colon and what they do expected", hint='bind \'"\\C-o": "text"\'')
    return keys, rest[1:].strip()


def _named_key(name: str) -> str:
    """Control-u, Meta-Rubout, C-x."""
    *before, last = name.split("-") if name != "-" else ["-"]
    named = {"rubout": "\x7f", "del": "\x7f", "esc": "\x1b", "escape": "\x1b", "lfd": "\n", "newline": "\n",
             "ret": "\r", "return": "\r", "spc": " ", "space": " ", "tab": "\t"}  # fmt: skip
    key = named.get(last.lower(), last[:1])
    for word in reversed(before):
        key = _control(key) if word.lower() in ("control", "c") else "\x1b" + key
    return key


def _control(char: str) -> str:
    return "\x7f" if char == "?" else chr(ord(char.upper()) & 0x1F) if char else ""


def _keys(text: str) -> str:
    """A sequence of keys as readline writes it: \\C-x, \\M-x, \\e, \\n, \\001."""
    found: list[str] = []
    at = 0
    while at < len(text):
        modifiers = []
        while text[at : at + 3] in ("\\C-", "\\M-"):
            modifiers.append(text[at + 1])
            at += 3
        key, at = _key(text, at)
        if "C" in modifiers:
            key = _control(key)
        found.append("\x1b" * ("M" in modifiers) + key)
    return "".join(found)


def _key(text: str, at: int) -> tuple[str, int]:
    """The one at this place, and the place behind it."""
    if text[at : at + 1] != "\\" or at + 1 >= len(text):
        return text[at : at + 1], at + 1
    char = text[at + 1]
    if char not in _OCTAL:
        return _NAMED.get(char, char), at + 2
    end = at + 2
    while end < at + 4 and text[end : end + 1] in _OCTAL and end < len(text):
        end += 1
    return chr(int(text[at + 1 : end], 8) & 0xFF), end


def _text(command: str) -> str:
    """The command of -x, which may stand in quotes."""
    if len(command) > 1 and command[0] == command[-1] and command[0] in "'\"":
        return command[1:-1].replace("\\" + command[0], command[0])
    return command


def shown(keys: str) -> str:
    """The other way round."""
    found = []
    for char in keys:
        if char == "\x1b":
            found.append("\\e")
        elif char == "\x7f":
            found.append("\\C-?")
        elif ord(char) < 32:
            found.append("\\C-" + chr(ord(char) | 0x60))
        else:
            found.append("\\" + char if char in '"\\' else char)
    return "".join(found)


TABLE: dict[str, Builtin] = {"bind": bind}
