"""Colours: every character once, in order, also while the line is not complete or wrong."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.shell.highlight import by_line, spans


def kinds(text: str) -> dict[str, str]:
    return {text[start:end]: kind for start, end, kind in spans(text)}


def test_kinds() -> None:
    found = kinds("if x=1 grep 'a b' \"c $d\" > out; then f() { :; }; fi # note")
    assert found["if"] == found["then"] == found["fi"] == "keyword"
    assert found["grep"] == "command"
    assert found["'a b'"] == "string"
    assert found['"c '] == "string"
    assert found["$d"] == "variable"
    assert found[">"] == found["out"] == "redirect"
    assert found["f"] == "function"
    assert found["# note"] == "comment"


def test_tensor_edge_and_names() -> None:
    found = kinds("cat x | @embed |= tensor knn")
    assert found["|="] == found["|"] == "operator"
    assert found["@embed"] == "command"


def test_inside_a_substitution() -> None:
    assert kinds("echo $(ls | wc)")["ls"] == "command"
    assert kinds("echo `ls`")["ls"] == "command"


def test_incomplete_line_is_coloured_as_far_as_it_goes() -> None:
    assert kinds("if true; then echo $x")["if"] == "keyword"
    assert kinds("if true; then echo $x")["$x"] == "variable"


def test_error_is_shown_where_it_is() -> None:
    assert kinds("echo a; fi; b\n")["fi"] == "error"


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_nothing_is_lost_or_doubled(text: str) -> None:
    assert "".join(text[start:end] for start, end, _ in spans(text)) == text
    lines = by_line(text)
    assert ["".join(piece for _, piece in line) for line in lines] == text.split("\n")


@pytest.mark.parametrize("text", ["echo a\\\nb", "cat <<E\nx $y\nE\n", "'a\nb'"])
def test_lines(text: str) -> None:
    assert len(by_line(text)) == text.count("\n") + 1
