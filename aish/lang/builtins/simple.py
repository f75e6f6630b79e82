""": true false echo pwd cd times umask aish"""

from __future__ import annotations

import os

from aish.lang.control import CommandError
from aish.lang.text import from_byte, from_codepoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime


def true(rt: Runtime, argv: list[str]) -> int:
    """: and true: succeed."""
    return 0


def false(rt: Runtime, argv: list[str]) -> int:
    """Fail."""
    return 1


def echo(rt: Runtime, argv: list[str]) -> int:
    """echo [-neE] words: as bash's; -e interprets backslashes."""
    newline, escapes, at = "\n", False, 1
    while at < len(argv):
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
        text, stopped = unescape(text)
        newline = "" if stopped else newline
    rt.write(text + newline)
    return 0


_ESCAPES = {"a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
            "v": "\v", "\\": "\\"}  # fmt: skip


def unescape(text: str) -> tuple[str, bool]:
    """`text` with the backslash escapes of `echo -e` and printf's %b done; True where \\c ended it."""
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
        elif char in "01234567":
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


# ------------------------------------------------------------------------------------------- folders


def logical(path: str) -> str:
    """`path` without . and .. components, by text alone."""
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if kept:
                kept.pop()
        elif part not in ("", "."):
            kept.append(part)
    lead = "//" if path.startswith("//") and not path.startswith("///") else "/"
    return lead + "/".join(kept)


def current(rt: Runtime) -> str:
    """The folder by the way it was entered, where $PWD is still true; else as the kernel knows it."""
    pwd = rt.vars.get("PWD") or ""
    try:
        if pwd.startswith("/") and logical(pwd) == pwd and os.path.samefile(pwd, "."):
            return pwd
    except OSError:
        pass  # PWD is stale: ask the kernel
    try:
        return os.getcwd()
    except OSError as error:
        raise CommandError(f"the current folder: {error.strerror}", hint="cd somewhere else") from None


def _options(argv: list[str], allowed: str) -> tuple[str, list[str]]:
    """The last option letter of `allowed` given, and the operands."""
    chosen, at = "", 1
    while at < len(argv) and len(argv[at]) > 1 and argv[at][0] == "-":
        if argv[at] == "--":
            at += 1
            break
        for letter in argv[at][1:]:
            if letter not in allowed:
                raise CommandError(f"-{letter}: unknown option", status=2, hint=f"options are: {' '.join(allowed)}")
            chosen = letter
        at += 1
    return chosen, argv[at:]


def pwd(rt: Runtime, argv: list[str]) -> int:
    """pwd [-L|-P]"""
    option, _ = _options(argv, "LP")
    rt.write((os.getcwd() if option == "P" else current(rt)) + "\n")
    return 0


def cd(rt: Runtime, argv: list[str]) -> int:
    """cd [-L|-P] [folder | -]: HOME without a folder, OLDPWD for -, CDPATH for relative ones."""
    option, operands = _options(argv, "LPe@")
    if len(operands) > 1:
        raise CommandError("too many arguments", hint="quote a name that has spaces")
    show = False
    if not operands:
        folder = rt.vars.get("HOME") or ""
        if not folder:
            raise CommandError("HOME is not set")
    elif operands[0] == "-":
        folder = rt.vars.get("OLDPWD") or ""
        show = True
        if not folder:
            raise CommandError("OLDPWD is not set")
    else:
        folder = operands[0]
    if not folder:
        return 0
    found, by_path = _in_cdpath(rt, folder)
    _change(rt, found, physical=option == "P", shown=folder)
    if show or by_path:
        rt.write(rt.values["PWD"] + "\n")
    return 0


def _in_cdpath(rt: Runtime, folder: str) -> tuple[str, bool]:
    """The folder that `cd folder` means, and whether CDPATH found it."""
    cdpath = rt.vars.get("CDPATH")
    if not cdpath or folder[0] == "/" or folder.split("/")[0] in (".", ".."):
        return folder, False
    for prefix in cdpath.split(":"):
        candidate = f"{prefix.rstrip('/')}/{folder}" if prefix else folder
        if os.path.isdir(candidate):
            return candidate, bool(prefix) and prefix != "."
    return folder, False


