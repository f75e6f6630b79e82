"""bind: which keys do what at the prompt. The editor asks `Runtime.bound` before each line."""

from __future__ import annotations

import os
import stat

from aish.lang import options
from aish.lang.builtins import default_keys
from aish.lang.builtins.default_keys import variables
from aish.lang.builtins.inputrc import File, Reading, Terminal
from aish.lang.builtins.key_functions import NAMES
from aish.lang.builtins.letters import with_values
from aish.lang.control import CommandError
from aish.lang.text import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime

MACRO, COMMAND, FUNCTION = "macro", "command", "function"
EMACS, VI = "emacs", "vi"
_Keymap = tuple[tuple[str, ...], str]
"""The modes of the editor in which its keys are those of a line that is being typed, and the keys before them."""
_ANY: _Keymap = (EMACS, VI), ""
"""Where nobody has named one."""
_KEYMAPS: dict[str, _Keymap] = {
    "emacs": ((EMACS,), ""), "emacs-standard": ((EMACS,), ""), "emacs-meta": ((EMACS,), "\x1b"),
    "emacs-ctlx": ((EMACS,), "\x18"), "vi-insert": ((VI,), ""), "vi": ((), ""), "vi-move": ((), ""),
    "vi-command": ((), ""),
}  # fmt: skip
"""In vi's command mode letters are commands, which are the editor's own."""
_MOST_BYTES = 256 << 10
"""Of a file of readline's."""
_NAMED = {"d": "\x7f", "e": "\x1b", "\\": "\\", '"': '"', "'": "'", "a": "\a", "b": "\b", "f": "\f", "n": "\n",
          "r": "\r", "t": "\t", "v": "\v"}  # fmt: skip

_OCTAL = "01234567"


def bind(rt: Runtime, argv: list[str]) -> int:
    """bind [-lpsvPSVX] [-m keymap] [-f file] [-qu name] [-r keys] [-x keys:command] [keys:name]: its keys."""
    given, words = with_values(argv, "lpsvPSVXm:f:q:u:r:x:")
    status, keymap = 0, _ANY
    for letter, value in given:
        match letter:
            case "l":
                rt.write("".join([name + "\n" for name in NAMES]))
            case "p" | "P" | "s" | "S" | "X":
                _show(rt, letter, keymap)
            case "v" | "V":
                for name, is_ in variables(vi=rt.vi, paste=rt.brackets_paste()):
                    rt.write(f"set {name} {is_}\n" if letter == "v" else f"{name} is set to `{is_}'\n")
            case "q" | "u":
                status = _of_name(rt, value, keymap, forget=letter == "u")
            case "m":
                keymap = _keymap(value)
            case "r":
                _have(rt, keymap, _keys(value), None)
            case "x":
                keys, command = _parted(value)
                _have(rt, keymap, keys, (COMMAND, _text(command)))
            case "f":
                read_file(rt, value)
            case _:
                pass  # readline's variables: the editor has its own
    for word in words:
        try:
            _bind_line(rt, word, keymap)
        except CommandError as error:
            rt.complain_of("bind", error)  # the status stays as it is, in bash as well
    return status


def _keymap(name: str) -> _Keymap:
    """Raises CommandError."""
    if name not in _KEYMAPS:
        raise CommandError(f"{name}: no keymap", hint="they are " + ", ".join(_KEYMAPS))
    return _KEYMAPS[name]


def _have(rt: Runtime, keymap: _Keymap, keys: str, what: tuple[str, str] | None) -> None:
    """Bind the keys in all modes that are meant; None frees them."""
    modes, before = keymap
    for mode in modes:
        if what is None:
            rt.bound.pop((mode, before + keys), None)
        else:
            rt.bound[mode, before + keys] = what


def _mode(rt: Runtime) -> str:
    return VI if rt.vi else EMACS


def _in_force(rt: Runtime, keymap: _Keymap) -> dict[str, tuple[str, str]]:
    """What keys do in the mode of the keymap, or in that of the moment; by themselves, unless somebody bound them."""
    modes = (_mode(rt),) if keymap == _ANY else keymap[0]
    found: dict[str, tuple[str, str]] = {}
    for mode in modes:
        found |= {keys: (FUNCTION, name) for keys, name in default_keys.keys(vi=mode == VI).items()}
    return found | {keys: what for (mode, keys), what in rt.bound.items() if mode in modes}


def _bind_line(rt: Runtime, line: str, keymap: _Keymap) -> _Keymap:
    """A line as readline's file has it; the keymap of the next one. Raises CommandError."""
    line = line.strip()
    words = line.split()
    if not words or line[0] in "#$":
        return keymap
    if words[0].lower() == "set":
        return _set(rt, [word.lower() for word in words[1:]], keymap)
    keys, value = _parted(line)
    if value[:1] in ("'", '"'):
        _have(rt, keymap, keys, (MACRO, _keys(value[1 : _end_of_quote(value)])))
    else:
        name = (value.split() or [""])[0].lower()  # behind it anything may stand
        _have(rt, keymap, keys, (FUNCTION, name) if name in NAMES else None)  # nobody is told, in bash as well
    return keymap


def _set(rt: Runtime, words: list[str], keymap: _Keymap) -> _Keymap:
    """A line `set name value`: of readline's variables the editor has the two that say which keys are meant, and the
    one that programs turn off which type into a shell and read what it writes."""
    match words:
        case ["keymap", name, *_]:
            return _KEYMAPS.get(name, keymap)
        case ["editing-mode", "vi" | "emacs" as name, *_]:
            if rt.vi or rt.emacs:
                options.turn(rt, name, True)
            return _ANY
        case ["enable-bracketed-paste", *values]:
            rt.bracketed_paste = not values or values[0] in ("on", "1")
            return keymap
        case _:
            return keymap


