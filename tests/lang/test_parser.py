"""Trees, ranges and errors of the parser."""

from __future__ import annotations

import pytest

from aish.lang import scanner, tree, tree_bash
from aish.lang.builtins import candidates
from aish.lang.parser import Parser
from aish.lang.script import MAX_ERRORS, parse
from aish.lang.source import ParseError, Source
from aish.lang.words import RESERVED


def only(text: str, **options: bool) -> tree.Node:
    """The single item of a text without errors."""
    script = parse(text, **options)
    assert not script.errors, script.errors
    assert len(script.commands) == 1
    assert len(script.commands[0].items) == 1
    return script.commands[0].items[0]


def words(text: str) -> list[tree.Word]:
    node = only(text)
    assert isinstance(node, tree.Simple)
    return node.words


def nodes(root: object) -> list[tree.Node]:
    """Every node below `root`."""
    found: list[tree.Node] = []
    pending = [root]
    while pending:
        item = pending.pop()
        if isinstance(item, tree.Node):
            found.append(item)
            for cls in type(item).__mro__:
                pending.extend(getattr(item, name) for name in getattr(cls, "__slots__", ()) if hasattr(item, name))
        elif isinstance(item, (list, tuple)):
            pending.extend(item)
    return found


# ------------------------------------------------------------------------------------------ commands


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a b", tree.Simple),
        ("a=1", tree.Simple),
        ("> f", tree.Simple),
        ("a | b", tree.Pipeline),
        ("! a", tree.Pipeline),
        ("a && b", tree.AndOr),
        ("a &", tree.Background),
        ("(a)", tree.Subshell),
        ("{ a; }", tree.Group),
        ("if a; then b; fi", tree.If),
        ("while a; do b; done", tree.While),
        ("for i in 1; do a; done", tree.For),
        ("case a in b) c;; esac", tree.Case),
        ("f() { a; }", tree.Function),
        ("[[ a ]]", tree_bash.Test),
    ],
)
def test_each_command_has_its_node(text: str, kind: type) -> None:
    assert type(only(text)) is kind


def test_reserved_words_count_only_where_a_command_begins() -> None:
    assert [word.literal() for word in words("echo if then fi { } ! in [[")] == [
        "echo", "if", "then", "fi", "{", "}", "!", "in", "[[",
    ]  # fmt: skip
    assert isinstance(only("'if' a"), tree.Simple)


def test_line_of_many_commands_is_one_complete_command() -> None:
    script = parse("a; b & c\nd")
    assert [len(command.items) for command in script.commands] == [3, 1]
    assert isinstance(script.commands[0].items[1], tree.Background)


def test_parser_does_not_read_behind_the_line() -> None:
    """A script on stdin is also the input of its commands."""
    served = iter(["read x\n", "data\n"])
    parser = Parser(Source("-"), lambda: next(served, ""))
    assert parser.next() is not None
    assert parser.text == "read x\n"


def test_here_documents_of_one_line_follow_each_other() -> None:
    script = parse("cat <<A; cat <<-'B'\na $x\nA\n\tb $x\n\tB\n")
    first, second = script.commands[0].items
    assert isinstance(first, tree.Simple)
    assert isinstance(second, tree.Simple)
    assert isinstance(first.redirects[0].target.parts[0], tree.DoubleQuoted)
    body = second.redirects[0].target.parts[0]
    assert isinstance(body, tree.Quoted)
    assert body.text == "b $x\n"


# ------------------------------------------------------------------------------------- aish's own words


def test_tensor_edge_joins_two_commands() -> None:
    node = only("cat x |= embed | sort |= tensor knn")
    assert isinstance(node, tree.Pipeline)
    assert node.edges == ["|=", "|", "|="]
    assert len(node.stages) == 4


def test_tensor_edge_needs_a_command_word() -> None:
    """In other shells a file named by a redirection would be the danger; here nothing but a command may follow."""
    assert "must follow" in parse("a |= > file").errors[0].message
    assert parse("a |=").incomplete
    assert parse("a |=\n").incomplete


def test_tensor_edge_is_no_operator_in_posix_mode() -> None:
    node = only("a |= b", posix=True)
    assert isinstance(node, tree.Pipeline)
    assert node.edges == ["|"]
    second = node.stages[1]
    assert isinstance(second, tree.Simple)
    assert [word.literal() for word in second.words] == ["=", "b"]


def test_at_name_is_an_ordinary_command_word() -> None:
    assert [word.literal() for word in words("@summarise -n 3 @other")] == ["@summarise", "-n", "3", "@other"]


