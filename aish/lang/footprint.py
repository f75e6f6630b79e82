"""What commands leave behind in the shell that runs them, as far as their text tells. Pure.

A command substitution is run by a copy of the shell, so that it changes nothing. Where everything that it could
change is known beforehand, and can be put back afterwards, no copy is needed: see compile_inside. Whatever is not
known here to be harmless is not.
"""

from __future__ import annotations

from aish.lang.tree import (
    AndOr,
    Arithmetic,
    Assign,
    Case,
    CommandSub,
    DoubleQuoted,
    For,
    Group,
    If,
    Literal,
    Parameter,
    Pipeline,
    Quoted,
    Sequence,
    Simple,
    Tilde,
    While,
    Word,
)
from aish.lang.tree_bash import Calculation, Counting, Test
from aish.lang.tree_conditions import TestBinary, TestGroup, TestJoin, TestNot, TestUnary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from aish.lang.tree import Node

HARMLESS = frozenset(
    [":", "true", "false", "echo", "printf", "pwd", "test", "[", "type", "command", "return", "exit", "shift", "set",
     "break", "continue", "cd", "umask", "ulimit"]
)  # fmt: skip
"""Built-ins that write to stdout by Runtime.write alone, and change nothing but variables, parameters and the folder.
Some of them only with the right words: `_arguments`."""

_OWN = frozenset(["BASHPID", "BASH_SUBSHELL", "RANDOM", "SRANDOM"])
"""Variables by which a copy could be told from the shell itself."""
_WRITERS = frozenset(["echo", "printf", "pwd", "true", "false", ":"])
_OPERATORS = frozenset(
    ["", "#len", "-", "=", "?", "+", "#", "##", "%", "%%", "/", "//", "/#", "/%", "^", "^^", ",", ",,", "~", "~~",
     ":", "@Q", "@E", "@U", "@u", "@L", "@A", "@a"]
)  # fmt: skip
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789")


class Footprint:
    """The variables that commands may set, and the names of the commands that they run."""

    __slots__ = ("commands", "names")

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.commands: set[str] = set()


class _Unknown(Exception):  # noqa: N818  it is no error: somebody else runs it
    """Something that may leave more behind."""


def footprint(node: Node, *, of_function: bool = False) -> Footprint | None:
    """None where that cannot be told. What a function declares to be its own is not left behind."""
    found = Footprint()
    try:
        _command(node, found)
    except _Unknown:
        return None
    if of_function:
        found.commands.discard("local")
    return found


def only_writes(node: Node) -> bool:
    """Whether a command writes what its words say, at once, and does nothing else: it may even be done twice."""
    if not isinstance(node, Simple) or node.assigns or node.redirects or not node.words:
        return False
    if node.words[0].literal() not in _WRITERS or any(_substitutes(word.parts) for word in node.words):
        return False
    own = footprint(node)
    return own is not None and not own.names


def _substitutes(parts: Iterable[Node]) -> bool:
    for part in parts:
        match part:
            case Literal() | Quoted() | Tilde():
                continue
            case DoubleQuoted():
                if _substitutes(part.parts):
                    return True
            case Parameter() if part.index is None and part.op == "":
                continue
            case _:
                return True
    return False


def is_pure(words: Iterable[Word]) -> bool:
    """Whether expanding them changes nothing."""
    found = Footprint()
    try:
        for word in words:
            _word(word, found)
    except _Unknown:
        return False
    return not found.names


def _command(node: Node, found: Footprint) -> None:
    match node:
        case Sequence():
            for item in node.items:
                _command(item, found)
        case Simple():
            _simple(node, found)
        case AndOr():
            _command(node.first, found)
            for _, item in node.rest:
                _command(item, found)
        case Pipeline() if len(node.stages) == 1:
            _command(node.stages[0], found)
        case Group() | If() | For() | While() | Case() | Test() | Calculation() | Counting() if not node.redirects:
            _compound(node, found)
        case _:
            raise _Unknown


