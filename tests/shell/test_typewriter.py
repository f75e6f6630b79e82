"""The line on a terminal that only prints: what is written must leave there what is meant."""

from __future__ import annotations

import io

import pytest
from prompt_toolkit.utils import get_cwidth

from aish.shell.paper import Paper
from aish.shell.typewriter import Typewriter, scrolled, visible


class Sheet(io.StringIO):
    """Takes what is printed."""

    def rows(self) -> list[str]:
        """The rows as they look, and the cursor in the last one as `|`."""
        rows: list[list[str]] = [[]]
        at = 0
        for char in self.getvalue():
            if char == "\n":
                rows.append([])
            elif char == "\r":
                at = 0
            elif char == "\b":
                assert at > 0, "further back than the row begins"
                at -= 1
            else:
                row = rows[-1]
                row[at : at + 1] = [char]
                at += 1
        last = rows[-1]
        rows[-1] = [*last[:at], "|", *last[at:]]
        return ["".join(row).rstrip() for row in rows]


@pytest.fixture
def typewriter() -> tuple[Typewriter, Sheet]:
    sheet = Sheet()
    sheet.fileno = lambda: -1  # type: ignore[method-assign]
    made = object.__new__(Typewriter)
    made.output = Paper(sheet)
    made.prompts = lambda row: "> " if row else "\x1b[1m$\x1b[0m "
    return made, sheet


@pytest.mark.parametrize(
    ("steps", "rows"),
    [
        ([(["ab"], 0, 2), (["abc"], 0, 3)], ["$ abc|"]),
        ([(["abc"], 0, 3), (["abc"], 0, 0), (["Xabc"], 0, 1)], ["$ X|abc"]),
        ([(["long line"], 0, 9), (["lo"], 0, 2)], ["$ lo|"]),
        ([(["a\x01b"], 0, 3)], ["$ a^Ab|"]),
        ([(["for x"], 0, 5), (["for x", "do"], 1, 2)], ["$ for x", "> do|"]),
        ([(["if", "then", "fi"], 2, 2), (["echo"], 0, 4)], ["$ if", "> then", "> fi", "$ echo|"]),
        ([(["", ""], 1, 0)], ["$", "> |"]),
    ],
)
def test_what_is_seen(
    steps: list[tuple[list[str], int, int]], rows: list[str], typewriter: tuple[Typewriter, Sheet]
) -> None:
    made, sheet = typewriter
    for step in steps:
        made._draw(*step)
    made.output.flush()
    assert [visible(row) for row in sheet.rows()] == rows


@pytest.mark.parametrize("text", ["x" * 100, "木" * 60, "a木" * 40])
def test_a_long_line_scrolls_sideways_and_the_cursor_is_in_view(text: str) -> None:
    for cursor in range(len(text) + 1):
        shown, at = scrolled(text, cursor, 30)
        assert get_cwidth(shown) <= 30
        assert 0 <= at <= len(shown)
        assert get_cwidth(shown[:at]) < 30
        assert shown[at : at + 1] in (text[cursor : cursor + 1], ">", "<")


@pytest.mark.parametrize(
    "prompt", ["$ ", "\x1b[1;32m$\x1b[0m ", "\x1b]0;title\x07$ ", "\x1b]2;title\x1b\\$ ", "\x1b(B$ ", "\x07$ "]
)
def test_what_a_prompt_takes_of_the_row(prompt: str) -> None:
    assert visible(prompt) == "$ "