# ------------------------------------------------------------------------------------------- words


def test_parts_of_a_word() -> None:
    (word,) = words("a'b'\"c$d\"${e:-f}$(g)`h`$((1))\\i")
    assert [type(part).__name__ for part in word.parts] == [
        "Literal", "Quoted", "DoubleQuoted", "Parameter", "CommandSub", "CommandSub", "Arithmetic", "Quoted",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "name", "op", "colon"),
    [
        ("${x}", "x", "", False),
        ("${#}", "#", "", False),
        ("${#x}", "x", "#len", False),
        ("${##}", "#", "#len", False),
        ("${#-}", "-", "#len", False),
        ("${#-a}", "#", "-", False),
        ("${#:-a}", "#", "-", True),
        ("${x:-a}", "x", "-", True),
        ("${x##a}", "x", "##", False),
        ("${x%}", "x", "%", False),
        ("${10}", "10", "", False),
        ("$10", "1", "", False),
        ("${@}", "@", "", False),
        ("${x^^}", "x", "^^", False),
        ("${x!}", "x", "bad", False),
        ("${}", "", "bad", False),
    ],
)
def test_parameter_forms(text: str, name: str, op: str, colon: bool) -> None:
    part = words(f"echo {text}")[1].parts[0]
    assert isinstance(part, tree.Parameter)
    assert (part.name, part.op, part.colon) == (name, op, colon)


def test_arithmetic_or_a_subshell_in_a_substitution() -> None:
    assert isinstance(words("echo $((1+2))")[1].parts[0], tree.Arithmetic)
    assert isinstance(words("echo $((a); b)")[1].parts[0], tree.CommandSub)
    assert isinstance(words("echo $( (a) )")[1].parts[0], tree.CommandSub)


def test_parenthesis_in_case_does_not_close_a_substitution() -> None:
    part = words("echo $(case x in x) echo y;; esac)")[1].parts[0]
    assert isinstance(part, tree.CommandSub)
    assert isinstance(part.body.items[0], tree.Case)


# -------------------------------------------------------------------------------------------- ranges

_WITH_RANGES = [
    "echo 'a b' \"c $d\" ${e:-f g} $(h | i) | j > k 2>&1 && l &\n",
    "for i in 1 2; do case $i in (a|b) c ;; esac; done < f\n",
    "f() { if a; then b; elif c; then d; else e; fi; }\n",
    "x=1 y=~/z:~/w cmd <<E | [[ -n $x && ! a == b* ]]\ntext $v `w $(x)` \\$y\nE\n",
    'echo `echo \\`a \\$b\\`` "`echo \\"q\\"`" $\'a\\n\' $((1 + $x))\n',
    "cat <<-E\n\t\tone $a\n\ttwo ${b:-`c`}\n\tE\n",
]


@pytest.mark.parametrize("text", _WITH_RANGES)
def test_every_node_has_a_range_inside_its_source(text: str) -> None:
    for node in nodes(parse(text).commands):
        assert 0 <= node.start <= node.end <= len(text), node


@pytest.mark.parametrize("text", _WITH_RANGES)
def test_ranges_of_names_point_at_the_text(text: str) -> None:
    """Also inside backquotes, whose text is unescaped before it is parsed, and in stripped here-documents."""
    found = [node for node in nodes(parse(text).commands) if isinstance(node, tree.Parameter)]
    for node in found:
        assert text[node.start : node.end].lstrip("\\").startswith("$"), (node, text[node.start : node.end])
        assert node.name in text[node.start : node.end]


def test_marks_cover_what_the_highlighter_shows() -> None:
    text = "if x=1 cmd 'a' $b > f; then :; fi # c\n"
    marks = {text[start:end]: kind for start, end, kind in parse(text).marks}
    assert marks["if"] == marks["then"] == marks["fi"] == scanner.KEYWORD
    assert marks["cmd"] == scanner.COMMAND
    assert marks["x"] == scanner.ASSIGNMENT
    assert marks["$b"] in (scanner.ARGUMENT, scanner.VARIABLE)
    assert marks["f"] == scanner.REDIRECT
    assert marks["# c"] == scanner.COMMENT


