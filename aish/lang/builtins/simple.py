""": true false echo aish embed tensor"""

from __future__ import annotations

from aish.lang.text import from_byte, from_codepoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime


def nothing(rt: Runtime, argv: list[str]) -> int:
    """: [words]: do nothing, and succeed."""
    return 0


def true(rt: Runtime, argv: list[str]) -> int:
    """true: succeed."""
    return 0


def false(rt: Runtime, argv: list[str]) -> int:
    """false: fail."""
    return 1


def echo(rt: Runtime, argv: list[str]) -> int:
    """echo [-neE] words: the words on a line; -e interprets backslashes."""
    newline, escapes, at = "\n", "xpg_echo" in rt.shopt, 1
    while at < len(argv) and not (escapes and rt.posix):
        word = argv[at]
        if len(word) < 2 or word[0] != "-" or word.strip("neE") != "-":
            break
        for letter in word[1:]:
            if letter == "n":
                newline = ""
            else:
                escapes = letter == "e"
        at += 1
    text = " ".join(argv[at:])
    if escapes and "\\" in text:
        text, stopped = unescape(text, bare_octal=False)
        newline = "" if stopped else newline
    rt.write(text + newline)
    return 0


_ESCAPES = {"a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
            "v": "\v", "\\": "\\"}  # fmt: skip


def unescape(text: str, *, bare_octal: bool = True) -> tuple[str, bool]:
    """`text` with the backslash escapes of `echo -e` and printf's %b done; True where \\c ended it. `bare_octal`:
    \\101 counts beside \\0101."""
    found: list[str] = []
    pos = 0
    while True:
        at = text.find("\\", pos)
        if at < 0 or at + 1 >= len(text):
            found.append(text[pos:])
            return "".join(found), False
        found.append(text[pos:at])
        char = text[at + 1]
        pos = at + 2
        if char in _ESCAPES:
            found.append(_ESCAPES[char])
        elif char == "c":
            return "".join(found), True
        elif char == "0" or (bare_octal and char in "1234567"):
            digits, pos = digits_at(text, pos - (char != "0"), "01234567", 3)
            found.append(from_byte(int(digits or "0", 8)))
        elif char in "xuU":
            digits, pos = digits_at(text, pos, "0123456789abcdefABCDEF", {"x": 2, "u": 4, "U": 8}[char])
            if not digits:
                found.append("\\" + char)
            else:
                found.append((from_byte if char == "x" else from_codepoint)(int(digits, 16)))
        else:
            found.append("\\" + char)


def digits_at(text: str, pos: int, allowed: str, most: int) -> tuple[str, int]:
    """The digits at `pos`, at most so many, and where they end."""
    end = pos
    while end < len(text) and end - pos < most and text[end] in allowed:
        end += 1
    return text[pos:end], end


def aish(rt: Runtime, argv: list[str]) -> int:
    """aish VERB [words]: run a verb, or another shell."""
    from aish.lang.process import run_aish

    return run_aish(rt, argv)


def verb(rt: Runtime, argv: list[str]) -> int:
    """embed [words]; tensor [words]: the verbs of these names, as words of the shell."""
    return aish(rt, ["aish", *argv])


TABLE: dict[str, Builtin] = {
    ":": nothing,
    "true": true,
    "false": false,
    "echo": echo,
    "aish": aish,
    "embed": verb,
    "tensor": verb,
}
