"""History expansion as bash has it: !! !$ !n !-n !str !?str? ^a^b with words and modifiers. Pure.

It happens before parsing, on what was typed at a prompt, and knows of the language only its quotes.
"""

from __future__ import annotations

from aish.lang.control import CommandError
from aish.lang.digits import saturated
from aish.lang.text import single_quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Lines = list[tuple[int, str, float]]

_NO_EVENT = frozenset(" \t\n=(")
"""Behind a ! these make it an ordinary character."""
_ENDS_NAME = frozenset(" \t\n:;&|()<>\"'^$*")


class Expanded:
    """What became of a line. `changed`: it is to be shown; `print_only`: and not to be run (:p)."""

    __slots__ = ("changed", "print_only", "text")

    def __init__(self, text: str, *, changed: bool, print_only: bool = False) -> None:
        self.text = text
        self.changed = changed
        self.print_only = print_only


def expand(text: str, lines: Lines) -> Expanded:
    """Replace the events in `text`. Raises CommandError for one that is not found."""
    if text[:1] == "^":
        return _quick(text, lines)
    if "!" not in text:
        return Expanded(text, changed=False)
    found: list[str] = []
    at, quote, changed, print_only = 0, "", False, False
    while at < len(text):
        char = text[at]
        if char == "\\" and quote != "'" and at + 1 < len(text):
            found.append(text[at : at + 2])
            at += 2
        elif char == "'" and quote != '"':
            quote = "" if quote else "'"
            found.append(char)
            at += 1
        elif char == '"' and quote != "'":
            quote = "" if quote else '"'
            found.append(char)
            at += 1
        elif char == "#" and not quote and (at == 0 or text[at - 1] in " \t\n;"):
            end = text.find("\n", at)
            end = len(text) if end < 0 else end
            found.append(text[at:end])
            at = end
        elif char == "!" and quote != "'" and not _ordinary(text, at, quote):
            event, at, only = _Event(text, at, lines, "".join(found)).read()
            found.append(event)
            changed, print_only = True, print_only or only
        else:
            found.append(char)
            at += 1
    return Expanded("".join(found), changed=changed, print_only=print_only)


def _ordinary(text: str, at: int, quote: str) -> bool:
    """Whether the ! at `at` is none of ours."""
    after = text[at + 1 : at + 2]
    if not after or after in _NO_EVENT or (quote == '"' and after == '"'):
        return True
    before = text[at - 1] if at else ""
    if before == "[" or before == "$":  # [!a-z], $!
        return True
    return before == "{" and text[at - 2 : at - 1] == "$"  # ${!name}


def _quick(text: str, lines: Lines) -> Expanded:
    """^old^new^"""
    body, newline, rest = text[1:].partition("\n")
    parts = body.split("^")
    if len(parts) < 2 or not parts[0]:
        return Expanded(text, changed=False)
    before = _newest(lines, text)
    if parts[0] not in before:
        raise CommandError(f"{text.rstrip()}: substitution failed")
    tail = "^".join(parts[2:])
    return Expanded(before.replace(parts[0], parts[1], 1) + tail + newline + rest, changed=True)


def _newest(lines: Lines, what: str) -> str:
    if not lines:
        raise CommandError(f"{what.rstrip()}: event not found")
    return lines[-1][1]


