"""The modes of a terminal as a program's output set them, and what is shown of a log when a terminal comes late."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from aish.client.screen import Screen, without_questions
from aish.client.scrollback import arranged

VIM = b"\x1b[?1049h\x1b[?1h\x1b=\x1b[?2004h\x1b[?25l\x1b[>4;2m~ text"


def after(*pieces: bytes) -> Screen:
    screen = Screen()
    for piece in pieces:
        screen.feed(piece)
    return screen


def test_what_an_editor_set_is_taken_back_and_set_again() -> None:
    screen = after(VIM)
    assert screen.full
    assert screen.changed == {1049, 1, 2004, 25}
    assert after(screen.enter()).changed == screen.changed
    left = after(screen.enter(), screen.leave())
    assert (left.changed, left.leave()) == (set(), b"")
    assert screen.leave().endswith(b"\x1b[?1049l"), "the other screen last: it brings the cursor back"


def test_a_program_that_cleaned_up_leaves_nothing_to_do() -> None:
    done = after(VIM, b"\x1b[?25h\x1b[?2004l\x1b>\x1b[>4;0m\x1b[?1l\x1b[?1049l")
    assert (done.full, done.leave(), done.enter()) == (False, b"", b"")
    assert after(VIM, b"\x1bc").leave() == b""


def test_the_region_that_scrolls_is_of_a_window_of_one_size() -> None:
    """An editor's of 12 rows was shown to a terminal of 18: it scrolled the wrong rows, for ever."""
    reset = b"\x1b7\x1b[r\x1b8"
    screen = after(VIM, b"\x1b[1;12r")
    assert screen.enter().count(b"\x1b[1;12r") == 1
    assert screen.resized() == reset
    assert (screen.resized(), screen.changed) == (b"", after(VIM).changed), "the program does not set the rest again"
    assert reset in after(VIM, b"\x1b[5;8r").leave(), "a shell's prompt would scroll in it"
    for whole in (b"\x1b[r", b"\x1b[0;0r", b"\x1b[;r", b"\x1b[1r", b"\x1bc"):
        assert after(b"\x1b[5;8r", whole).leave() == b""
    assert after(b"\x1b[?1049r").leave() == b"", "this brings modes back"


def test_kitty_s_keys_are_popped_as_often_as_they_were_pushed() -> None:
    assert after(b"\x1b[>1u\x1b[>5u").leave() == b"\x1b[0m\x1b[<2u"
    assert after(b"\x1b[>1u\x1b[<u").leave() == b""


@given(st.lists(st.integers(0, len(VIM)), max_size=6))
def test_it_does_not_matter_where_the_output_is_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(VIM)]
    screen = after(*(VIM[a:b] for a, b in pairwise(edges)))
    assert (screen.changed, screen.leave()) == (after(VIM).changed, after(VIM).leave())


@given(st.binary())
def test_any_output_is_taken(data: bytes) -> None:
    screen = after(data)
    assert after(screen.enter(), screen.leave()).changed == set()


def test_old_questions_are_not_asked_again() -> None:
    """The terminal's answer would be typed into a program that asked long ago."""
    asked = b"a\x1b[cb\x1b[>0qc\x1b[6nd\x1b]11;?\x07e\x1b[?2026$pf\x1b[?ug\x1bP+q544e\x1b\\h"
    assert without_questions(asked) == b"abcdefgh"
    kept = b"\x1b[31mred\x1b[0m\x1b[2J\x1b[10;5H\x1b]0;title\x07\x1b[3Ctext"
    assert without_questions(kept) == kept


def test_lines_of_a_log_come_with_the_modes_that_were_set_before_them() -> None:
    data = b"\x1b[?2004hone\ntwo\nthree\n"
    back = arranged(data, data.index(b"three"), end=1000)
    assert (back.shown, back.offset) == (b"\x1b[?2004hthree\n", 1000)
    assert back.screen.changed == {2004}


def test_of_a_full_screen_program_what_it_drew_is_shown() -> None:
    data = b"one\n" + VIM
    assert arranged(data, len(data), end=len(data)).shown == VIM


def test_of_one_that_has_left_nothing_is_shown_but_what_came_after() -> None:
    data = b"one\n" + VIM + b"\n\x1b[?1049lthe end\n"
    assert arranged(data, 4, end=len(data)).shown.endswith(b"the end\n")
    assert b"~ text" not in arranged(data, 4, end=len(data)).shown
