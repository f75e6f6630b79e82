"""What holds for every text: the parser answers, and a beginning of a program is a program or incomplete."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.lang import tree, tree_bash
from aish.lang.script import parse
from aish.lang.tree import Node
from aish.shell.highlight import spans

_TEXT = (Path(__file__).parent / "snippets.txt").read_text(encoding="utf-8")
_VALID = [text for text in (part.split("\n", 1)[1] for part in _TEXT.split("=== ")[1:]) if not parse(text).errors]

_PIECES = [
    "$", "(", ")", "{", "}", '"', "'", "`", "\\", "\n", " ", "a", "<<E", "E", "if", "fi", "then", "case", "esac",
    "in", ";", ";;", "&", "|", "|=", "<", ">", "#", "$((", "))", "$(", "${", "[[", "]]", "=", "~", ":", "*", "for",
    "do", "done", "while", "!", "\0", "\udcff", "é", "x=", "@a", "1", "2>", "f()", "${x:-", "$'", "((", "for ((",
    "select", "time", "coproc", "<(", ">(", "{a,b}", "{1..3}", "{fd}>", "<<-", "<<<", "|&", "&>", ";&", "=~",
    "function", "x=(", "a[",
]  # fmt: skip
_COMMANDS = {
    tree_bash.Calculation, tree.Case, tree_bash.Counting, tree.For, tree.Group, tree.If,
    tree_bash.Select, tree.Simple, tree.Subshell, tree_bash.Test, tree_bash.Time, tree.While,
}  # fmt: skip
"""Commands whose beginning says what they are: a part of a pipeline, say, is no pipeline by itself."""

_soup = st.lists(st.sampled_from(_PIECES), max_size=40).map("".join)

# A grammar of valid programs, small enough that hypothesis reaches every rule.
_word = st.recursive(
    st.sampled_from(["{a,b}", "{1..3}x", "<(a b)", ">(c)"])
    | st.sampled_from(["a", "'b c'", '"d $e"', "\\f", "$x", "${y}", "${z:-w}", "~/q", "g*", "@n", "$'h\\n'", "1"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        inner.map(lambda w: f"$(echo {w})"),
        inner.map(lambda w: f'"$(echo {w})"'),
        inner.map(lambda w: f"${{v:-{w}}}"),
        inner.map(lambda w: f"$((1 + 2))x{w}"),
    ),
    max_leaves=4,
)
_redirect = st.builds(
    "{}{}".format, st.sampled_from([">", "<", ">>", "2>", "3<>", ">|", "&>"]), st.sampled_from("abc")
)
_simple = st.builds("{} {} {}".format, _word.filter(lambda w: w != "1"), _word, st.one_of(st.just(""), _redirect))


def _compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    two = st.tuples(inner, inner)
    piped = two.filter(lambda p: not p[1].startswith("!"))  # which stands before a whole pipeline
    return st.one_of(
        piped.map(lambda p: f"{p[0]} | {p[1]}"),
        piped.map(lambda p: f"{p[0]} |= {p[1]}"),
        two.map(lambda p: f"{p[0]} &&\n{p[1]}"),
        two.map(lambda p: f"{p[0]} || {p[1]}"),
        two.map(lambda p: f"{{ {p[0]}; {p[1]}; }} 2>&1"),
        two.map(lambda p: f"({p[0]}\n{p[1]})"),
        two.map(lambda p: f"if {p[0]}; then {p[1]}; else :; fi"),
        two.map(lambda p: f"while {p[0]}; do {p[1]}; done"),
        inner.map(lambda c: f"for i in 1 $x; do\n{c}\ndone"),
        inner.map(lambda c: f"case $x in a|'b') {c};; (*) ;; esac"),
        inner.map(lambda c: f"f() {{ {c}; }}"),
        inner.map(lambda c: f"! {c}" if not c.startswith("f()") else c),
        inner.map(lambda c: f"{{ time {c}; }}" if not c.startswith("f()") else c),
        inner.map(lambda c: f"coproc N {{ {c}; }}"),
        inner.map(lambda c: f"for ((i = 0; i < 3; i++)); do {c}; done"),
        inner.map(lambda c: f"select i in 1 $x; do {c}; done 2>&1"),
        inner.map(lambda c: f"for i; {{ {c}; }}"),
        inner.map(lambda c: f"((x = (1 + $y))) && {c}"),
        inner.map(lambda c: f"[[ a == b* && ( ! $x =~ ^(a|b c)$ || -n 'q' ) ]] || {c}"),
        inner.map(lambda c: f"function f-g {{ {c}; }}"),
        inner.map(lambda c: f"( {c} ) |& cat {{fd}}>f <(c)"),
        inner.map(lambda c: f"case $x in a) {c};& |=) ;; (b|c) {c} ;;& esac".replace(" |=)", " d|=)")),
        inner.map(lambda c: f"{{\n{c}\ncat <<E\nbody $y `z`\nE\n}}"),
    )


_command = st.recursive(_simple, _compound, max_leaves=5)


@given(_soup)
@settings(max_examples=400, deadline=None)
def test_any_soup_of_tokens_gets_an_answer(text: str) -> None:
    script = parse(text)
    for error in script.errors:
        assert 0 <= error.start <= error.end <= len(text)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_get_an_answer(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    parse(text)
    assert "".join(text[start:end] for start, end, _ in spans(text)) == text


@given(_command)
@settings(max_examples=250, deadline=None)
def test_generated_programs_parse(text: str) -> None:
    script = parse(text + "\n")
    assert not script.errors, (text, script.errors[0])
    assert not script.incomplete


@given(_command, st.data())
@settings(max_examples=250, deadline=None)
def test_a_beginning_of_a_generated_program_is_incomplete_or_a_program(text: str, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(text)))
    script = parse(text[:cut])
    assert script.incomplete or not script.errors, (text[:cut], script.errors[0])


@pytest.mark.parametrize("number", range(0, len(_VALID), 40))
def test_every_beginning_of_a_real_program_is_incomplete_or_a_program(number: int) -> None:
    for text in _VALID[number : number + 40]:
        for cut in range(len(text)):
            script = parse(text[:cut])
            assert script.incomplete or not script.errors, (text[:cut], script.errors[0])


def _nodes(node: object) -> list[Node]:
    """Every node below, itself first."""
    found: list[Node] = []
    pending = [node]
    while pending:
        item = pending.pop()
        if isinstance(item, (list, tuple)):
            pending.extend(item)
        elif isinstance(item, Node):
            found.append(item)
            for cls in type(item).__mro__:
                pending.extend(getattr(item, name) for name in getattr(cls, "__slots__", ()))
    return found


def _shape(node: object) -> object:
    """A tree without its places."""
    if isinstance(node, (list, tuple)):
        return [_shape(item) for item in node]
    if not isinstance(node, Node):
        return node
    slots = [name for cls in type(node).__mro__ for name in getattr(cls, "__slots__", ())]
    names = [name for name in slots if name not in ("start", "end")]
    return [type(node).__name__, *[_shape(getattr(node, name)) for name in names]]


@given(_command)
@settings(max_examples=150, deadline=None)
def test_the_text_of_a_command_is_the_command(text: str) -> None:
    """Every command's range is exactly its text: parsed alone, it is the same tree."""
    if "<<" in text or "|&" in text:
        return  # a document's text, and the redirection that |& is, lie behind their commands
    for whole in parse(text + "\n").commands:
        for node in _nodes(whole):
            if type(node) not in _COMMANDS:
                continue
            again = parse(text[node.start : node.end])
            assert not again.errors, (text, text[node.start : node.end])
            assert _shape(again.commands[0].items[0]) == _shape(node), (text, text[node.start : node.end])


@pytest.mark.parametrize("number", range(0, len(_VALID), 40))
def test_ranges_lie_within_each_other(number: int) -> None:
    for text in _VALID[number : number + 40]:
        for command in parse(text).commands:
            for node in _nodes(command):
                assert 0 <= node.start <= node.end <= len(text), (text, node)
