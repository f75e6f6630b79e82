"""A tree that is printed (`declare -f`, $BASH_COMMAND) reads back as the same tree, and as bash prints it.

What may differ is what bash's layout writes in another way: [[ a ]] is [[ -n a ]], `elif` an `if` in the else part,
`for i` has its "$@", an empty expression of for (( )) is 1, <<- has lost its tabs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from aish.lang import reprint, tree, tree_bash, tree_broken
from aish.lang.builtins.functions import laid_out
from aish.lang.host import NoHost
from aish.lang.runtime import Runtime
from aish.lang.script import parse
from aish.lang.source import Source
from tests.lang import generator
from tests.lang.test_parser_properties import _command

if TYPE_CHECKING:
    from aish.lang.tree import Node
    from tests.lang.conftest import Aish

_FOLDER = Path(__file__).parent
_TEXTS = [
    part.split("\n", 1)[1]
    for name in ("snippets.txt", "agent_snippets.txt")
    for part in (_FOLDER / name).read_text(encoding="utf-8").split("=== ")[1:]
]
_PLACES = ("start", "end")


def _commands(text: str) -> list[tuple[Source, Node]]:
    script = parse(text)
    return [] if script.errors else [(script.source, item) for item in script.commands]


def _shape(node: object) -> object:  # noqa: C901  a case a kind of node
    """A tree without places, and in the way in which bash's layout writes it."""
    match node:
        case list() | tuple():
            return [_shape(item) for item in node]
        case tree.Word():
            return _joined(node.parts)
        case tree.DoubleQuoted():
            return ["DoubleQuoted", _joined([_in_quotes(part) for part in node.parts])]
        case tree.If() if len(node.arms) > 1:
            inner = tree.If(node.start, node.arms[1:], node.orelse)
            rest = tree.Sequence(0, 0, [inner])
            return ["If", _shape(node.arms[:1]), _shape(rest), _shape(node.redirects)]
        case tree.If():
            return ["If", _shape(node.arms), _shape(node.orelse), _shape(node.redirects)]
        case tree.For() if node.words is None:
            return [
                type(node).__name__,
                node.name,
                [[["DoubleQuoted", [_at()]]]],
                _shape(node.body),
                _shape(node.redirects),
            ]
        case tree.For():
            return [type(node).__name__, node.name, _shape(node.words), _shape(node.body), _shape(node.redirects)]
        case tree_bash.Counting():
            parts = [["1"] if part is None else _shape(part) for part in (node.first, node.test, node.step)]
            return ["Counting", parts, _shape(node.body), _shape(node.redirects)]
        case tree.Arithmetic():
            parts = _joined(node.parts)
            parts[:1] = [part.lstrip() if isinstance(part, str) else part for part in parts[:1]]
            return parts
        case tree.Redirect() if node.document is not None:
            return ["<<", node.fd or 0, node.variable, node.document[0], _body(node.target)]
        case tree.Redirect():
            closes = node.op in ("<&", ">&") and node.target.literal() == "-"
            fd = node.fd if node.fd is not None or node.variable else int(node.op[0] == ">")
            return [">&" if closes else node.op, fd, node.variable, _shape(node.target)]
        case tree_bash.Coprocess() if isinstance(node.command, tree.Simple) and node.name == "COPROC":
            words = _shape(node.command.words)  # bash writes the name, and would read a command there
            return ["Coprocess", words[1:] if words[:1] == [["COPROC"]] else words]  # type: ignore[index]
        case tree.Function():
            body = node.body
            group = body if isinstance(body, tree.Group) else None
            items = group.body if group else tree.Sequence(0, 0, [body])
            return ["Function", node.name, _shape(items), _shape(group.redirects if group else [])]
        case tree.Pipeline() if len(node.stages) == 1 and not node.negated:
            return _shape(node.stages[0])
        case tree.Pipeline() if len(node.stages) == 1 and isinstance(node.stages[0], tree_bash.Time):
            timed = node.stages[0]
            return ["Time", _shape(reprint._negated(timed)), timed.posix]
        case tree.Sequence() if len(node.items) == 1:
            return _shape(node.items[0])
        case tree.CaseArm():
            return ["CaseArm", _shape(node.patterns), _shape(node.body), node.terminator or ";;"]
        case tree.Node():
            names = [name for cls in type(node).__mro__ for name in getattr(cls, "__slots__", ())]
            return [type(node).__name__, *[_shape(getattr(node, name)) for name in names if name not in _PLACES]]
        case _:
            return node