# -------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("echo a\nfi\n", 2, 1, "unexpected 'fi', a command expected"),
        ("if true; then\n  echo; done\n", 2, 9, "unexpected 'done', 'fi' expected"),
        ("echo $(a; fi)\n", 1, 11, "unexpected 'fi', ')' expected"),
        ("a | | b\n", 1, 5, "unexpected '|', a command expected"),
        ("for 1x in a; do b; done\n", 1, 5, "unexpected '1x', a variable's name expected"),
        ("a=(1; 2)\n", 1, 5, "unexpected ';', an element or ')' expected"),
        ("cat <\n", 1, 6, "unexpected the end of the line, a file's name expected"),
        ("f() echo\n", 1, 5, "a function's body is a compound command"),
        ("[[ a b ]]\n", 1, 6, "unexpected 'b', an operator of [[ expected"),
        ("x $(echo 'a) y\n", 1, 10, "unterminated single quote"),
        ("cat <<E\nok ${x:-$(fi)}\nE\n", 2, 11, "unexpected 'fi', ')' expected"),
    ],
)
def test_errors_have_a_place(text: str, line: int, column: int, message: str) -> None:
    error = parse(text, "script").errors[0]
    assert (error.line, error.column, error.message) == (line, column, message)
    assert str(error).startswith(f"script:{line}:{column}: ")
    assert error.source_line == text.split("\n")[line - 1]


def test_error_names_what_is_open() -> None:
    error = parse("while a; do\n  if b; then\n    c\n").errors[0]
    assert error.incomplete
    assert error.hint == "inside 'if' of line 2"


def test_all_errors_are_listed() -> None:
    script = parse("fi\necho ok\n| a\ndone\n")
    assert [error.line for error in script.errors] == [1, 3, 4]
    assert len(script.commands) == 1


def test_evaluator_gets_the_first_error_behind_what_can_run() -> None:
    parser = Parser(Source("-", "echo a\nfi\n"))
    assert parser.next() is not None
    with pytest.raises(ParseError):
        parser.next()


# ---------------------------------------------------------------------------------------- incomplete


@pytest.mark.parametrize(
    "text",
    [
        "if true; then\n", "if true\n", "while a; do\n", "for i in a\n", "for i\n", "case x in\n", "case x in a) b\n",
        "{ a\n", "( a\n", "f() {\n", "f()\n", "a |\n", "a &&\n", "a ||\n", "a |=\n", "echo 'a\n", 'echo "a\n',
        "echo $(a\n", "echo `a\n", "echo ${a:-\n", "echo $((1 +\n", "cat <<E\n", "cat <<E\nbody\n", "echo a \\\n",
        "[[ a &&\n", "((\n", "echo $'a\n", "x=$(cat <<E\nbody\n", "if a; then b; else\n", 'echo "$(if a\n',
    ],
)  # fmt: skip
def test_prompt_goes_on_where_more_is_needed(text: str) -> None:
    assert parse(text).incomplete


@pytest.mark.parametrize(
    "text",
    ["echo a\n", "", "\n", "# only\n", "fi\n", "echo )\n", "cat <<E\nbody\nE\n", "a &\n", "for x y\n", "f() a\n"],
)
def test_prompt_does_not_wait_where_nothing_can_help(text: str) -> None:
    assert not parse(text).incomplete


# -------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("before", "piece"),
    [("", "( "), ("", "$("), ("", "$(("), ("", "${a:-"), ("", "{ "), ("", "if "), ("", "while "), ("", '"$('),
     ("", "case x in x) "), ("", "f() "), ("[[ ", "( "), ("[[ ", "! "), ("", "echo $((a; ")],
)  # fmt: skip
def test_nesting_is_refused_not_overflowed(before: str, piece: str) -> None:
    error = parse(before + piece * 5000).errors[0]
    assert "nested more than 200 levels deep" in error.message


def test_what_people_write_is_not_too_deep() -> None:
    depth = 60
    text = "if a; then " * depth + "b" + "; fi" * depth
    assert not parse(text).errors
    text = "echo " + "$(echo " * depth + "x" + ")" * depth
    assert not parse(text).errors


def test_errors_of_what_is_no_script_are_bounded() -> None:
    assert len(parse(")\n" * 10_000).errors) == MAX_ERRORS


def test_a_huge_command_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unterminated quote in a large file must not read all of it into one word."""
    monkeypatch.setattr(scanner, "MAX_COMMAND", 1000)
    served = iter(["echo 'x\n"] + ["line\n"] * 1000)
    parser = Parser(Source("-"), lambda: next(served, ""))
    with pytest.raises(ParseError, match="a single command longer"):
        parser.next()


def test_completion_knows_all_reserved_words() -> None:
    """They stand there in bash's order, which people see."""
    assert set(candidates._KEYWORDS) == RESERVED
