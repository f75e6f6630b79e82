"""Arithmetic against Python's own integers, C's rules where they differ, and errors that are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.lang.arithmetic import compiled
from aish.lang.arithmetic_tokens import ExpressionError, constant, wrap
from aish.lang.host import NoHost
from aish.lang.runtime import Runtime

if TYPE_CHECKING:
    from tests.lang.conftest import Aish


def value(text: str, **variables: str) -> int:
    rt = Runtime(NoHost(), {})
    rt.values.update(variables)
    return compiled(text)(rt)


_leaf = st.integers(0, 1 << 40).map(str)
_tree = st.recursive(
    _leaf,
    lambda inner: st.one_of(
        st.tuples(
            inner, st.sampled_from(["+", "-", "*", "&", "|", "^", "<", "<=", ">", ">=", "==", "!="]), inner
        ).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        inner.map(lambda e: f"-({e})"),
        inner.map(lambda e: f"~({e})"),
    ),
    max_leaves=8,
)


@given(_tree)
@settings(max_examples=300, deadline=None)
def test_agrees_with_integers_modulo_64_bits(text: str) -> None:
    """Python's operators, wrapped at the end; only + - * and bits are homomorphic, so comparisons stay small."""
    expected = eval(text, {})
    if abs(expected) < 1 << 63 and "*" not in text:
        assert value(text) == int(expected)


@given(st.integers(-(1 << 70), 1 << 70))
def test_wrap_is_the_residue(number: int) -> None:
    wrapped = wrap(number)
    assert -(1 << 63) <= wrapped < 1 << 63
    assert (wrapped - number) % (1 << 64) == 0


@given(st.integers(-1000, 1000), st.integers(-50, 50).filter(bool))
def test_division_truncates_towards_zero(a: int, b: int) -> None:
    quotient = int(a / b)
    assert value(f"{a} / {b}") == quotient
    assert value(f"{a} % {b}") == a - quotient * b


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("017", 15), ("0x1f", 31), ("0XFF", 255), ("2#101", 5), ("36#z", 35), ("64#_", 63), ("08", None),
     ("0x", None), ("1a", None), ("1#1", None), ("", None), ("²", None), ("1_0", None)],
)  # fmt: skip
def test_constants(text: str, expected: int | None) -> None:
    assert constant(text) == expected


def test_assignments_reach_the_variables() -> None:
    rt = Runtime(NoHost(), {})
    assert compiled("x = y = 3, x += 2, ++y, x * y")(rt) == 20
    assert (rt.values["x"], rt.values["y"]) == ("5", "4")


def test_variables_hold_expressions() -> None:
    assert value("a * 2", a="b + 1", b="4") == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 +", "an operand expected at the end"),
        ("1 2", "an operator expected at '2'"),
        ("(1", "')' expected"),
        ("1 ? 2", "':' expected"),
        ("1 = 2", "only a variable can be assigned to"),
        ("09", "'09' is not a number"),
        ("1 / 0", "division by zero"),
        ("2 ** -1", "a negative exponent"),
        ("a @ b", "'@' does not belong into arithmetic"),
        ("(" * 500, "nested more than 100 levels deep"),
        ("- " * 500 + "1", "nested more than 100 levels deep"),
    ],
)
def test_errors(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as found:
        value(text)
    assert found.value.message == message


def test_a_variable_that_means_itself_is_an_error() -> None:
    with pytest.raises(ExpressionError, match="refers to itself"):
        value("x", x="x")


def test_error_in_a_script_has_its_place(aish: Aish) -> None:
    found = aish("echo ok\necho $((1 + 4/0))")
    assert found.out == "ok\n"
    assert found.status == 1
    assert found.err.startswith("-c:2:6: arithmetic: division by zero\n  echo $((1 + 4/0))\n       ^~~~")


def test_expansions_are_compiled_once_and_read_each_time(aish: Aish) -> None:
    """Operands fill slots; a value that is no number takes the textual way."""
    script = "for x in 2 '1+1' 010 -3 ''; do echo $(( $x * 2 )) $((3 - $x)); done 2>/dev/null"
    assert aish(script).out.split("\n")[:4] == ["4 1", "3 3", "16 -5", "-6 6"]
