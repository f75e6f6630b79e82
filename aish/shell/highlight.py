"""Colours for a line: what the parser saw, painted over each other from the outside in."""

from __future__ import annotations

from aish.lang import scanner
from aish.lang.script import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Judge = Callable[[str, str], str]

ERROR = "error"
UNKNOWN = "unknown"
PATH = "path"
_WEIGHT = {kind: weight for weight, kind in enumerate((
    scanner.ARGUMENT, scanner.REDIRECT, scanner.COMMAND, scanner.FUNCTION, scanner.ASSIGNMENT, scanner.OPERATOR,
    scanner.KEYWORD, scanner.STRING, scanner.VARIABLE, scanner.COMMENT,
))}  # fmt: skip


def spans(text: str, *, posix: bool = False, judge: Judge | None = None) -> list[tuple[int, int, str]]:
    """(start, end, kind) for all of `text`, in order and without gaps; kind '' where nothing is known.

    `judge` may know better what a word is, from its kind and its text: a command that is not there, a path that is.
    """
    script = parse(text, posix=posix)
    painted = [""] * len(text)
    paths: list[tuple[int, int]] = []
    for start, end, kind in sorted(script.marks, key=lambda mark: (mark[0] - mark[1], _WEIGHT[mark[2]])):
        if judge is not None:
            kind = judge(kind, text[start:end])
            if kind == PATH:
                paths.append((start, min(end, len(text))))
        painted[start:end] = [kind] * (min(end, len(text)) - start)
    for start, end in paths:  # over the strings that they are made of
        painted[start:end] = [PATH] * (end - start)
    for error in script.errors:
        if not error.incomplete and error.end < len(text):
            painted[error.start : error.end] = [ERROR] * (error.end - error.start)
    found: list[tuple[int, int, str]] = []
    for at, kind in enumerate(painted):
        if found and found[-1][2] == kind:
            found[-1] = (found[-1][0], at + 1, kind)
        else:
            found.append((at, at + 1, kind))
    return found


def by_line(text: str, *, posix: bool = False, judge: Judge | None = None) -> list[list[tuple[str, str]]]:
    """For each line of `text` its (kind, piece) pairs."""
    lines: list[list[tuple[str, str]]] = [[]]
    for start, end, kind in spans(text, posix=posix, judge=judge):
        first, *others = text[start:end].split("\n")
        if first:
            lines[-1].append((kind, first))
        for piece in others:
            lines.append([(kind, piece)] if piece else [])
    return lines