def _change(rt: Runtime, folder: str, *, physical: bool, shown: str) -> None:
    here = rt.vars.get("PWD") or ""
    target = folder
    if not physical:
        try:
            base = current(rt)
        except CommandError:
            base = here or "/"
        target = logical(folder if folder[0] == "/" else f"{base}/{folder}")
        if not _walkable(folder):
            target = folder
    try:
        os.chdir(target)
    except OSError as error:
        raise CommandError(f"{shown}: {error.strerror}") from None
    except ValueError:
        raise CommandError(f"{shown!r}: not a path") from None
    new = target if not physical and target[:1] == "/" else os.getcwd()
    for name, value in (("OLDPWD", here), ("PWD", new)):
        rt.vars.set(name, value)
        rt.vars.export(name)


def _walkable(folder: str) -> bool:
    """Whether what stands before each .. is a folder: x/.. must fail where x is not there."""
    at = folder.find("/..")
    return at <= 0 or os.path.isdir(folder[:at])


# -------------------------------------------------------------------------------------------- others


def times(rt: Runtime, argv: list[str]) -> int:
    """times: user and system time of the shell, then of its children."""
    used = os.times()

    def shown(seconds: float) -> str:
        return f"{int(seconds // 60)}m{seconds % 60:.3f}s"

    rt.write(f"{shown(used.user)} {shown(used.system)}\n")
    rt.write(f"{shown(used.children_user)} {shown(used.children_system)}\n")
    return 0


def umask(rt: Runtime, argv: list[str]) -> int:
    """umask [-S] [mask]: octal, or symbolic such as u=rwx,g-w."""
    symbolic, operands = _options(argv, "Sp")
    before = os.umask(0o77)
    os.umask(before)
    if not operands:
        if symbolic == "S":
            allowed = [
                f"{who}={''.join([c for bit, c in ((4, 'r'), (2, 'w'), (1, 'x')) if not before >> shift & bit])}"
                for who, shift in (("u", 6), ("g", 3), ("o", 0))
            ]
            rt.write(",".join(allowed) + "\n")
        else:
            rt.write(f"{before:04o}\n")
        return 0
    mask = operands[0]
    if mask.isdecimal():
        if mask.strip("01234567") or int(mask, 8) > 0o777:
            raise CommandError(f"{mask}: an octal number up to 777 expected")
        os.umask(int(mask, 8))
    else:
        os.umask(0o777 & ~_symbolic_mode(mask, 0o777 & ~before))
    return 0


def _symbolic_mode(text: str, mode: int) -> int:
    """`mode` (permissions, not a mask) changed as chmod would."""
    for clause in text.split(","):
        rest = clause.lstrip("ugoa")
        who = clause[: len(clause) - len(rest)] or "a"
        if not rest or rest[0] not in "+-=":
            raise CommandError(f"{text}: not a mode", hint="for example 022, or u=rwx,go=rx")
        places = [shift for letter, shift in (("u", 6), ("g", 3), ("o", 0)) if letter in who or "a" in who]
        while rest:
            op, rest = rest[0], rest[1:]
            letters = rest[: len(rest) - len(rest.lstrip("rwxXugo"))]
            rest = rest[len(letters) :]
            if rest and rest[0] not in "+-=":
                raise CommandError(f"{text}: not a mode", hint="for example 022, or u=rwx,go=rx")
            bits = 0
            for letter in letters:
                bits |= {"r": 4, "w": 2, "x": 1, "X": 1, "u": mode >> 6, "g": mode >> 3, "o": mode}[letter] & 7
            for shift in places:
                if op == "=":
                    mode = mode & ~(7 << shift) | bits << shift
                elif op == "+":
                    mode |= bits << shift
                else:
                    mode &= ~(bits << shift)
    return mode


def aish(rt: Runtime, argv: list[str]) -> int:
    """aish VERB ...: what the host makes of it."""
    from aish.lang.process import run_aish

    return run_aish(rt, argv)


def verb(rt: Runtime, argv: list[str]) -> int:
    """embed and tensor: words of this shell, the verbs of those names."""
    return aish(rt, ["aish", *argv])


TABLE: dict[str, Builtin] = {
    ":": true,
    "true": true,
    "false": false,
    "echo": echo,
    "pwd": pwd,
    "cd": cd,
    "times": times,
    "umask": umask,
    "aish": aish,
    "embed": verb,
    "tensor": verb,
}
