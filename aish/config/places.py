"""Where each key of a TOML text stands: its path to its line, which tomllib does not tell. Pure, one pass.

It is run before tomllib, on any text: what it cannot follow it leaves to tomllib to complain about; what is nested
deeper than DEPTH_MAX it refuses, since tomllib takes its time, or the stack, over that.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aish.errors import SourceError

if TYPE_CHECKING:
    Path = tuple[str | int, ...]
    """Keys, and the places in lists: ("services", "api", "needs", 0)."""

DEPTH_MAX: Final = 16
_BLANK: Final = re.compile(r"[ \t]*(?:#[^\n]*)?")
_BLANKS: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_BASIC: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL: Final = re.compile(r"'[^'\n]*'")
_BASIC_LINES: Final = re.compile(r'"""(?:[^"\\]|\\.|"(?!""))*"""(?:"{1,2})?', re.S)
_LITERAL_LINES: Final = re.compile(r"'''(?:[^']|'(?!''))*'''(?:'{1,2})?", re.S)
_SCALAR: Final = re.compile(r"[^\s,\]}#]+(?: [0-9][^\s,\]}#]*)?")
"""A date and its time may have a blank between them."""
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.S)
_ESCAPED: Final = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b", '"': '"', "\\": "\\"}


class _LostError(Exception):
    """This is no TOML, as far as can be seen here."""


def scan(text: str, file: str) -> dict[Path, int]:
    """The line, from 1, of every key and list item. Raises SourceError where it is nested too deeply."""
    scanner = _Scanner(text.replace("\r\n", "\n"), file)
    try:
        scanner.document()
    except _LostError:
        pass  # tomllib says what is wrong, and where
    return scanner.places


class _Scanner:
    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.at = 0
        self.places: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}
        """Arrays of tables: how many there are."""
        self._line = 1
        self._counted = 0

    def document(self) -> None:
        table: Path = ()
        while True:
            self._skip(_BLANKS)
            match self.text[self.at : self.at + 1]:
                case "":
                    return
                case "[":
                    table = self._header()
                case _:
                    self._pair(table)
            self._skip(_BLANK)
            if self.text[self.at : self.at + 1] not in ("\n", ""):
                raise _LostError

    def _header(self) -> Path:
        line = self.line()
        many = self.text.startswith("[[", self.at)
        self.at += 2 if many else 1
        names = self._key()
        self._expect("]]" if many else "]")
        path: Path = ()
        for place, name in enumerate(names):
            path = (*path, name)
            self.places.setdefault(path, line)
            if many and place == len(names) - 1:
                self._counts[path] = self._counts.get(path, 0) + 1
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
        self._bounded(path)
        self.places[path] = line
        return path

    def _pair(self, table: Path) -> None:
        line = self.line()
        path = table
        for name in self._key():
            path = (*path, name)
            self.places.setdefault(path, line)
        self._expect("=")
        self._value(path)

    def _key(self) -> list[str]:
        names: list[str] = []
        while True:
            self._skip(_BLANK)
            word = self._match(_BARE) or self._match(_BASIC) or self._match(_LITERAL)
            if word is None:
                raise _LostError
            names.append(_plain(word))
            self._bounded(names)
            self._skip(_BLANK)
            if self.text[self.at : self.at + 1] != ".":
                return names
            self.at += 1

    def _value(self, path: Path) -> None:
        self._bounded(path)
        self._skip(_BLANK)
        head = self.text[self.at : self.at + 1]
        if head == "[":
            self._items(path, "]")
        elif head == "{":
            self._items(path, "}")
        elif self.text.startswith(('"""', "'''"), self.at):
            self._must(_BASIC_LINES if head == '"' else _LITERAL_LINES)
        elif head in ('"', "'"):
            self._must(_BASIC if head == '"' else _LITERAL)
        else:
            self._must(_SCALAR)

    def _items(self, path: Path, end: str) -> None:
        """Of an array or an inline table, which differ by what an item is."""
        self.at += 1
        number = 0
        while True:
            self._skip(_BLANKS)
            if self.text.startswith(end, self.at):
                self.at += 1
                return
            if end == "]":
                self.places[(*path, number)] = self.line()
                self._value((*path, number))
            else:
                self._pair(path)
            number += 1
            self._skip(_BLANKS)
            if self.text.startswith(",", self.at):
                self.at += 1
            elif not self.text.startswith(end, self.at):
                raise _LostError

    def line(self) -> int:
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line

    def _bounded(self, path: Path | list[str]) -> None:
        if len(path) > DEPTH_MAX:
            raise SourceError(f"nested deeper than {DEPTH_MAX} levels", file=self.file, line=self.line())

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()

    def _match(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        return found[0]

    def _must(self, pattern: re.Pattern[str]) -> None:
        if self._match(pattern) is None:
            raise _LostError

    def _expect(self, mark: str) -> None:
        if not self.text.startswith(mark, self.at):
            raise _LostError
        self.at += len(mark)


def _plain(word: str) -> str:
    """A key without its quotes."""
    if word[0] == "'":
        return word[1:-1]
    return _ESCAPE.sub(_escaped, word[1:-1]) if word[0] == '"' else word


def _escaped(found: re.Match[str]) -> str:
    digits = found[1] or found[2]
    if digits is None:
        return _ESCAPED.get(found[3], found[0])
    number = int(digits, 16)
    return chr(number) if number < 0x110000 else found[0]