class _Event:
    """One event, from its ! on."""

    def __init__(self, text: str, at: int, lines: Lines, before: str) -> None:
        self.text = text
        self.start = at
        self.at = at + 1
        self.lines = lines
        self.before = before
        self.needle = ""

    def read(self) -> tuple[str, int, bool]:
        """(what it stands for, where it ends, whether :p)"""
        line = self._line()
        words = self._words(line)
        value, only = self._modified(words)
        return value, self.at, only

    def _char(self, ahead: int = 0) -> str:
        return self.text[self.at + ahead : self.at + ahead + 1]

    def _not_found(self) -> CommandError:
        return CommandError(f"{self.text[self.start : self.at]}: event not found")

    # ------------------------------------------------------------------------------------ which line

    def _line(self) -> str:
        char = self._char()
        if char == "!":
            self.at += 1
            return _newest(self.lines, "!!")
        if char == "#":
            self.at += 1
            return self.before
        if char in "^$*:" or (char == "-" and not self._char(1).isdecimal()):
            return _newest(self.lines, self.text[self.start : self.at + 1])
        if char.isdecimal() or char == "-":
            return self._numbered()
        if char == "?":
            self.at += 1
            begin = self.at
            while self._char() not in ("", "?", "\n"):
                self.at += 1
            self.needle = text = self.text[begin : self.at]
            if self._char() == "?":
                self.at += 1
            return self._search(lambda line: text in line)
        begin = self.at
        while self._char() and self._char() not in _ENDS_NAME:
            self.at += 1
        name = self.text[begin : self.at]
        return self._search(lambda line: line.startswith(name))

    def _numbered(self) -> str:
        negative = self._char() == "-"
        self.at += negative
        begin = self.at
        while self._char().isdecimal():
            self.at += 1
        number = saturated(self.text[begin : self.at])
        if negative:
            if 0 < number <= len(self.lines):
                return self.lines[-number][1]
            raise self._not_found()
        for other, line, _ in self.lines:
            if other == number:
                return line
        raise self._not_found()

    def _search(self, wanted: Callable[[str], bool]) -> str:
        for _, line, _ in reversed(self.lines):
            if wanted(line):
                return line
        raise self._not_found()

    # ----------------------------------------------------------------------------------- which words

    def _words(self, line: str) -> str:
        """The word designator, with or without its colon; the whole line without one."""
        behind = self._char(1) if self._char() == ":" else self._char()
        if self._char() == ":":
            if not (behind and (behind.isdecimal() or behind in "^$*-%")):
                return line
            self.at += 1
        elif not (behind and behind in "^$*-%"):
            return line
        words = split(line)
        last = len(words) - 1
        char = self._char()
        if char == "%":
            self.at += 1
            return next((word for word in words if self.needle and self.needle in word), "")
        if char == "*":
            self.at += 1
            return " ".join(words[1:])
        first = self._word_number(last) if char != "-" else 0
        if self._char() == "*":
            self.at += 1
            end = last
            if first == last + 1:
                return ""
        elif self._char() == "-":
            self.at += 1
            number = self._word_number(last, missing=-1)
            end = last - 1 if number < 0 else number
        else:
            end = first
        if first > last or end > last or first > end + 1:
            raise CommandError(f"{self.text[self.start : self.at]}: bad word specifier")
        return " ".join(words[first : end + 1])

    def _word_number(self, last: int, missing: int = 0) -> int:
        char = self._char()
        if char == "^":
            self.at += 1
            return 1
        if char == "$":
            self.at += 1
            return last
        begin = self.at
        while self._char().isdecimal():
            self.at += 1
        return saturated(self.text[begin : self.at]) if self.at > begin else missing

    # ------------------------------------------------------------------------------------- modifiers

    def _modified(self, value: str) -> tuple[str, bool]:
        only = False
        while self._char() == ":":
            letter, every = self._char(1), False
            ahead = 1
            if letter in ("g", "a") and self._char(2) in ("s", "&"):
                letter, every, ahead = self._char(2), True, 2
            match letter:
                case "h":
                    value = value.rpartition("/")[0] if "/" in value else value
                case "t":
                    value = value.rpartition("/")[2]
                case "r":
                    stem, dot, end = value.rpartition(".")
                    value = stem if dot and "/" not in end else value
                case "e":
                    dot, end = value.rpartition(".")[1:]
                    value = dot + end if dot else value
                case "p":
                    only = True
                case "q":
                    value = single_quoted(value)
                case "x":
                    value = " ".join(map(single_quoted, value.split()))
                case "s":
                    value = self._substituted(value, ahead, every)
                    continue
                case "&":
                    value = _replaced(value, _last_substitution[0], _last_substitution[1], every)
                case _:
                    raise CommandError(f"{self.text[self.start : self.at + 2]}: unrecognized history modifier")
            self.at += ahead + 1
        return value, only

    def _substituted(self, value: str, ahead: int, every: bool) -> str:
        """:s/old/new/"""
        self.at += ahead + 1
        mark = self._char()
        self.at += 1
        parts = []
        for _ in range(2):
            part = ""
            while self._char() not in ("", mark, "\n"):
                if self._char() == "\\" and self._char(1) == mark:
                    self.at += 1
                part += self._char()
                self.at += 1
            if self._char() == mark:
                self.at += 1
            parts.append(part)
        old, new = parts[0] or _last_substitution[0], parts[1]
        new = new.replace("\\&", "\0").replace("&", old).replace("\0", "&")
        _last_substitution[:] = [old, new]
        return _replaced(value, old, new, every)


_last_substitution = ["", ""]
"""What :& does again."""


def _replaced(value: str, old: str, new: str, every: bool) -> str:
    if not old or old not in value:
        raise CommandError(":s: substitution failed")
    return value.replace(old, new) if every else value.replace(old, new, 1)


def split(line: str) -> list[str]:
    """The words of a line as history counts them: quotes hold a word together, operators are words."""
    words: list[str] = []
    word, quote, at = "", "", 0
    while at < len(line):
        char = line[at]
        if quote:
            word += char
            if char == "\\" and quote == '"' and at + 1 < len(line):
                at += 1
                word += line[at]
            elif char == quote:
                quote = ""
        elif char == "\\" and at + 1 < len(line):
            word += line[at : at + 2]
            at += 1
        elif char in "'\"`":
            quote = char
            word += char
        elif char in " \t\n":
            if word:
                words.append(word)
            word = ""
        elif char in "<>;&|()":
            digits = char in "<>" and word.isdecimal()
            operator = char
            while at + 1 < len(line) and char not in "()" and line[at + 1] in "<>&|;" and len(operator) < 3:
                at += 1
                operator += line[at]
            if word and not digits:
                words.append(word)
            words.append((word if digits else "") + operator)
            word = ""
        else:
            word += char
        at += 1
    return [*words, word] if word else words
