"""What a terminal is told beside the text, and which terminals are told."""

from __future__ import annotations

import pytest

from aish.shell import terminal_marks


@pytest.mark.parametrize(
    ("environment", "marks", "links"),
    [
        ({"TERM": "xterm-256color"}, True, False),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7000"}, True, True),
        ({"TERM": "xterm-256color", "VTE_VERSION": "4000"}, True, False),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "vscode"}, True, True),
        ({"TERM": "xterm-kitty"}, True, True),
        ({"TERM": "tmux-256color"}, True, False),
        ({"TERM": "linux"}, False, False),
        ({"TERM": "dumb"}, False, False),
        ({}, False, False),
        ({"TERM": "xterm-kitty", "AISH_TERMINAL_MARKS": "0"}, False, False),
    ],
)
def test_who_is_told(environment: dict[str, str], marks: bool, links: bool) -> None:
    assert terminal_marks.takes_marks(environment) is marks
    assert terminal_marks.takes_links(environment) is links


def test_a_title_is_one_line_of_text() -> None:
    """A command's text must not end the sequence and begin another."""
    assert terminal_marks.title("a\x1b]0;x\x07b\nc\x9cd") == "\x1b]2;a ]0;x b c d\x1b\\"
    assert len(terminal_marks.title("x" * 1000)) < 100


def test_a_folder_with_any_name_is_an_address() -> None:
    assert terminal_marks.address("/a b/é\udcff\x1b").endswith("/a%20b/%C3%A9%FF%1B")
