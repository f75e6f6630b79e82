"""Pathname expansion where the comparison with bash does not reach: what a shell may not do with large or odd
folders."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from aish.lang.glob import begins_with_dot, expand
from aish.lang.host import NoHost
from aish.lang.matching import Pattern
from aish.lang.pattern import BYTES, EXTENDED, FOLDED
from aish.lang.runtime import Runtime

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lang.conftest import Aish


@pytest.fixture
def rt() -> Runtime:
    return Runtime(NoHost(), {"LC_ALL": "C.UTF-8"})


@pytest.mark.parametrize(
    ("pattern", "hidden"),
    [
        (".x", True),
        ("\\.x", True),
        ("*", False),
        ("[.]x", False),
        ("@(.x|y)", True),
        ("@(x|y)", False),
        ("?(x).y", True),
        ("!(x).y", True),
        ("@(x|).y", True),
        ("@(x|y).z", False),
    ],
)
def test_a_hidden_name_is_only_looked_for_where_the_pattern_has_a_dot(pattern: str, hidden: bool) -> None:
    assert begins_with_dot(Pattern(pattern, fixed=EXTENDED).elements) is hidden


def test_ten_thousand_names_take_a_fraction_of_a_second(rt: Runtime, tmp_path: Path) -> None:
    for number in range(10_000):
        (tmp_path / f"f{number}").touch()
    begin = time.monotonic()
    assert len(expand(rt, f"{tmp_path}/*")) == 10_000
    assert len(expand(rt, f"{tmp_path}/f*9")) == 1000
    assert time.monotonic() - begin < 2


def test_bytes_that_are_no_text_are_found_and_kept(aish: Aish) -> None:
    with open(os.fsencode(aish.folder) + b"/\xff", "wb"):
        pass
    assert aish('for f in *; do printf %s "$f"; done').out == "\udcff"


def test_a_link_in_a_circle_does_not_hang(aish: Aish) -> None:
    (aish.folder / "d").mkdir()
    (aish.folder / "d" / "up").symlink_to("..")
    assert aish("shopt -s globstar; echo **; echo */*/*/*").out == "d d/up\nd/up/d/up\n"


def test_a_folder_that_may_not_be_read_has_no_matches(aish: Aish) -> None:
    (aish.folder / "d").mkdir(0o311)
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    assert aish("echo d/* */x").out == "d/* */x\n"


def test_names_are_sorted_by_the_locale(aish: Aish) -> None:
    for name in "bAa_B":
        (aish.folder / name).touch()
    assert aish("echo *").out == "A B _ a b\n"
    assert aish("LC_ALL=C; echo *").out == "A B _ a b\n"


def test_many_stars_and_groups_do_not_blow_up() -> None:
    """A matcher that tries every way takes 2**n steps."""
    begin = time.monotonic()
    assert not Pattern("*(*(a)b)*(a*)c", fixed=EXTENDED).matches("a" * 400)
    assert not Pattern("+(a|aa|aaa)b", fixed=EXTENDED).matches("a" * 400)
    assert Pattern("!(!(a*)b)", fixed=EXTENDED).matches("a" * 100)
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize(
    ("flags", "pattern", "yes", "no"),
    [
        (EXTENDED, "@(a|b)c", ["ac", "bc"], ["c", "abc"]),
        (0, "@(a|b)", ["@(a|b)"], ["a"]),
        (EXTENDED, "@(a", ["@(a"], ["a"]),
        (FOLDED, "A[b-c]*", ["abX", "ACx"], ["ad"]),
        (FOLDED, "[[:upper:]]", [], ["a", "A"]),
        (BYTES, "??", ["é", "ab"], ["a", "éa"]),
        (BYTES, "[[:alpha:]]*", ["a"], ["é"]),
        (BYTES, "é", ["é"], ["\udcc3"]),
    ],
)
def test_dialects(flags: int, pattern: str, yes: list[str], no: list[str]) -> None:
    compiled = Pattern(pattern, fixed=flags)
    assert [text for text in yes if not compiled.matches(text)] == []
    assert [text for text in no if compiled.matches(text)] == []


def test_trimming_bytes_gives_back_what_is_left() -> None:
    compiled = Pattern("?", fixed=BYTES)
    assert compiled.without_prefix("é", longest=False) == "\udca9"
    assert compiled.without_suffix("é", longest=False) == "\udcc3"


def test_a_pattern_that_was_compiled_before_an_option_follows_it(aish: Aish) -> None:
    """The closure of `case` is made once; the option is turned on when it has run already."""
    script = (
        "f() { case A in a) echo yes ;; *) echo no ;; esac; }; f; shopt -s nocasematch; f; shopt -u nocasematch; f"
    )
    assert aish(script).out == "no\nyes\nno\n"
