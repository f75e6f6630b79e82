"""env files as people have them, and what a process has of the caller."""

from __future__ import annotations

import time

import pytest

from aish.errors import SourceError
from aish.project.environ import dotenv, of_caller

FILE = r"""
# comment
A=1
export B = two words   # behind it
C='single $X \n "q"' # c
D="double \"q\" \\ \n end"
E="over
several
lines"
F=
G=a#b
"""


def test_the_ways_to_write_a_value() -> None:
    assert dotenv(FILE, ".env") == {
        "A": "1",
        "B": "two words",
        "C": 'single $X \\n "q"',
        "D": 'double "q" \\ \n end',
        "E": "over\nseveral\nlines",
        "F": "",
        "G": "a#b",
    }


@pytest.mark.parametrize("line", ["not a pair", "1A=x", 'A="open', "A='open", "A='a' b", "=x", "A=\0"])
def test_what_is_wrong_has_its_line_and_no_value(line: str) -> None:
    with pytest.raises(SourceError) as caught:
        dotenv(f"X=1\n{line}\n", ".env")
    assert (caught.value.line, "open" in str(caught.value)) == (2, False)


def test_a_quote_without_end_over_many_lines_is_found_at_once() -> None:
    began_s = time.monotonic()
    with pytest.raises(SourceError):
        dotenv('A="\n' + "x\\\n" * 300_000, ".env")
    assert time.monotonic() - began_s < 5


def test_of_the_caller() -> None:
    caller = dict.fromkeys(
        ("HOME", "PATH", "LC_ALL", "XDG_RUNTIME_DIR", "TERM", "SSH_AUTH_SOCK", "OPENAI_API_KEY"), "v"
    )
    assert set(of_caller(caller, [], [])) == {"HOME", "PATH", "LC_ALL", "XDG_RUNTIME_DIR"}
    assert {"SSH_AUTH_SOCK", "TERM"} <= set(of_caller(caller, ["SSH_AUTH_SOCK", "TERM", "OPENAI_API_KEY"], []))
    assert "OPENAI_API_KEY" not in of_caller(caller, ["OPENAI_API_KEY"], [])
    assert "OPENAI_API_KEY" in of_caller(caller, [], ["OPENAI_API_KEY"])
