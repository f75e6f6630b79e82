"""Commands of several lines as history lists them: the lines may go, what they mean may not."""

from __future__ import annotations

import pytest

from aish.lang.one_line import listed
from aish.lang.parser import Parser
from aish.lang.reprint import command
from aish.lang.source import ParseError, Source
from tests.lang.test_snippets import SNIPPETS


def _shown(text: str) -> list[str]:
    source = Source("text", text + "\n")
    parser, found = Parser(source), []
    parser.forgiving = True
    while (tree := parser.next()) is not None:
        found.append(command(source, tree))
    return found


def _commands(text: str) -> list[str]:
    source = Source("text", text)
    parser, found = Parser(source), []
    parser.forgiving = True
    open_ends: list[str] = []  # here-documents that the end of the text ends
    parser.warn = lambda message, at: open_ends.append(message)
    begin = 0
    try:
        while parser.next() is not None and not open_ends:
            found.append(source.text[begin : parser.pos])
            begin = parser.pos
    except ParseError:
        pass
    return found


def test_the_listed_command_is_the_command() -> None:
    """It became another where a word was `in` or a line ended with a parenthesis, and `fc -s` ran that."""
    several = [one for text in SNIPPETS.values() for one in _commands(text) if "\n" in one.strip("\n")]
    assert len(several) > 150
    for text in several:
        line = "\n".join(listed(text, posix=False, extended=False))
        assert _shown(line) == _shown(text), (text, line)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{ x=$n\\\nm a\\\n b\necho in\n}\n", ["{ x=$nm a b; echo in; }"]),
        ("for ((;;))\ndo (a)\n(b)\ndone\n", ["for ((;;)) do (a); (b); done"]),
        ("# x\n\nif a # y\nthen b; fi\n", ["# x", "if a # y\nthen b; fi"]),
        ("if a; fi\nthen b\n", ["if a; fi\nthen b"]),
    ],
    ids=["continued", "parentheses", "comments", "no command"],
)
def test_what_is_listed(text: str, line: list[str]) -> None:
    assert listed(text, posix=False, extended=False) == line
