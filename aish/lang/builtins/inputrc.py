"""readline's file, ~/.inputrc: which of its lines count here."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PROGRAMS = ("aish", "bash")
"""`$if Bash` is meant for the shell at this prompt as well."""
_VERSION = (8, 2)
"""The readline whose names and files are understood."""
_MOST_INCLUDED = 16


class Terminal:
    """What `$if` may ask for."""

    def __init__(self, name: str, mode: str) -> None:
        self.name = name
        self.mode = mode
        """emacs or vi."""


def counting(text: str, terminal: Terminal, include: Callable[[str], str], depth: int = 0) -> Iterator[str]:
    """The lines of a file that are in force, those of files that it includes among them. `include` reads one."""
    held: list[bool] = []
    for line in text.splitlines():
        words = line.split(None, 1)
        rest = words[1].strip() if len(words) > 1 else ""
        match words[:1]:
            case [] | ["#"]:
                continue
            case ["$if"]:
                held.append(_holds(rest, terminal))
            case ["$else"] if held:
                held[-1] = not held[-1]
            case ["$endif"] if held:
                held.pop()
            case ["$include"] if all(held) and depth < _MOST_INCLUDED:
                yield from counting(include(rest), terminal, include, depth + 1)
            case [word] if all(held) and word[0] not in "#$":
                yield line.strip()


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
