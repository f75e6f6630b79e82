"""Words to closures. Each context has its own: text (no splitting), a pattern, a list of fields, an int.

    text(src, word)      -> str, or a closure giving str: assignments, redirections, `case` subjects
    pattern(src, word)   -> the same, quoted characters escaped
    fields(src, word)    -> Constant, Single or Many: arguments
    emit(src, part, ..)  -> a closure adding (kind, text) pieces: the general case

What is constant is computed here, once.
"""

from __future__ import annotations

from aish.lang import compile_parameter
from aish.lang.fields import LITERAL, QUOTED, SPLIT, pattern_of
from aish.lang.pattern import escape
from aish.lang.tree import (
    Arithmetic,
    ArrayLiteral,
    CommandSub,
    DoubleQuoted,
    Literal,
    Parameter,
    ProcessSub,
    Quoted,
    Tilde,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.fields import Piece
    from aish.lang.runtime import Runtime
    from aish.lang.source import Source
    from aish.lang.tree import Node, Word

    Text = Callable[[Runtime], str]
    Fields = Callable[[Runtime], list[str]]
    Emit = Callable[[Runtime, list[Piece]], None]

_MAGIC = frozenset("*?[(")
_PLAIN = _MAGIC | {"{"}
"""Text without these is itself."""


# ---------------------------------------------------------------------------------------------- text


def text(src: Source, word: Word) -> str | Text:
    """The word as one string: no field splitting, no pathname expansion."""
    return joined([text_part(src, part, False) for part in word.parts])


def text_part(src: Source, part: Node, quoted: bool) -> str | Text:
    """One part as one string."""
    match part:
        case Literal() | Quoted():
            return part.text
        case DoubleQuoted():
            return joined([text_part(src, inner, True) for inner in part.parts])
        case Parameter():
            return compile_parameter.text(src, part, quoted)
        case CommandSub():
            return substitution(src, part)
        case Arithmetic():
            from aish.lang.compile_arithmetic import arithmetic

            number = arithmetic(src, part)
            return lambda rt: str(number(rt))
        case Tilde():
            return tilde(part.user, part.bash)
        case ProcessSub():
            from aish.lang.compile_process import substitution as process_substitution

            return process_substitution(src, part)
        case _:
            raise AssertionError(part)


def joined(parts: list[str | Text]) -> str | Text:
    """The concatenation of constants and closures."""
    if len(parts) == 1:
        return parts[0]
    merged: list[str | Text] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif part != "":
            merged.append(part)
    if not merged:
        return ""
    if len(merged) == 1:
        return merged[0]
    if len(merged) == 2:
        return _pair(merged[0], merged[1])
    closures = [as_text(part) for part in merged]
    return lambda rt: "".join([part(rt) for part in closures])


def _pair(a: str | Text, b: str | Text) -> Text:
    if isinstance(a, str):
        head, after = a, as_text(b)
        return lambda rt: head + after(rt)
    if isinstance(b, str):
        before, tail = a, b
        return lambda rt: before(rt) + tail
    first, second = a, b
    return lambda rt: first(rt) + second(rt)


def as_text(part: str | Text) -> Text:
    """A closure, also for a constant."""
    if isinstance(part, str):
        constant = part
        return lambda rt: constant
    return part


def substitution(src: Source, part: CommandSub) -> Text:
    """$(..): what its commands wrote, less the newlines at its end."""
    from aish.lang.compile_inside import substitution

    return substitution(src, part)


def tilde(user: str, bash: bool = False) -> Text:
    """~ and ~user; unchanged where the user is unknown, and of `bash` in posix mode."""

    def home(rt: Runtime) -> str:
        if user == "":
            value = rt.vars.get("HOME")
            if value is not None:
                return value
        elif user in ("+", "-"):
            return rt.vars.get("PWD" if user == "+" else "OLDPWD") or "~" + user
        elif user.lstrip("+-").isdecimal() and user.isascii():
            from aish.lang.builtins.stack import remembered

            return remembered(rt, user) or "~" + user
        import os
        import pwd

        try:
            return pwd.getpwnam(user).pw_dir if user else pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            return "~" + user

    return (lambda rt: "~" + user if rt.posix else home(rt)) if bash else home


# ------------------------------------------------------------------------------------------- pattern


def pattern(src: Source, word: Word) -> str | Text:
    """The word as a pattern."""
    parts = word.parts
    if {type(part) for part in parts} <= {Literal, Quoted}:
        return "".join(
            [escape(part.text) if isinstance(part, Quoted) else part.text for part in parts]  # type: ignore[attr-defined]
        )
    emits = [emit(src, part, False) for part in parts]

    def run(rt: Runtime) -> str:
        pieces: list[Piece] = []
        for add in emits:
            add(rt, pieces)
        return pattern_of(pieces)

    return run


# ------------------------------------------------------------------------------------------- pieces


def multiple(part: Node) -> bool:
    """Whether a part may give several fields although it is inside double quotes: it holds an $@."""
    if isinstance(part, Parameter):
        if compile_parameter.may_be_many(part):
            return True
        return part.argument is not None and part.op in "-=?+" and any(map(multiple, part.argument.parts))
    return isinstance(part, DoubleQuoted) and any(map(multiple, part.parts))


def emit(src: Source, part: Node, quoted: bool, inside: bool = False) -> Emit:
    """A closure that adds the pieces of one part. `inside` the word of an unquoted ${x-word}, literal text
    is part of the expansion's result, and split."""
    match part:
        case Literal():
            kind = QUOTED if quoted else SPLIT if inside else LITERAL
            return _emit_constant((kind, part.text))
        case Quoted():
            return _emit_constant((QUOTED, part.text))
        case DoubleQuoted() if any(map(multiple, part.parts)):
            return _emit_string([(multiple(inner), emit(src, inner, True)) for inner in part.parts])
        case Parameter():
            return compile_parameter.emit(src, part, quoted)
        case _:
            pass
    always = quoted or isinstance(part, (DoubleQuoted, Tilde, ProcessSub))
    return emit_text(text_part(src, part, quoted), QUOTED if always else SPLIT)


def emit_text(value: str | Text, kind: int) -> Emit:
    """A closure that adds one string."""
    if isinstance(value, str):
        return _emit_constant((kind, value))
    closure = value

    def add(rt: Runtime, pieces: list[Piece]) -> None:
        pieces.append((kind, closure(rt)))

    return add


def _emit_constant(piece: Piece) -> Emit:
    return lambda rt, pieces: pieces.append(piece)


def _emit_each(emits: list[Emit]) -> Emit:
    def add(rt: Runtime, pieces: list[Piece]) -> None:
        for one in emits:
            one(rt, pieces)

    return add


def _emit_string(emits: list[tuple[bool, Emit]]) -> Emit:
    """A ".." with an $@ in it: no field at all where that gives none and the rest is empty, as in bash."""
    if len(emits) == 1:
        return emits[0][1]

    def add(rt: Runtime, pieces: list[Piece]) -> None:
        begin, given = len(pieces), False
        for many, one in emits:
            before = len(pieces)
            one(rt, pieces)
            given = given or (many and len(pieces) > before)
        if not given and not any(text for _, text in pieces[begin:]):
            del pieces[begin:]

    return add


def emit_word(src: Source, word: Word, quoted: bool) -> Emit:
    """The pieces of the word of ${x-word}."""
    emits = [emit(src, part, quoted, True) for part in word.parts]
    if quoted and not emits:
        return _emit_constant((QUOTED, ""))
    return emits[0] if len(emits) == 1 else _emit_each(emits)


# ------------------------------------------------------------------------------------------- fields


class Constant:
    """Always the same one field."""

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value


class Single:
    """Always exactly one field."""

    __slots__ = ("run",)

    def __init__(self, run: Text) -> None:
        self.run = run


class Many:
    """Any number of fields."""

    __slots__ = ("run",)

    def __init__(self, run: Fields) -> None:
        self.run = run


def fields(src: Source, word: Word) -> Constant | Single | Many:
    """The word as arguments."""
    if len(word.parts) == 1 and type(word.parts[0]) is Literal and _PLAIN.isdisjoint(word.parts[0].text):
        return Constant(word.parts[0].text)
    for part in word.parts:
        if (type(part) is Literal and "{" in part.text) or (type(part) is Tilde and "{" in part.user):
            from aish.lang.compile_braces import braced

            return braced(src, word) or unbraced(src, word)
    return unbraced(src, word)


def unbraced(src: Source, word: Word) -> Constant | Single | Many:
    """The same; braces are text."""
    parts = word.parts
    if all(map(_is_single, parts)) and not _holds_pattern(parts):
        value = text(src, word)
        return Constant(value) if isinstance(value, str) else Single(value)
    if len(parts) == 1:
        part = parts[0]
        if isinstance(part, (Parameter, CommandSub, Arithmetic)):
            if not isinstance(part, Parameter) or is_simple(part):
                return Many(_split_one(as_text(text_part(src, part, False))))
        elif isinstance(part, DoubleQuoted) and len(part.parts) == 1:
            inner = part.parts[0]
            if (
                isinstance(inner, Parameter)
                and not (inner.op or inner.indirect)
                and compile_parameter.is_list(inner) == "@"
            ):
                return Many(compile_parameter.values(inner))
    return Many(_general([emit(src, part, False) for part in parts]))


def opens_files(words: list[Word]) -> bool:
    """Whether <(..) or >(..) is among the words: a descriptor that the command's end closes."""
    return _hold(words, ProcessSub)


def substitutes(words: list[Word]) -> bool:
    """Whether a command substitution is among the words."""
    return _hold(words, CommandSub)


def _hold(words: list[Word], kind: type[Node]) -> bool:
    for word in words:
        for part in word.parts:
            if type(part) is not Literal and _holds(part, kind):
                return True
    return False


def _holds(part: Node, kind: type[Node]) -> bool:
    """Whether a part is of a kind, or has one that is."""
    match part:
        case Literal() | Quoted():
            return False
        case Parameter():
            return _hold([word for word in (part.argument, part.second, part.index) if word is not None], kind)
        case DoubleQuoted() | Arithmetic():
            return any(_holds(inner, kind) for inner in part.parts)
        case ArrayLiteral() if kind is CommandSub:  # a descriptor of <( ) among them outlives the command
            return _hold([item.value for item in part.items], kind)
        case _:
            return type(part) is kind


def is_simple(part: Parameter) -> bool:
    """Whether an expansion gives one string, and no word of its own is part of it."""
    if part.indirect or compile_parameter.is_list(part):
        return False
    return part.op == "" or part.op[0] in "#%/^,~:@"


def is_plain(part: Node) -> bool:
    """$name or ${name} and the like: expanding it has no effect, so that it may be done twice."""
    return isinstance(part, Parameter) and part.op == "" and part.index is None and not part.indirect


def _is_single(part: Node) -> bool:
    """Whether a part adds text to one field, whatever its value."""
    match part:
        case Literal() | Quoted() | Tilde() | ProcessSub():
            return True
        case DoubleQuoted():
            return not any(map(multiple, part.parts))
        case _:
            return False


def _holds_pattern(parts: list[Node]) -> bool:
    """Whether unquoted literal text of a word is a pattern; a `[` without a `]` behind it (the command) is not."""
    for i, part in enumerate(parts):
        if isinstance(part, Literal) and not _MAGIC.isdisjoint(part.text):
            text = part.text
            if "*" in text or "?" in text or "(" in text or i < len(parts) - 1 or "]" in text[text.index("[") :]:
                return True
    return False


def _split_one(value: Text) -> Fields:
    """$x or $(..) alone: most values hold nothing to split at and no pattern."""

    def run(rt: Runtime) -> list[str]:
        result = value(rt)
        if rt.stops.isdisjoint(result):
            return [result] if result else []
        from aish.lang.splitting import build_one  # here: `echo $?` works with no descriptor left

        return build_one(rt, result)

    return run


def _general(emits: list[Emit]) -> Fields:
    from aish.lang.splitting import build

    def run(rt: Runtime) -> list[str]:
        pieces: list[Piece] = []
        for add in emits:
            add(rt, pieces)
        return build(rt, pieces)

    return run


def argument_list(compiled: list[Constant | Single | Many]) -> Fields:
    """One closure for all words of a command. The list it gives belongs to the caller."""
    kinds = [type(item) for item in compiled]
    if Many not in kinds:
        if Single not in kinds:
            constants = [item.value for item in compiled if isinstance(item, Constant)]
            return lambda rt: constants.copy()
        closures = [as_text(item.value) if isinstance(item, Constant) else item.run for item in compiled]
        return lambda rt: [one(rt) for one in closures]  # type: ignore[misc]
    if Single not in kinds and kinds.count(Many) == 1:
        return _around(compiled, kinds.index(Many))
    steps = [_step(item) for item in compiled]

    def run(rt: Runtime) -> list[str]:
        argv: list[str] = []
        for step in steps:
            step(rt, argv)
        return argv

    return run


def _around(compiled: list[Constant | Single | Many], at: int) -> Fields:
    """One word that may be many, and constants before and behind it."""
    before = [item.value for item in compiled[:at] if isinstance(item, Constant)]
    behind = [item.value for item in compiled[at + 1 :] if isinstance(item, Constant)]
    item = compiled[at]
    assert isinstance(item, Many)
    many = item.run
    return lambda rt: [*before, *many(rt), *behind]


def _step(item: Constant | Single | Many) -> Callable[[Runtime, list[str]], None]:
    if isinstance(item, Constant):
        value = item.value
        return lambda rt, argv: argv.append(value)
    if isinstance(item, Single):
        one = item.run
        return lambda rt, argv: argv.append(one(rt))
    many = item.run
    return lambda rt, argv: argv.extend(many(rt))
