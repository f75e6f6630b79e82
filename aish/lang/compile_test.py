"""[[ expression ]] to a closure."""

from __future__ import annotations

from aish.lang import compile_word
from aish.lang import pattern as language
from aish.lang.builtins.test import BINARY, UNARY
from aish.lang.control import CommandError
from aish.lang.fields import as_pattern, pattern_of
from aish.lang.pattern import EXTENDED, compiled
from aish.lang.source import ExpansionError, Site
from aish.lang.text import spread, together
from aish.lang.tree_bash import Test
from aish.lang.tree_conditions import TestBinary, TestGroup, TestJoin, TestNot, TestUnary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.runtime import Run, Runtime
    from aish.lang.source import Source
    from aish.lang.tree import Node

    Truth = Callable[[Runtime], bool | None]
    """None for a regular expression that is none: as False to what is around it, and status 2."""
    Compare = Callable[[Runtime, str, str], bool | None]

_PATTERNS = frozenset(["=", "==", "!="])
_ARITHMETIC = frozenset(["-eq", "-ne", "-lt", "-le", "-gt", "-ge"])


def compile_test(src: Source, node: Test, tested: bool) -> Run:
    """The closure for the command: status 0, 1, or 2 for an operand that makes no sense."""
    site = Site(src, node.start, node.end, node)
    truth = _expression(src, node.expression)

    def run(rt: Runtime) -> int:
        rt.at = site
        if rt.debugs and rt.held_back():
            return 0
        try:
            found = truth(rt)
            status = 0 if found else 1 if found is False else 2
        except CommandError as error:
            rt.complain(f"[[: {error.message}", hint=error.hint)
            status = 2
        rt.status, rt.pipe_status = status, None
        if status and rt.errexit and not tested:
            rt.failed(status)
        return status

    return run


def _expression(src: Source, node: Node, *, negated: bool = False) -> Truth:
    """`negated`: a `!` is right before it, which `set -x` shows."""
    match node:
        case TestJoin():
            left, right = _expression(src, node.left), _expression(src, node.right)
            if node.op == "&&":
                return lambda rt: left(rt) and right(rt)
            return lambda rt: left(rt) or right(rt)
        case TestNot():
            inner = _expression(src, node.inner, negated=not negated)
            return lambda rt: not inner(rt)
        case TestGroup():
            return _expression(src, node.inner)
        case TestUnary():
            word = compile_word.as_text(compile_word.text(src, node.word))
            check = UNARY.get(node.op)
            if check is None:
                return _unknown(node.op)
            return _unary(node.op, check, word, negated)
        case TestBinary():
            return _binary(src, node, negated)
        case _:
            raise AssertionError(node)


def _unknown(op: str) -> Truth:
    def fail(rt: Runtime) -> bool:
        raise CommandError(f"{op}: not supported")

    return fail


def _unary(op: str, check: Callable[[Runtime, str], bool], word: compile_word.Text, negated: bool) -> Truth:
    def run(rt: Runtime) -> bool:
        value = word(rt)
        if rt.xtrace:
            _trace(rt, negated, op, value or "''")
        return check(rt, value)

    return run


def _trace(rt: Runtime, negated: bool, *words: str) -> None:
    from aish.lang.trace import show

    show(rt, f"[[ {'! ' * negated}{' '.join(words)} ]]")


def _binary(src: Source, node: TestBinary, negated: bool) -> Truth:
    """Both operands, expanded from the left, compared."""
    compare, right = _comparison(src, node)
    traced = _traced_pattern(src, node) if node.op in _PATTERNS else lambda rt: (value := right(rt), value or "''")
    left = compile_word.as_text(compile_word.text(src, node.left))
    op = node.op

    def run(rt: Runtime) -> bool | None:
        first = left(rt)
        if rt.xtrace:
            second, shown = traced(rt)
            _trace(rt, negated, first or "''", op, shown)
        else:
            second = right(rt)
        return compare(rt, first, second)

    return run


def _traced_pattern(src: Source, node: TestBinary) -> Callable[[Runtime], tuple[str, str]]:
    """The pattern, and how `set -x` shows it: with a backslash before each character that was quoted."""
    emits: list[compile_word.Emit] = []

    def run(rt: Runtime) -> tuple[str, str]:
        pieces: list[tuple[int, str]] = []
        if not emits:  # most are never traced
            emits.extend([compile_word.emit(src, part, False) for part in node.right.parts])
        for add in emits:
            add(rt, pieces)
        shown = ["".join(["\\" + char for char in text]) if itself else text for text, itself in as_pattern(pieces)]
        return pattern_of(pieces), "".join(shown) or "''"

    return run


def _comparison(src: Source, node: TestBinary) -> tuple[Compare, compile_word.Text]:
    """How two texts are compared, and the second one of them: a pattern, an expression, text."""
    if node.op in _PATTERNS:
        wanted = node.op != "!="
        pattern = compile_word.as_text(compile_word.pattern(src, node.right))
        return (lambda rt, a, b: compiled(b, EXTENDED).matches(a) is wanted), pattern
    if node.op == "=~":
        return _matches, _regex(src, node)
    right = compile_word.as_text(compile_word.text(src, node.right))
    check = BINARY[node.op]
    if node.op in _ARITHMETIC:
        return _arithmetic(src, node), right
    return (lambda rt, a, b: check(a, b)), right


def _regex(src: Source, node: TestBinary) -> compile_word.Text:
    """The expression: what was quoted in it stands for itself."""
    emits = [compile_word.emit(src, part, False) for part in node.right.parts]

    def text(rt: Runtime) -> str:
        from aish.lang.regex import joined

        pieces: list[tuple[int, str]] = []
        for add in emits:
            add(rt, pieces)
        return joined(as_pattern(pieces))

    return text


def _matches(rt: Runtime, text: str, expression: str) -> bool | None:
    """=~: what matched is in BASH_REMATCH."""
    from aish.lang import regex

    wanted = expression
    bytewise = language.dialect & language.BYTES and not (text.isascii() and expression.isascii())
    if bytewise:
        wanted, text = spread(expression), spread(text)
    try:
        found = regex.search(wanted, text, fold=bool(language.dialect & language.FOLDED))
    except regex.RegexError as error:
        rt.complain(f"[[: {expression}: not a regular expression: {error}")
        return None
    if bytewise and found:
        found = [together(piece) for piece in found]
    rt.set_list("BASH_REMATCH", found or [])
    return found is not None


def _arithmetic(src: Source, node: TestBinary) -> Compare:
    """Both sides are arithmetic expressions."""
    from aish.lang.compile_arithmetic import evaluate

    first, second = Site(src, node.left.start, node.left.end), Site(src, node.right.start, node.right.end)
    check = BINARY[node.op]

    def compare(rt: Runtime, a: str, b: str) -> bool:
        try:
            return check(str(evaluate(rt, a, first)), str(evaluate(rt, b, second)))
        except ExpansionError as error:
            if error.fatal or not error.message.startswith("arithmetic"):
                raise
            rt.report(error)
            return False

    return compare
