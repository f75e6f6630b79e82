"""readline's file, ~/.inputrc: which of its lines count here."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PROGRAMS = ("aish", "bash")
"""`$if Bash` is meant for the shell at this prompt as well."""
_VERSION = (8, 2)
"""The readline whose names and files are understood."""
_MOST_FILES = 32
"""So many are read in all."""


class Terminal:
    """What `$if` may ask for."""

    def __init__(self, name: str, mode: str) -> None:
        self.name = name
        self.mode = mode
        """emacs or vi."""


class File:
    """What was read."""

    def __init__(self, identity: tuple[int, int], text: str) -> None:
        self.identity = identity
        """The same for each of its names."""
        self.text = text


class Reading:
    """Goes through a file, and through those that it includes: not through one in the midst of itself, nor through
    more than a few. `include` reads one; None for none."""

    def __init__(self, terminal: Terminal, include: Callable[[str], File | None]) -> None:
        self._terminal = terminal
        self._include = include
        self._open: set[tuple[int, int]] = set()
        self._files_left = _MOST_FILES

    def lines(self, file: File | None) -> Iterator[str]:
        """Those that are in force. `$if` sees the terminal as it is when its line comes."""
        if file is None or file.identity in self._open:
            return
        self._files_left -= 1
        self._open.add(file.identity)
        held: list[bool] = []
        for line in file.text.split("\n"):
            words = line.split(None, 1)
            rest = words[1].strip() if len(words) > 1 else ""
            match words[:1]:
                case ["$if"]:
                    held.append(_holds(rest, self._terminal))
                case ["$else"] if held:
                    held[-1] = not held[-1]
                case ["$endif"] if held:
                    held.pop()
                case ["$include"] if all(held) and self._files_left:
                    yield from self.lines(self._include(rest))
                case [word] if all(held) and word[0] not in "#$":
                    yield line.strip()
        self._open.discard(file.identity)


def _holds(test: str, terminal: Terminal) -> bool:
    """A test of `$if`; one of readline's variables, which this editor has not, holds for none."""
    name, equals, value = test.partition("=")
    match name.strip().lower():
        case "mode" if equals:
            return value.strip() == terminal.mode
        case "term" if equals:
            return value.strip() in (terminal.name, terminal.name.partition("-")[0])
        case program if not equals and program in _PROGRAMS:
            return True
        case words if words.startswith("version"):
            return _of_version(test[len("version") :].strip())
        case _:
            return False


def _of_version(test: str) -> bool:
    """>= 8.0 and the like."""
    operator = test.rstrip("0123456789. ")
    major, _, minor = test[len(operator) :].strip().partition(".")
    if not major.isdecimal() or not (minor or "0").isdecimal():
        return False
    wanted = int(major[:6]), int((minor or "0")[:6])
    match operator.strip():
        case "=" | "==":
            return wanted == _VERSION
        case "!=":
            return wanted != _VERSION
        case ">":
            return wanted < _VERSION
        case "<":
            return wanted > _VERSION
        case ">=":
            return wanted <= _VERSION
        case "<=":
            return wanted >= _VERSION
        case _:
            return False
