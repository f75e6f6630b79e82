"""The cell difference: applying it gives the new grid, and a real terminal emulator agrees."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.top import grid
from aish.top.frame import frame
from aish.top.style import PLAIN, Span, Style
from aish.top.text import clean
from aish.top.ui import Ui
from aish.wire.reply import View

STYLES = st.sampled_from(
    [PLAIN, Style(bold=True), Style(fore="red"), Style(fore="black", back="cyan"), Style(reverse=True)]
)
TEXTS = st.text(alphabet="ab  xy│█模型ñé👍", max_size=12).map(clean)
LINES = st.lists(st.lists(st.builds(Span, TEXTS, STYLES), max_size=5).map(tuple), max_size=6)
WIDTHS, HEIGHTS = st.integers(min_value=1, max_value=24), st.integers(min_value=1, max_value=6)


def assert_sound(made: grid.Grid, width: int, height: int) -> None:
    assert len(made) == height
    for row in made:
        assert len(row) == width
        for at, (text, style) in enumerate(row):
            wide = text != "" and grid._wide(text)
            follower = row[at + 1] if at + 1 < width else None
            assert wide == (follower is not None and follower[0] == ""), row
            assert not wide or follower == ("", style)


@settings(deadline=None)
@given(LINES, WIDTHS, HEIGHTS)
def test_a_grid_has_its_size_and_no_half_characters(lines: Any, width: int, height: int) -> None:
    assert_sound(grid.grid(lines, width, height), width, height)


@settings(max_examples=300, deadline=None)
@given(LINES, LINES, WIDTHS, HEIGHTS)
def test_applying_the_difference_gives_the_new_grid(one: Any, other: Any, width: int, height: int) -> None:
    old, new = grid.grid(one, width, height), grid.grid(other, width, height)
    runs = grid.diff(old, new)
    assert grid.apply(runs, old) == new
    assert grid.diff(new, new) == []
    for _, column, cells in runs:
        assert cells[0][0] != "", "a run begins with half a character"
        assert column + len(cells) <= width


def screen_of(emulator: Any) -> list[str]:
    return [line.rstrip() for line in emulator.display]


@settings(max_examples=150, deadline=None)
@given(st.lists(LINES, min_size=2, max_size=4), WIDTHS, HEIGHTS)
def test_a_terminal_shows_each_grid_after_its_difference(frames: Any, width: int, height: int) -> None:
    """pyte is the judge: cursor moves, styles and characters of two columns mean to it what they mean to us."""
    pyte = pytest.importorskip("pyte", reason="the terminal emulator of the tests is not installed")
    emulator = pyte.Screen(width, height)
    stream = pyte.Stream(emulator)
    emulator.reset_mode(pyte.modes.DECAWM)
    shown = grid.grid([], width, height)
    for lines in frames:
        wanted = grid.grid(lines, width, height)
        stream.feed(grid.encode(grid.diff(shown, wanted), colour=True))
        shown = wanted
        assert screen_of(emulator) == ["".join(text for text, _ in row).rstrip() for row in wanted]
        for y, row in enumerate(wanted):
            for x, (text, style) in enumerate(row):
                if text:
                    cell = emulator.buffer[y][x]
                    assert (cell.bold, cell.reverse) == (style.bold, style.reverse)
                    assert cell.fg == (style.fore or "default")
                    assert cell.bg == (style.back or "default")


def test_a_change_of_size_writes_everything() -> None:
    old, new = grid.grid([], 4, 2), grid.grid([], 5, 2)
    assert [len(run.cells) for run in grid.diff(old, new)] == [5, 5]


def test_small_changes_write_little(views: dict[str, View]) -> None:
    """A clock that ticks must not repaint the screen."""
    view = views["crowd"]
    one, other = (grid.grid(frame(view, Ui(utc_offset_s=s), 140, 40), 140, 40) for s in (0, 1))
    text = grid.encode(grid.diff(one, other), colour=True)
    assert 0 < len(text) < 20


def test_after_a_character_of_uncertain_width_the_cursor_is_placed_again() -> None:
    """Terminals disagree about ambiguous and new characters: an error must not shift the rest of the line."""
    blank = grid.grid([], 8, 1)
    for char, column in [("±", 2), ("模", 3), ("é", 2), ("👍", 3)]:
        new = grid.grid([(Span(clean(char) + "x"),)], 8, 1)
        assert f"\x1b[1;{column}Hx" in grid.encode(grid.diff(blank, new), colour=True)
    own = grid.grid([(Span("█│x"),)], 8, 1)
    assert "█│x" in grid.encode(grid.diff(blank, own), colour=True)


def test_without_colour_no_colour_is_sent() -> None:
    new = grid.grid([(Span("a", Style(fore="red", back="blue", bold=True)),)], 4, 1)
    assert grid.encode(grid.diff(grid.grid([], 4, 1), new), colour=False) == "\x1b[1;1H\x1b[0;1ma\x1b[0m"
