"""[[ expression ]] to a closure."""

from __future__ import annotations

from aish.lang import compile_word
from aish.lang.builtins.test import BINARY, UNARY
from aish.lang.control import CommandError
from aish.lang.pattern import EXTENDED, compiled
from aish.lang.signals import DEBUG
from aish.lang.source import Site
from aish.lang.tree import Test, TestBinary, TestJoin, TestNot, TestUnary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.runtime import Run, Runtime
    from aish.lang.source import Source
    from aish.lang.tree import Node

    Truth = Callable[[Runtime], bool]

_ARITHMETIC = frozenset(["-eq", "-ne", "-lt", "-le", "-gt", "-ge"])


def compile_test(src: Source, node: Test, tested: bool) -> Run:
    """The closure for the command: status 0, 1, or 2 for an operand that makes no sense."""
    site = Site(src, node.start, node.end)
    truth = _expression(src, node.expression)

    def run(rt: Runtime) -> int:
        rt.at = site
        if rt.debugs:
            rt.run_moment(DEBUG)
        try:
            status = 0 if truth(rt) else 1
        except CommandError as error:
            rt.complain(f"[[: {error.message}", hint=error.hint)
            status = 2
        rt.status, rt.pipe_status = status, None
        if status and rt.errexit and not tested:
            rt.failed(status)
        return status

    return run


def _expression(src: Source, node: Node) -> Truth:
    match node:
        case TestJoin():
            left, right = _expression(src, node.left), _expression(src, node.right)
            if node.op == "&&":
                return lambda rt: left(rt) and right(rt)
            return lambda rt: left(rt) or right(rt)
        case TestNot():
            inner = _expression(src, node.inner)
            return lambda rt: not inner(rt)
        case TestUnary():
            word = compile_word.as_text(compile_word.text(src, node.word))
            check = UNARY.get(node.op)
            if check is None:
                return _unknown(node.op)
            known = check
            return lambda rt: known(rt, word(rt))
        case TestBinary():
            return _binary(src, node)
        case _:
            raise AssertionError(node)


def _unknown(op: str) -> Truth:
    def fail(rt: Runtime) -> bool:
        raise CommandError(f"{op}: not supported")

    return fail


def _binary(src: Source, node: TestBinary) -> Truth:
    left = compile_word.as_text(compile_word.text(src, node.left))
    if node.op in ("=", "==", "!="):
        pattern = compile_word.as_text(compile_word.pattern(src, node.right))
        wanted = node.op != "!="
        return lambda rt: compiled(pattern(rt), EXTENDED).matches(left(rt)) is wanted
    right = compile_word.as_text(compile_word.text(src, node.right))
    if node.op == "=~":
        return _unknown("=~")
    if node.op in _ARITHMETIC:
        return _arithmetic(src, node, left, right)
    check = BINARY[node.op]
    return lambda rt: check(left(rt), right(rt))


def _arithmetic(src: Source, node: TestBinary, left: compile_word.Text, right: compile_word.Text) -> Truth:
    """Both sides are arithmetic expressions."""
    from aish.lang.compile_arithmetic import evaluate

    a, b = Site(src, node.left.start, node.left.end), Site(src, node.right.start, node.right.end)
    check = BINARY[node.op]
    return lambda rt: check(str(evaluate(rt, left(rt), a)), str(evaluate(rt, right(rt), b)))
