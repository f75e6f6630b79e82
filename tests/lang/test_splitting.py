"""Field splitting by itself: the state machine of IFS."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.lang.builtins.read_fields import split_read
from aish.lang.fields import GIVEN, JOINT, LITERAL, OPENING, QUOTED, SPLIT
from aish.lang.host import NoHost
from aish.lang.runtime import Runtime
from aish.lang.splitting import build, build_one


def runtime(ifs: str | None) -> Runtime:
    rt = Runtime(NoHost(), {})
    rt.noglob = True
    if ifs is None:
        rt.vars.unset("IFS")
    else:
        rt.vars.set("IFS", ifs)
    return rt


@pytest.mark.parametrize(
    ("ifs", "text", "fields"),
    [
        (" \t\n", "  a  b\tc\nd  ", ["a", "b", "c", "d"]),
        (None, " a b ", ["a", "b"]),
        ("", " a b ", [" a b "]),
        (":", "a:b::c:", ["a", "b", "", "c"]),
        (":", ":a", ["", "a"]),
        (":", "::", ["", ""]),
        (": ", " a : b  c::d ", ["a", "b", "c", "", "d"]),
        ("\t", "a b\t\tc d", ["a b", "c d"]),
        (":", "", []),
        (" ", "   ", []),
        ("x", "axbxxc", ["a", "b", "", "c"]),
    ],
)
def test_splitting(ifs: str | None, text: str, fields: list[str]) -> None:
    assert build_one(runtime(ifs), text) == fields


def test_quoted_pieces_hold_a_field_together() -> None:
    rt = runtime(" \t\n")
    assert build(rt, [(LITERAL, "a"), (SPLIT, "b c"), (QUOTED, "d e"), (SPLIT, " f")]) == ["ab", "cd e", "f"]
    assert build(rt, [(SPLIT, ""), (QUOTED, "")]) == [""]
    assert build(rt, [(SPLIT, "")]) == []


def test_separators_across_two_expansions_are_one_text() -> None:
    rt = runtime(":")
    assert build(rt, [(SPLIT, "a:"), (SPLIT, ":b")]) == ["a", "", "b"]


@pytest.mark.parametrize(
    ("first", "fields"),
    [(" ", ["a"]), (" : ", ["", "a"]), (" : : ", ["", "", "a"]), (" b", ["b", "a"])],
)
def test_blanks_that_begin_an_unquoted_list_take_a_separator_along(first: str, fields: list[str]) -> None:
    """`set -- ' ' a; IFS=': '; echo $@`: the first parameter is none, in every shell."""
    assert build(runtime(": "), [(OPENING, ""), (GIVEN, first), (JOINT, ":"), (GIVEN, "a")]) == fields


def test_without_multibyte_characters_ifs_separates_at_bytes() -> None:
    """It was split at whole characters in every locale, and texts that hold a single such byte were not."""
    rt = runtime("é")
    assert rt.locale.bytewise
    assert build_one(rt, "aéb") == ["a", "", "b"]
    assert build_one(rt, "ü é") == ["", "\udcbc ", ""]
    assert rt.joiner == "\udcc3"
    rt.vars.set("LC_ALL", "C.UTF-8")
    assert build_one(rt, "aéb ü") == ["a", "b ü"]
    assert rt.joiner == "é"


@given(st.text("ab \t\n", max_size=20))
@settings(max_examples=300, deadline=None)
def test_default_splitting_is_that_of_white_space(text: str) -> None:
    assert build_one(runtime(" \t\n"), text) == text.split()


@given(st.text("ab :,", max_size=14))
@settings(max_examples=300, deadline=None)
def test_nothing_is_lost_but_separators(text: str) -> None:
    fields = build_one(runtime(": "), text)
    assert "".join(fields) == text.replace(":", "").replace(" ", "")


@pytest.mark.parametrize(
    ("ifs", "line", "count", "values"),
    [
        (" \t\n", "a b c d", 3, ["a", "b", "c d"]),
        (" \t\n", "  a   b  ", 2, ["a", "b"]),
        (" \t\n", "a", 3, ["a", "", ""]),
        (":", "a:b:", 2, ["a", "b"]),
        (":", "a:b:c:", 2, ["a", "b:c:"]),
        (":", "a::", 2, ["a", ""]),
        (":", "::a", 3, ["", "", "a"]),
        ("", " a b ", 1, [" a b "]),
        (" \t\n", "a\\ b c", 2, ["a b", "c"]),
        (": ", " a : b : c ", 2, ["a", "b : c"]),
    ],
)
def test_read_gives_the_rest_to_the_last_name(ifs: str, line: str, count: int, values: list[str]) -> None:
    rt = runtime(ifs)
    assert split_read(line, rt.separators, rt.blanks, count, raw=False) == values
