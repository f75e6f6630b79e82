"""bind: which keys do what at the prompt. The editor asks `Runtime.bound` before each line."""

from __future__ import annotations

from aish.lang.builtins.letters import with_values
from aish.lang.control import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime

MACRO, COMMAND, FUNCTION = "macro", "command", "function"
FUNCTIONS = (
    "accept-line", "backward-char", "backward-delete-char", "backward-kill-word", "backward-word",
    "beginning-of-buffer", "beginning-of-history", "beginning-of-line", "capitalize-word", "clear-screen",
    "complete", "delete-char", "delete-horizontal-space", "downcase-word", "edit-and-execute-command",
    "end-of-buffer", "end-of-file", "end-of-history", "end-of-line", "forward-char", "forward-word",
    "insert-comment", "kill-line", "kill-word", "menu-complete", "menu-complete-backward", "next-history",
    "previous-history", "quoted-insert", "redraw-current-line", "reverse-search-history", "self-insert",
    "transpose-chars", "undo", "unix-line-discard", "unix-word-rubout", "yank", "yank-last-arg", "yank-nth-arg",
    "yank-pop",
)  # fmt: skip
"""Those of readline's that this editor has."""
_NAMED = {"d": "\x7f", "e": "\x1b", "\\": "\\", '"': '"', "'": "'", "a": "\a", "b": "\b", "f": "\f", "n": "\n",
          "r": "\r", "t": "\t", "v": "\v"}  # fmt: skip

_OCTAL = "01234567"


def bind(rt: Runtime, argv: list[str]) -> int:
    """bind [-lpsvPSVX] [-m keymap] [-f file] [-qu name] [-r keys] [-x keys:command] [keys:name]: its keys."""
    options, words = with_values(argv, "lpsvPSVXm:f:q:u:r:x:")
    status = 0
    for letter, value in options:
        match letter:
            case "l":
                rt.write("".join([name + "\n" for name in FUNCTIONS]))
            case "p" | "P" | "s" | "S" | "X":
                _show(rt, letter.lower())
            case "q" | "u":
                status = _of_name(rt, value, forget=letter == "u")
            case "r":
                rt.bound.pop(_keys(value), None)
            case "x":
                keys, command = _parted(value)
                rt.bound[keys] = COMMAND, _text(command)
            case "f":
                status = _file(rt, value)
            case _:
                pass  # readline's variables and keymaps: the editor has its own
    for word in words:
        try:
            _bind_line(rt, word)
        except CommandError as error:
            rt.complain_of("bind", error)  # the status stays as it is, in bash as well
    return status


def _bind_line(rt: Runtime, line: str) -> None:
    """A line as readline's file has it. Raises CommandError."""
    line = line.strip()
    if not line or line[0] in "#$" or line.split()[:1] == ["set"]:
        return
    keys, value = _parted(line)
    if value[:1] in ("'", '"'):
        rt.bound[keys] = MACRO, _keys(value[1:-1] if value[-1:] == value[0] else value[1:])
    elif value in FUNCTIONS:
        rt.bound[keys] = FUNCTION, value
    else:
        raise CommandError(f"{value}: no function of the editor", hint="bind -l lists them")


def _file(rt: Runtime, path: str) -> int:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.readlines()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    status = 0
    for line in lines:
        try:
            _bind_line(rt, line)
        except CommandError as error:
            rt.complain_of("bind", error)
            status = 1
    return status


def _show(rt: Runtime, letter: str) -> None:
    """As what would bind them again."""
    wanted = {"p": FUNCTION, "s": MACRO, "x": COMMAND}[letter]
    for keys, (kind, value) in rt.bound.items():
        if kind == wanted:
            rt.write(f'"{shown(keys)}": ' + (value if kind == FUNCTION else f'"{shown(value)}"') + "\n")


def _of_name(rt: Runtime, name: str, *, forget: bool) -> int:
    """-q and -u: the keys of a function."""
    if name not in FUNCTIONS:
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
        name, _, rest = line.partition(":")
        keys, rest = _named_key(name.strip()), ":" + rest.strip()
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
