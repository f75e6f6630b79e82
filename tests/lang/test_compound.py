"""The commands that a reserved word or a parenthesis begins, and the words around a pipeline: what they do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from aish.lang.menu import menu
from aish.lang.script import parse
from aish.lang.timing import figures
from aish.lang.tree import For, Pipeline, Subshell
from aish.lang.tree_bash import Calculation, Coprocess, Counting, Select, Time

if TYPE_CHECKING:
    from aish.lang.tree import Node
    from tests.lang.conftest import Aish


def only(text: str) -> Node:
    script = parse(text)
    assert not script.errors, script.errors[0]
    return script.commands[0].items[0]


# ------------------------------------------------------------------------------------------- parsing


@pytest.mark.parametrize("text", ["((1))", "(( (1) ))", "((x = (1)))", "((a)) >f", "((16#ff))", "((x\n+ 1))"])
def test_double_parentheses_are_an_expression(text: str) -> None:
    assert isinstance(only(text), Calculation)


@pytest.mark.parametrize("text", ["((a); b)", "((a) ; (b))", "( (a) )", "((a; b) | c)", "(\n(a))", "((a) )"])
def test_double_parentheses_may_be_two_subshells(text: str) -> None:
    """As in bash: where the two closing parentheses do not stand together it was no expression."""
    assert isinstance(only(text), Subshell)


def test_nothing_of_a_failed_expression_is_left() -> None:
    """The marks of the highlighter, the depth and the place are those of the second reading."""
    script = parse("((echo $x); echo $y)")
    assert len(script.marks) == len(set(script.marks))
    assert not script.errors


@pytest.mark.parametrize(
    "text",
    [
        "for ((;;)); do :; done",
        "for ((i=0;i<3;i++)) do :; done",
        "for ((;;)) { :; }",
        "for ((;;))\ndo :; done",
        "for (( i = 0 ; i < 3 ; i++ ))\n{\n:\n}",
    ],
)
def test_counting_loops(text: str) -> None:
    assert isinstance(only(text), Counting)


def test_empty_expressions_of_a_counting_loop_are_none() -> None:
    node = only("for ((;i < 3;)); do :; done")
    assert isinstance(node, Counting)
    assert node.first is None
    assert node.step is None
    assert node.test is not None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("for x do :; done", For),
        ("for x; do :; done", For),
        ("for x\ndo :; done", For),
        ("for x\nin a\ndo :; done", For),
        ("for x in; do :; done", For),
        ("for x in a; { :; }", For),
        ("select x do :; done", Select),
        ("select x in a b; { :; }", Select),
        ("for in in in; do :; done", For),
        ("for do in do; do :; done", For),
    ],
)
def test_loops_over_words(text: str, kind: type[For]) -> None:
    assert type(only(text)) is kind


@pytest.mark.parametrize(
    "text",
    [
        "for x; in a; do :; done",
        "for ((;)); do :; done",
        "for ((i)); do :; done",
        "for 'x' in a; do :; done",
        "select 1 in a; do :; done",
        "for x { :; ",
    ],
)
def test_loops_that_are_none(text: str) -> None:
    script = parse(text)
    assert script.errors


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("coproc a b", "COPROC"),
        ("coproc { a; }", "COPROC"),
        ("coproc N { a; }", "N"),
        ("coproc N (a)", "N"),
        ("coproc N while a; do b; done", "N"),
        ("coproc N", "COPROC"),
        ("coproc N >f", "COPROC"),
        ("coproc N ((1))", "N"),
    ],
)
def test_a_coprocess_has_a_name_only_before_a_compound_command(text: str, name: str) -> None:
    node = only(text)
    assert isinstance(node, Coprocess)
    assert node.name == name


def test_time_and_negation_in_any_order() -> None:
    assert isinstance(only("time ! a | b"), Time)
    negated = only("! time a")
    assert isinstance(negated, Pipeline)
    assert negated.negated
    assert isinstance(negated.stages[0], Time)
    assert isinstance(only("time"), Time)
    assert isinstance(only("time -p -- a"), Time)


def test_time_with_an_option_is_a_program_in_posix_mode() -> None:
    """POSIX leaves `time -p` to the utility, which other programs may replace."""
    node = parse("time -p a", posix=True).commands[0].items[0]
    assert not isinstance(node, Time)
    assert isinstance(parse("time a", posix=True).commands[0].items[0], Time)


@pytest.mark.parametrize(
    "text", ["case $x in -|=) ;; esac", "case x in a|==|b) c |= d;; esac", "case x in (=|=) ;; esac"]
)
def test_no_tensor_edge_among_patterns(text: str) -> None:
    assert not parse(text).errors


@pytest.mark.parametrize(
    "text",
    [
        "f() [[ a ]]",
        "f() ((1))",
        "f() for ((;;)); do :; done",
        "function f (a)",
        "function f ( ) { a; }",
        "function a-b { c; }",
        "a.b() { c; }",
    ],
)
def test_a_function_has_any_compound_command_for_a_body(text: str) -> None:
    assert not parse(text).errors


def test_special_builtins_are_no_functions_in_posix_mode() -> None:
    assert not parse("export() { :; }").errors
    assert "special built-in" in parse("export() { :; }", posix=True).errors[0].message


# ------------------------------------------------------------------------------------------- running


def test_an_expression_without_a_value_fails_and_the_script_goes_on(aish: Aish) -> None:
    found = aish("((1/0)); echo $?; for ((i=1/0;;)); do :; done; echo $?; ((1+)); echo $?; echo end")
    assert found.out == "1\n1\n1\nend\n"
    assert found.err.count("arithmetic:") == 3


def test_an_unset_variable_in_an_expression_ends_the_script_under_nounset(aish: Aish) -> None:
    found = aish("set -u; ((nope)); echo reached")
    assert (found.out, found.status) == ("", 127)  # as in bash, for the end of -c


def test_select_shows_its_menu_and_the_prompt_on_stderr(aish: Aish) -> None:
    found = aish("PS3='which? '; select x in one 'two words'; do echo \"$REPLY:$x\"; done", input=b"2\n7\n\n1\n")
    assert found.out == "2:two words\n7:\n1:one\n\n"
    assert found.err == "1) one\n2) two words\nwhich? which? which? 1) one\n2) two words\nwhich? which? "


def test_menus_have_columns_that_are_read_downwards() -> None:
    assert menu(["a", "b", "c"], 80) == ["1) a", "2) b", "3) c"]
    words = [f"w{n}" for n in range(1, 31)]
    lines = menu(words, 40)
    assert len(lines) < 30
    assert all(len(line) <= 40 for line in lines)
    assert lines[0].split()[:2] == ["1)", "w1"]
    assert lines[1].split()[:2] == ["2)", "w2"]
    assert sorted(re.findall(r"w\d+", " ".join(lines))) == sorted(words)


def test_figures_of_time() -> None:
    assert figures("%R %U %S %%", 1.5, 0.25, 0.125) == "1.500 0.250 0.125 %"
    assert figures("%1R %0R %3lR %lU", 61.9999, 1, 0) == "61.9 61 1m1.999s 0m1.000s"
    assert figures("%P", 2.0, 1.0, 0.5) == "75.00"
    assert figures("", 1, 1, 1) == ""
    assert figures("50%", 1, 1, 1) == "50%"
    assert figures("%9R", 1, 1, 1) == "1.000"
    for wrong in ("%x %9R", "%3%", "%lP"):  # as in bash
        with pytest.raises(ValueError, match="no figure has this name"):
            figures(wrong, 1, 1, 1)


def test_time_tells_of_a_pipeline_however_it_ends(aish: Aish) -> None:
    found = aish("time -p false | exit 3; echo $?; TIMEFORMAT='took %R'; f() { time return 4; }; f; echo $?")
    assert found.out == "3\n4\n"
    assert re.fullmatch(r"real \d+\.\d\d\nuser \d+\.\d\d\nsys \d+\.\d\d\ntook \d+\.\d{3}\n", found.err)


def test_a_coprocess_answers_and_its_end_is_seen(aish: Aish) -> None:
    script = """
    coproc UP { while read -r line; do echo "<$line>"; done; echo over; }
    echo a >&${UP[1]}; read -r x <&${UP[0]}; echo "$x"
    exec {UP_end}>&${UP[1]}-
    exec {UP_end}>&-
    read -r x <&${UP[0]}; echo "$x"
    wait $UP_PID; echo $?
    """
    assert aish(script).out == "<a>\nover\n0\n"


def test_subshells_do_not_hold_a_coprocess_open(aish: Aish) -> None:
    """Else `cat` below would wait for an end of file that a sleeping child keeps away."""
    script = "coproc cat; (sleep 5) & exec {w}>&${COPROC[1]}- {w}>&-; wait $COPROC_PID; echo ended; kill $!"
    assert aish(script, timeout=4).out == "ended\n"


def test_numbered_descriptors_by_name(aish: Aish) -> None:
    found = aish(
        "exec {a}>f {b}>g; [ $a -ge 10 ] && [ $a != $b ] && echo ok; echo x >&$a; exec {a}>&-; cat f; echo y >&$a"
    )
    assert found.out == "ok\nx\n"
    assert "Bad file descriptor" in found.err


def test_a_moved_descriptor_is_gone(aish: Aish) -> None:
    found = aish("exec 3>f; exec 4>&3-; echo a >&4; echo b >&3; cat f")
    assert found.out == "a\n"
    assert "3: Bad file descriptor" in found.err


def test_an_ambiguous_redirection_opens_nothing(aish: Aish) -> None:
    found = aish("x='a b'; echo hi >$x; echo $?; echo hi >$unset; echo $?; ls")
    assert found.out == "1\n1\n"
    assert found.err.count("ambiguous redirect") == 2
    assert aish.run(["--posix", "-c", "x='a b'; echo hi >$x; ls"]).out == "a b\n"


def test_the_body_of_a_counting_loop_may_break_and_continue_outwards(aish: Aish) -> None:
    inner = "for ((j=0;j<3;j++)); do ((j==1)) && continue 2; ((i==2)) && break 2; echo $i$j; done"
    script = f"for ((i=0;i<3;i++)); do {inner}; done"
    assert aish(script).out == "00\n10\n"
