"""A word of aish's own on the screen of another program."""

from __future__ import annotations

import pyte

from aish.client.notice import notice


def test_on_a_full_screen_nothing_scrolls_and_the_cursor_stays() -> None:
    """It was written where the cursor was, in the middle of an editor's text."""
    screen = pyte.Screen(30, 4)
    stream = pyte.ByteStream(screen)
    stream.feed(b"one\r\ntwo\r\nthree\r\nfour\x1b[2;3H\x1b[1;2r\x1b[2;3H")
    stream.feed(notice(["job (p1): somebody else has the lease to type"], full=True, rows=4, columns=30))
    lines = [line.rstrip() for line in screen.display]
    assert lines == ["one", "two", "aish: job (p1): somebody else", "has the lease to type"]
    assert (screen.cursor.y, screen.cursor.x) == (1, 2)


def test_elsewhere_it_is_a_line() -> None:
    assert notice(["one", "two\x1b[2J"], full=False, rows=4, columns=30).startswith(b"\r\naish: one\r\naish: two")
    assert b"\x1b" not in notice(["two\x1b[2J"], full=False, rows=4, columns=30)


def test_where_nothing_is_said_nothing_is_written() -> None:
    assert notice([], full=True, rows=4, columns=30) == notice([], full=False, rows=4, columns=30) == b""