def read_file(rt: Runtime, path: str) -> None:
    """Do what a file of readline's says. What cannot be a line of it is told. Raises CommandError."""
    terminal = Terminal(rt.values.get("TERM", ""), _mode(rt))
    keymap = _ANY
    for line in Reading(terminal, _included).lines(_file(path)):
        try:
            keymap = _bind_line(rt, line, keymap)
        except CommandError as error:
            rt.complain_of("bind", CommandError(f"{path}: {error.message}"))
        terminal.mode = _mode(rt)  # for the next $if


def _file(path: str, *, tilde: bool = False) -> File:
    """Raises CommandError, also for what is no file: a pipe is never waited for, and a device may have no end."""
    try:
        fd = os.open(os.path.expanduser(path) if tilde else path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise CommandError(f"{path}: not a regular file")
            with open(fd, "rb", closefd=False) as file:
                data = file.read(_MOST_BYTES + 1)
        finally:
            os.close(fd)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise CommandError(f"{path!r}: no file can have this name") from None
    if len(data) > _MOST_BYTES:
        raise CommandError(f"{path}: larger than {_MOST_BYTES >> 10} KiB, which no file of keys is")
    return File((status.st_dev, status.st_ino), decode(data))


def _included(path: str) -> File | None:
    """One that is not there says nothing, as in bash."""
    try:
        return _file(path, tilde=True)
    except CommandError:
        return None


def _show(rt: Runtime, letter: str, keymap: _Keymap) -> None:
    """As what would bind them again. -p and -P: the functions, those that no key has as well."""
    if letter in "pP":
        for name in NAMES:
            _show_function(rt, name, _keys_of(rt, name, keymap), as_input=letter == "p")
        return
    wanted = MACRO if letter in "sS" else COMMAND
    for keys, (kind, value) in _in_force(rt, keymap).items():
        if kind == wanted:
            rt.write(f'"{shown(keys)}": "{shown(value)}"\n')


def _show_function(rt: Runtime, name: str, found: list[str], *, as_input: bool) -> None:
    if as_input:
        rt.write("".join([f'"{keys}": {name}\n' for keys in found]) or f"# {name} (not bound)\n")
    elif found:
        rt.write(f"{name} can be found on " + ", ".join([f'"{keys}"' for keys in found]) + ".\n")
    else:
        rt.write(f"{name} is not bound to any keys\n")


def _keys_of(rt: Runtime, name: str, keymap: _Keymap) -> list[str]:
    """Those that do this, as they are shown."""
    return [shown(keys) for keys, what in sorted(_in_force(rt, keymap).items()) if what == (FUNCTION, name)]


def _of_name(rt: Runtime, name: str, keymap: _Keymap, *, forget: bool) -> int:
    """-q and -u: the keys of a function."""
    if name not in NAMES:
        raise CommandError(f"{name}: no function of the editor", hint="bind -l lists them")
    if forget:
        for place in [place for place, what in rt.bound.items() if what == (FUNCTION, name)]:
            del rt.bound[place]
        return 0
    found = _keys_of(rt, name, keymap)
    if not found:
        rt.write(f"{name} is not bound to any keys.\n")
        return 1
    rt.write(f"{name} can be invoked via " + ", ".join([f'"{keys}"' for keys in found]) + ".\n")
    return 0


def _parted(line: str) -> tuple[str, str]:
    """The keys, and what they are to do. Raises CommandError."""
    if line[:1] == '"':
        at = _end_of_quote(line)
        keys, rest = _keys(line[1:at]), line[at + 1 :].strip()
    else:
        name, colon, rest = line.partition(":")
        keys, rest = _named_key(name.strip()), colon + rest.strip()
    if rest[:1] != ":" or not keys:
        raise CommandError(f"{line}: keys, a colon and what they do expected", hint='bind \'"\\C-o": "text"\'')
    return keys, rest[1:].strip()


def _end_of_quote(text: str) -> int:
    """Where the quote stands that ends the one at the beginning; the end of the text where none does."""
    at = 1
    while at < len(text) and text[at] != text[0]:
        at += 2 if text[at] == "\\" else 1
    return min(at, len(text))


def _named_key(name: str) -> str:
    """Control-u, Meta-Rubout, C-x."""
    *before, last = name.split("-") if name != "-" else ["-"]
    named = {"rubout": "\x7f", "del": "\x7f", "esc": "\x1b", "escape": "\x1b", "lfd": "\n", "newline": "\n",
             "ret": "\r", "return": "\r", "spc": " ", "space": " ", "tab": "\t"}  # fmt: skip
    key = named.get(last.lower(), last[:1])
    for word in reversed(before):
        key = _control(key) if word.lower() in ("control", "c") else "\x1b" + key
    return key


def _control(key: str) -> str:
    """With the last character of a key as Ctrl sends it: before that one Meta's Escape may stand."""
    if not key:
        return ""
    return key[:-1] + ("\x7f" if key[-1] == "?" else chr(ord(key[-1]) & 0x1F))


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
            found.append("\\C-" + {"\x1c": "\\\\"}.get(char, chr(ord(char) + 64).lower()))
        else:
            found.append("\\" + char if char in '"\\' else char)
    return "".join(found)


TABLE: dict[str, Builtin] = {"bind": bind}
