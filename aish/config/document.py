"""One TOML file of a project: its tables, and the line of each key. Pure: text in, Document or SourceError out."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, Final

from aish.config import places
from aish.errors import SourceError

if TYPE_CHECKING:
    from aish.config.places import Path

FILE_BYTES_MAX: Final = 1 << 20


class Document:
    """`path` is absolute, `shown` how people see it, `folder` what its relative paths are relative to."""

    __slots__ = ("_places", "folder", "path", "shown", "table")

    def __init__(self, path: str, shown: str, table: dict[str, Any], found: dict[Path, int]) -> None:
        self.path = path
        self.shown = shown
        self.folder = path.rpartition("/")[0] or "/"
        self.table = table
        self._places = found

    def line(self, at: Path) -> int | None:
        """Of a key, else of the nearest one above it; None: of the file as a whole."""
        for length in range(len(at), 0, -1):
            line = self._places.get(at[:length])
            if line is not None:
                return line
        return None

    def extent(self, at: Path) -> tuple[int, int | None]:
        """Of a table: its first line, and the last one before what is not in it; None: to the end."""
        begin = self.line(at) or 1
        behind = [line for place, line in self._places.items() if line > begin and place[: len(at)] != at]
        return begin, min(behind) - 1 if behind else None


def parse(content: bytes, path: str, shown: str) -> Document:
    """Raises SourceError: not UTF-8, not TOML, too long, too deep."""
    if len(content) > FILE_BYTES_MAX:
        raise SourceError(f"longer than {FILE_BYTES_MAX:,} bytes", file=shown, hint="`include` takes parts of it")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SourceError("not UTF-8 text", file=shown, line=line, hint="save it as UTF-8") from error
    found = places.scan(text, shown)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax(str(error), shown) from error
    except (RecursionError, ValueError) as error:  # ValueError: a whole number of thousands of digits
        raise SourceError("cannot be read as TOML: too deep, or a number too long", file=shown) from error
    return Document(path, shown, table, found)


def _syntax(message: str, shown: str) -> SourceError:
    """tomllib ends its message with '(at line 2, column 5)' or '(at end of document)'."""
    what, _, place = message.partition(" (at line ")
    line = place.partition(",")[0]
    column = place.partition("column ")[2].rstrip(")")
    return SourceError(
        f"not TOML: {what}",
        file=shown,
        line=int(line) if line.isdecimal() else None,
        column=int(column) if column.isdecimal() else None,
        hint='a line is KEY = VALUE, texts in quotes: command = "python app.py"',
    )