def _compound(node: Node, found: Footprint) -> None:
    match node:
        case Group():
            _command(node.body, found)
        case If():
            for test, body in node.arms:
                _command(test, found)
                _command(body, found)
            if node.orelse is not None:
                _command(node.orelse, found)
        case For() if type(node) is For:  # not `select`, which reads
            found.names.add(node.name)
            for word in node.words or ():
                _word(word, found)
            _command(node.body, found)
        case While():
            _command(node.condition, found)
            _command(node.body, found)
        case Case():
            _word(node.subject, found)
            for arm in node.arms:
                for word in arm.patterns:
                    _word(word, found)
                _command(arm.body, found)
        case Test():
            _test(node.expression, found)
        case Calculation():
            _arithmetic(node.expression, found)
        case Counting():
            for part in (node.first, node.test, node.step):
                if part is not None:
                    _arithmetic(part, found)
            _command(node.body, found)
        case _:
            raise _Unknown


def _test(node: Node, found: Footprint) -> None:
    match node:
        case TestJoin():
            _test(node.left, found)
            _test(node.right, found)
        case TestNot() | TestGroup():
            _test(node.inner, found)
        case TestUnary() if node.op != "-t":
            _word(node.word, found)
        case TestBinary() if node.op != "=~":
            _word(node.left, found)
            _word(node.right, found)
        case _:
            raise _Unknown


def _simple(node: Simple, found: Footprint) -> None:
    if node.redirects:
        raise _Unknown
    for item in node.assigns:
        if type(item) is not Assign or item.index is not None:
            raise _Unknown
        found.names.add(item.name)
        _word(item.value, found)
    for word in node.words:
        _word(word, found)
    if node.words:
        name = node.words[0].literal()
        if name is None:
            raise _Unknown
        found.commands.add(name)
        _arguments(name, node.words[1:], found)


def _arguments(name: str, words: list[Word], found: Footprint) -> None:
    """A built-in's words that make it something else."""
    first = words[0].literal() if words else None
    match name:
        case "printf":
            if not words or not _is_no_option(words[0]):
                raise _Unknown  # -v, perhaps
        case "test" | "[":
            if any(word.literal() == "-t" for word in words):
                raise _Unknown  # whether stdout is a terminal
        case "command":
            if first not in ("-v", "-V"):
                raise _Unknown
        case "set":
            if first != "--":
                raise _Unknown
        case "local":
            if any(not _is_no_option(word) for word in words):
                raise _Unknown
        case "umask" | "ulimit":
            if any(not (word.literal() or "").startswith("-") for word in words):
                raise _Unknown  # it may set what it else only tells
        case "cd":
            found.names.update(("PWD", "OLDPWD"))
        case _:
            pass


def _is_no_option(word: Word) -> bool:
    part = word.parts[0] if word.parts else None
    if isinstance(part, Assign):
        return True
    if isinstance(part, DoubleQuoted):
        part = part.parts[0] if part.parts else None
    return isinstance(part, (Literal, Quoted)) and part.text[:1] != "-"


def _word(word: Word, found: Footprint) -> None:
    _parts(word.parts, found)


def _parts(parts: Iterable[Node], found: Footprint) -> None:
    for part in parts:
        match part:
            case Literal() | Quoted() | Tilde() | CommandSub():  # what a substitution does, it keeps to itself
                pass
            case DoubleQuoted():
                _parts(part.parts, found)
            case Assign() if part.index is None:  # behind `local`
                _word(part.value, found)
            case Parameter():
                _parameter(part, found)
            case Arithmetic():
                _arithmetic(part, found)
            case _:
                raise _Unknown


def _parameter(part: Parameter, found: Footprint) -> None:
    if part.name in _OWN or part.op not in _OPERATORS or part.indirect:
        raise _Unknown
    if part.op == "=":
        if part.index is not None:
            raise _Unknown
        found.names.add(part.name)
    if part.index is not None:
        _parts(part.index.parts, found)
        _assigned(part.index.parts, found)
    for word in (part.argument, part.second):
        if word is not None:
            _word(word, found)


def _arithmetic(part: Arithmetic, found: Footprint) -> None:
    _parts(part.parts, found)
    _assigned(part.parts, found)


def _assigned(parts: list[Node], found: Footprint) -> None:
    """Where something is assigned in an expression, every name in it may be what is."""
    text = "".join([inner.text if isinstance(inner, Literal) else "$" for inner in parts])
    words = "".join([char if char in _NAME else " " for char in text]).split()
    if not _OWN.isdisjoint(words):
        raise _Unknown
    bare = text.replace("==", "").replace("!=", "").replace("<=", "").replace(">=", "")
    if "=" not in bare and "++" not in bare and "--" not in bare:
        return
    if "$" in text or "[" in text:
        raise _Unknown
    found.names.update(word for word in words if not word[0].isdigit())