def _in_quotes(part: Node) -> Node:
    """In "${x:-..}" text is quoted anyway."""
    if not isinstance(part, tree.Parameter) or part.argument is None or part.op not in ("-", "=", "?", "+"):
        return part
    parts = [tree.Literal(0, 0, one.text) if isinstance(one, tree.Quoted) else one for one in part.argument.parts]
    found = tree.Parameter(0, 0, part.name, part.op, tree.Word(0, 0, parts))
    found.colon, found.index, found.indirect = part.colon, part.index, part.indirect
    return found


def _add_quoted(found: list[object], text: str) -> None:
    """Quoted texts beside each other are one: 'it'\\''s'."""
    last = found[-1] if found else None
    if isinstance(last, list) and last[0] == "Quoted":
        found[-1] = ["Quoted", last[1] + text]
    else:
        found.append(["Quoted", text])


def _body(target: tree.Word) -> object:
    """A here-document's text; one without expansions may have been read as quoted."""
    found = _joined(target.parts[0].parts if isinstance(target.parts[0], tree.DoubleQuoted) else target.parts)
    texts = [item if isinstance(item, str) else item[1] if item[0] == "Quoted" else None for item in found]
    return found if None in texts else "".join(texts)


def _at() -> object:
    return _shape(tree.Parameter(0, 0, "@"))


def _joined(parts: list[Node]) -> list[object]:
    """Literals that stand beside each other are one."""
    found: list[object] = []
    for part in parts:
        if isinstance(part, tree.Literal):
            if found and isinstance(found[-1], str):
                found[-1] += part.text
            elif part.text:
                found.append(part.text)
        elif isinstance(part, tree.Quoted):
            _add_quoted(found, part.text)
        else:
            found.append(_shape(part))
    return found


def _check(text: str) -> None:
    for source, node in _commands(text):
        printed = reprint.whole(source, node)
        again = _commands(printed + "\n")
        assert again or not getattr(node, "items", True), printed
        items = [inner for _, item in again for inner in item.items]
        assert _shape(tree.Sequence(0, 0, items)) == _shape(node), printed
        if len(again) == 1 and "coproc COPROC" not in printed:
            assert reprint.whole(*again[0]) == printed  # printing is the end of all changes


@given(_command)
@settings(max_examples=100, deadline=None)
def test_any_command_reads_back(text: str) -> None:
    _check(text + "\n")


@pytest.mark.parametrize("kind", [generator.Words, generator.Flow, generator.Bash])
def test_whole_scripts_read_back(kind: type[generator.Words | generator.Flow]) -> None:
    for seed in range(40):
        _check(kind(seed).program())


