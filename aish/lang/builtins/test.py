"""test and [: conditions, by the number of their arguments as POSIX says."""

from __future__ import annotations

import _stat as stat  # what the module `stat` hands on
import os

from aish.lang.arithmetic_tokens import decimal, known
from aish.lang.control import CommandError
from aish.lang.digits import signed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime


class _MalformedError(CommandError):
    """The arguments are no expression."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=2)


def _status(path: str, *, follow: bool = True) -> os.stat_result | None:
    try:
        return os.stat(path, follow_symlinks=follow)
    except (OSError, ValueError):
        return None  # it is not there, which is the answer


def _mode(test: Callable[[int], bool]) -> Callable[[Runtime, str], bool]:
    def check(rt: Runtime, path: str) -> bool:
        found = _status(path)
        return found is not None and test(found.st_mode)

    return check


def _access(mode: int) -> Callable[[Runtime, str], bool]:
    return lambda rt, path: "\0" not in path and os.access(path, mode, effective_ids=True)


def _terminal(rt: Runtime, word: str) -> bool:
    try:
        return os.isatty(int(word))
    except (ValueError, OverflowError):
        return False  # no descriptor has that name


def _is_link(rt: Runtime, path: str) -> bool:
    found = _status(path, follow=False)
    return found is not None and stat.S_ISLNK(found.st_mode)


def _has_size(rt: Runtime, path: str) -> bool:
    found = _status(path)
    return found is not None and found.st_size > 0


def _was_read(rt: Runtime, path: str) -> bool:
    found = _status(path)
    return found is not None and found.st_mtime_ns > found.st_atime_ns


def _owned(rt: Runtime, path: str) -> bool:
    found = _status(path)
    return found is not None and found.st_uid == os.geteuid()


def _of_group(rt: Runtime, path: str) -> bool:
    found = _status(path)
    return found is not None and found.st_gid == os.getegid()


def _option(rt: Runtime, name: str) -> bool:
    from aish.lang.options import is_on

    return is_on(rt, name)


def _is_set(rt: Runtime, name: str) -> bool:
    from aish.lang.subscripts import is_set

    return is_set(rt, name)


UNARY: dict[str, Callable[[Runtime, str], bool]] = {
    "-n": lambda rt, text: text != "",
    "-z": lambda rt, text: text == "",
    "-e": lambda rt, path: _status(path) is not None,
    "-a": lambda rt, path: _status(path) is not None,
    "-f": _mode(stat.S_ISREG),
    "-d": _mode(stat.S_ISDIR),
    "-b": _mode(stat.S_ISBLK),
    "-c": _mode(stat.S_ISCHR),
    "-p": _mode(stat.S_ISFIFO),
    "-S": _mode(stat.S_ISSOCK),
    "-u": _mode(lambda mode: bool(mode & stat.S_ISUID)),
    "-g": _mode(lambda mode: bool(mode & stat.S_ISGID)),
    "-k": _mode(lambda mode: bool(mode & stat.S_ISVTX)),
    "-h": _is_link,
    "-L": _is_link,
    "-r": _access(os.R_OK),
    "-w": _access(os.W_OK),
    "-x": _access(os.X_OK),
    "-s": _has_size,
    "-t": _terminal,
    "-v": _is_set,
    "-R": lambda rt, name: bool(rt.vars.references.get(name)),
    "-o": _option,
    "-N": _was_read,
    "-O": _owned,
    "-G": _of_group,
}


def integer(word: str) -> int:
    """The number that an operand of -eq and its kin is. Raises CommandError."""
    found = known.get(word)
    if found is None:
        found = decimal(word)
    if found is not None:
        return found
    number = signed(word)
    if number is None:
        raise _MalformedError(f"{word}: a whole number expected")
    return number


def _newer(a: str, b: str) -> bool:
    first, second = _status(a), _status(b)
    if first is None:
        return False
    return second is None or first.st_mtime_ns > second.st_mtime_ns


def _same(a: str, b: str) -> bool:
    first, second = _status(a), _status(b)
    return first is not None and second is not None and os.path.samestat(first, second)


BINARY: dict[str, Callable[[str, str], bool]] = {
    "=": lambda a, b: a == b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "-eq": lambda a, b: integer(a) == integer(b),
    "-ne": lambda a, b: integer(a) != integer(b),
    "-lt": lambda a, b: integer(a) < integer(b),
    "-le": lambda a, b: integer(a) <= integer(b),
    "-gt": lambda a, b: integer(a) > integer(b),
    "-ge": lambda a, b: integer(a) >= integer(b),
    "-nt": _newer,
    "-ot": lambda a, b: _newer(b, a),
    "-ef": _same,
}


def test(rt: Runtime, argv: list[str]) -> int:
    """test expression; [ expression ]: tell by the status whether it is true."""
    if len(argv) == 5 and argv[4] == "]" and argv[0] == "[":  # most are like this
        compare = BINARY.get(argv[2])
        if compare is not None:
            return 0 if compare(argv[1], argv[3]) else 1
    words = argv[1:]
    if argv[0] == "[":
        if not words or words[-1] != "]":
            raise _MalformedError("']' is missing")
        words.pop()
    if len(words) == 3 and words[1] in BINARY:
        return 0 if BINARY[words[1]](words[0], words[2]) else 1
    return 0 if _by_count(rt, words) else 1


def _by_count(rt: Runtime, words: list[str]) -> bool:
    """What POSIX lays down for up to four arguments; more are parsed."""
    match words:
        case []:
            return False
        case [word]:
            return word != ""
        case ["!", word]:
            return word == ""
        case [op, word]:
            if op in UNARY:
                return UNARY[op](rt, word)
            raise _MalformedError(f"{op}: an operator such as -f expected")
        case [a, op, b] if op in BINARY:
            return BINARY[op](a, b)
        case [a, "-a", b]:
            return a != "" and b != ""
        case [a, "-o", b]:
            return a != "" or b != ""
        case ["!", _, _]:
            return not _by_count(rt, words[1:])
        case ["(", word, ")"]:
            return word != ""
        case ["!", _, _, _]:
            return not _by_count(rt, words[1:])
        case ["(", op, word, ")"]:
            return _by_count(rt, [op, word])
        case _:
            return _parsed(rt, words)


def _parsed(rt: Runtime, words: list[str]) -> bool:
    expression = _Expression(rt, words)
    result = expression.either()
    if expression.pos < len(words):
        raise _MalformedError(f"unexpected '{words[expression.pos]}'")
    return result


class _Expression:
    """More than four arguments, with -a, -o, ! and parentheses."""

    def __init__(self, rt: Runtime, words: list[str]) -> None:
        self.rt = rt
        self.words = words
        self.pos = 0
        self.depth = 0

    def _peek(self, ahead: int = 0) -> str | None:
        at = self.pos + ahead
        return self.words[at] if at < len(self.words) else None

    def either(self) -> bool:
        result = self.both()
        while self._peek() == "-o":
            self.pos += 1
            right = self.both()
            result = result or right
        return result

    def both(self) -> bool:
        result = self.term()
        while self._peek() == "-a":
            self.pos += 1
            right = self.term()
            result = result and right
        return result

    def term(self) -> bool:
        self.depth += 1
        if self.depth > 200:
            raise _MalformedError("nested too deeply")
        word = self._peek()
        if word is None:
            raise _MalformedError("an argument expected at the end")
        operator = self._peek(1)
        if word == "!":
            self.pos += 1
            result = not self.term()
        elif word == "(":
            self.pos += 1
            result = self.either()
            if self._peek() != ")":
                raise _MalformedError("')' expected")
            self.pos += 1
        elif operator in BINARY and self._peek(2) is not None:
            assert operator is not None
            self.pos += 3
            result = BINARY[operator](word, self.words[self.pos - 1])
        elif word in UNARY and operator is not None:
            self.pos += 2
            result = UNARY[word](self.rt, operator)
        else:
            self.pos += 1
            result = word != ""
        self.depth -= 1
        return result


TABLE: dict[str, Builtin] = {"test": test, "[": test}
