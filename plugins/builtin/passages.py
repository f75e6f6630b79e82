"""Passages of a text: where its paragraphs end, at lines, with the numbers of these. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

PASSAGE_BYTES: Final = 1000
"""Some 250 tokens of English: a paragraph or two, or a function, and less than any embedding model takes."""
LINE_BYTES: Final = 4000
"""Of a longer line (a minified script) the rest is left out."""


class Passage(NamedTuple):
    file: str
    first: int
    last: int
    text: str

    @property
    def place(self) -> str:
        return f"{self.file}:{self.first}" + (f"-{self.last}" if self.last > self.first else "")


def passages(file: str, text: str) -> list[Passage]:
    """Lines put together up to PASSAGE_BYTES; from half of that on an empty line ends one. None are blank."""
    found: list[Passage] = []
    held: list[str] = []
    first = size = 0

    def end(last: int) -> None:
        nonlocal size
        while held and not held[-1].strip():
            held.pop()
            last -= 1
        if held:
            found.append(Passage(file, first, last, "\n".join(held)))
        held.clear()
        size = 0

    number = 0
    for number, line in enumerate(text.splitlines(), 1):
        data = line.encode("utf-8", "replace")
        line = line if len(data) <= LINE_BYTES else data[:LINE_BYTES].decode("utf-8", "ignore") + "…"
        if held and (size + len(data) > PASSAGE_BYTES or (not line.strip() and size >= PASSAGE_BYTES // 2)):
            end(number - 1)
        if not held and not line.strip():
            continue
        first = first if held else number
        held.append(line)
        size += min(len(data), LINE_BYTES) + 1
    end(number)
    return found