def test_every_snippet_reads_back() -> None:
    for text in _TEXTS:
        _check(text)


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        # a here-document of a command in the background: bash writes a `;` on the line behind it
        ("for i in 1; do cat <<E &\nx\nE\ndone", "for i in 1;\n    do\n        cat <<E &\nx\nE\n \n    done"),
        ("if cat <<E & then\nx\nE\n:; fi", "if cat <<E &\nx\nE\n  then\n        :;\n    fi"),
        ("echo $({ cat <<E & }\nx\nE\n)", "echo $({ cat <<E &\nx\nE\n  })"),
        # ... of the last command of what is joined: bash writes the joint behind the body
        ("a && b <<E &\nx\nE", "a && b <<E &\nx\nE\n "),
        ("a | b <<E && c\nx\nE", "a | b <<E && \nx\nE\n c"),
        ("time a | b <<E || c\nx\nE", "time a | b <<E || \nx\nE\n c"),
        ("a && { b | c <<E; d; } &\nx\nE", "a && { \n        b | c <<E\nx\nE\n\n        d\n    } &"),
        # an & that ends a word
        ("if echo a\\&; then :; fi", "if echo a\\&; then\n        :;\n    fi"),
        ("if echo a& then :; fi", "if echo a & then\n        :;\n    fi"),
        ("for i in 1; do echo a\\&; done", "for i in 1;\n    do\n        echo a\\&\n    done"),
        # time and ! alone, in front of a parenthesis
        ("( echo a; time; )", "( echo a;\n    time ; )"),
        ("( echo a && ! time -p; )", "( echo a && time -p ! ; )"),
        ("echo $(a; time -p\n) <(! ;)", "echo $(a; time -p ;) <(! ;)"),
        ("( a | time; )", "( a | time )"),
        # a pattern that is a reserved word there
        ("case $1 in (esac|a) ;; (a|esac) ;; esac", None),
        # letters that end no line, but in str.splitlines
        (
            "cat <<-E\n\ta\f\tb\r\tc\v\td\x1c\te\x85\tf\u2028\tg\n\tE",
            "cat <<-E\na\f\tb\r\tc\v\td\x1c\te\x85\tf\u2028\tg\nE\n",
        ),
    ],
)
def test_what_bash_prints_wrongly_reads_back(written: str, printed: str | None) -> None:
    text = f"f() {{ {written}\n}}\n"
    _check(text)
    [(source, node)] = _commands(text)
    function = node.items[0]  # type: ignore[attr-defined]
    found = reprint.definition(source, function)
    if printed is not None:
        assert found == f"f () \n{{ \n    {printed}\n}}"
    [(_, again)] = _commands(found + "\n")
    assert _shape(again) == _shape(node)


def test_a_function_of_the_environment_is_read_once() -> None:
    """What the first call parsed was thrown away, and `declare -f` and `declare -F` had to do without."""
    rt = Runtime(NoHost(), {"BASH_FUNC_f%%": "() { :\n}"})
    assert laid_out(rt.functions["f"]) == "f () \n{ \n    :\n}"  # before any call
    assert rt.functions["f"].body(rt) == 0
    function = rt.functions["f"]
    assert function.tree is not None
    source, node = function.tree
    assert (node.name, source.line(node.start)) == ("f", 0)  # as bash counts
    assert laid_out(function) == "f () \n{ \n    :\n}"


def test_every_kind_of_node_is_printed() -> None:
    """A kind of command that the printer did not know would be a fault at `declare -f`."""
    seen: set[type] = set()

    def note(node: object) -> None:
        if isinstance(node, (list, tuple)):
            for item in node:
                note(item)
        elif isinstance(node, tree.Node):
            seen.add(type(node))
            for cls in type(node).__mro__:
                for name in getattr(cls, "__slots__", ()):
                    note(getattr(node, name))

    for text in _TEXTS:
        for _, node in _commands(text):
            note(node)
    classes = (vars(tree) | vars(tree_bash) | vars(tree_broken)).values()
    kinds = {kind for kind in classes if isinstance(kind, type) and issubclass(kind, tree.Node)}
    # Target is only in words that are being read: it becomes an Assign or an ArrayElement.
    # Broken is only between backquotes, and what is there is printed as it is written.
    assert kinds - seen == {tree.Node, tree.Compound, tree.Target, tree_broken.Broken}


def test_backquotes_that_are_no_program_are_printed_as_they_are_written(aish: Aish) -> None:
    assert "echo `fi` a" in aish("f() { echo `fi` a; }; declare -f f").out
