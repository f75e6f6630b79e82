"""Operators of ${..} that make something of a value: / ^ , ~ : @Q and the like; and ${!name[@]}, ${!name*}.

Those that trim it, # and %, are in compile_trim.
"""

from __future__ import annotations

from aish.lang import compile_parameter, compile_word
from aish.lang.fields import QUOTED
from aish.lang.pattern_parse import from_octets, octets
from aish.lang.source import ExpansionError, Site, unset_error
from aish.lang.text import is_name
from aish.lang.tree import Arithmetic, Literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.arithmetic import Number
    from aish.lang.compile_parameter import Values
    from aish.lang.compile_word import Text
    from aish.lang.fields import Piece
    from aish.lang.runtime import Runtime
    from aish.lang.source import Source
    from aish.lang.transforms import Template
    from aish.lang.tree import Parameter, Word

    Change = Callable[[str], str]
    Prepare = Callable[[Runtime], Change]
    """Expands the operator's words, once; what it gives is done to each value."""


def text(src: Source, node: Parameter) -> Text:
    """The expansion of a parameter that is no list."""
    op = node.op
    if op == ":":
        return _substring(src, node)
    if op in ("@A", "@a"):
        return _description(src, node)
    return _if_set(src, node, transform(src, node))


def _if_set(src: Source, node: Parameter, prepare: Prepare) -> Text:
    """What is unset stays nothing: it gets no quotes."""
    get = compile_parameter.maybe(src, node)
    name = compile_parameter.shown(src, node)
    site = Site(src, node.start, node.end)

    def run(rt: Runtime) -> str:
        found = get(rt)
        if found is None:
            if rt.nounset:
                raise unset_error(name, site)
            return ""
        return prepare(rt)(found)

    return run


def transform(src: Source, node: Parameter) -> Prepare:
    """What the operator does to each value."""
    op = node.op
    if op[0] == "/":
        return _replacing(src, node)
    if op[0] == "@":
        return _quoting(op)
    return _changing_case(src, node)


def _pattern(src: Source, word: Word) -> Text:
    return compile_word.as_text(compile_word.pattern(src, word))


# ------------------------------------------------------------------------------------------ / ^ , ~


def _replacing(src: Source, node: Parameter) -> Prepare:
    from aish.lang.transforms import replace

    assert node.argument is not None
    pattern = _pattern(src, node.argument)
    template = _template(src, node.second)
    how = node.op

    def prepare(rt: Runtime) -> Change:
        wanted = pattern(rt)
        made = template(rt)
        return lambda value: replace(value, wanted, made, how)

    return prepare


def _template(src: Source, word: Word | None) -> Callable[[Runtime], Template]:
    from aish.lang.transforms import template_of

    if word is None or not word.parts:
        return lambda rt: [""]
    emits = [compile_word.emit(src, part, False) for part in word.parts]

    def run(rt: Runtime) -> Template:
        pieces: list[Piece] = []
        for add in emits:
            add(rt, pieces)
        active = "patsub_replacement" in rt.shopt
        found: Template = []
        for kind, piece in pieces:
            found += template_of(piece) if kind != QUOTED and active else [piece]
        return found

    return run


def _changing_case(src: Source, node: Parameter) -> Prepare:
    from aish.lang.transforms import change_case

    assert node.argument is not None
    pattern = _pattern(src, node.argument)
    op = node.op

    def prepare(rt: Runtime) -> Change:
        wanted = pattern(rt)
        return lambda value: change_case(value, op, wanted)

    return prepare


def _quoting(op: str) -> Prepare:
    from aish.lang import transforms

    match op[1]:
        case "U":
            return lambda rt: transforms.upper
        case "L":
            return lambda rt: transforms.lower
        case "u":
            return lambda rt: lambda value: transforms.upper(value[:1]) + value[1:]
        case "E":
            return lambda rt: transforms.escapes
        case "P":
            from aish.lang.prompts import prompt

            return lambda rt: lambda value: prompt(rt, value)
        case _:  # Q, and K and k of what is no array
            return lambda rt: transforms.quoted


# --------------------------------------------------------------------------------------- :offset:length


def _numbers(src: Source, node: Parameter) -> tuple[Number, Number | None]:
    from aish.lang.compile_arithmetic import arithmetic

    def number(word: Word) -> Number:
        part = word.parts[0]
        assert isinstance(part, Arithmetic)
        return arithmetic(src, part)

    assert node.argument is not None
    return number(node.argument), number(node.second) if node.second is not None else None


def _substring(src: Source, node: Parameter) -> Text:
    value = compile_parameter.required(src, node)
    get = compile_parameter.maybe(src, node)
    offset, length = _numbers(src, node)
    site = Site(src, node.start, node.end)

    def run(rt: Runtime) -> str:
        found = value(rt)
        if rt.locale.bytewise and not found.isascii():
            return from_octets(cut(rt, octets(found)))
        return cut(rt, found)

    def cut(rt: Runtime, found: str) -> str:
        begin, size = offset(rt), len(found)
        if begin < 0:
            begin += size
        if not 0 <= begin <= size:
            return ""
        if length is None:
            return found[begin:]
        count = length(rt)
        end = size + count if count < 0 else begin + count
        if end < begin:
            raise _negative(count, site)
        return found[begin:end]

    def unless_unset(rt: Runtime) -> str:
        return "" if get(rt) is None and not rt.nounset else run(rt)

    return run if _is_constant(node) else unless_unset


def _is_constant(node: Parameter) -> bool:
    """Whether the offset is a number as it stands and nothing else is there, so that looking at it does no harm."""
    part = node.argument.parts[0] if node.argument is not None and node.second is None else None
    if not isinstance(part, Arithmetic):
        return False
    return all(isinstance(piece, Literal) and piece.text.strip(" -").isdecimal() for piece in part.parts)


def _negative(count: int, site: Site) -> ExpansionError:
    hint = "it counts back from the end, to before the beginning"
    return ExpansionError(f"{count}: a length below 0", site.source, site.start, site.end, hint=hint)


def sliced(src: Source, node: Parameter) -> Values:
    """${@:offset:length} and ${name[@]:offset:length}."""
    offset, length = _numbers(src, node)
    name = node.name
    site = Site(src, node.start, node.end)
    positional = name in ("@", "*")

    def run(rt: Runtime) -> list[str]:
        array = None if positional else rt.vars.array(name)
        if not positional and (array is None or not array.items):
            return []
        begin = offset(rt)
        top = len(rt.params) + 1 if array is None else array.top
        if begin < 0:
            begin += top + (array is not None)
        if not 0 <= begin <= top:
            return []
        count = None if length is None else length(rt)
        if count is not None and count < 0:
            raise ExpansionError(f"{count}: a length below 0", site.source, site.start, site.end)
        return _parameters(rt, begin, count) if array is None else array.slice(begin, count)

    return run


def _parameters(rt: Runtime, begin: int, count: int | None) -> list[str]:
    """Number 0 is the shell's name."""
    values = [rt.name, *rt.params] if begin == 0 else rt.params
    begin -= begin > 0
    return values[begin : None if count is None else begin + count]


# ---------------------------------------------------------------------------------------- descriptions


def keys(node: Parameter) -> Values:
    """${!name[@]}"""
    name = node.name

    def run(rt: Runtime) -> list[str]:
        array = rt.vars.array(name)
        return [] if array is None else array.keys()

    return run


def names(node: Parameter) -> Values:
    """${!name@}: variables that begin so and have a value."""
    prefix = node.name

    def run(rt: Runtime) -> list[str]:
        return rt.vars.with_values(prefix)

    return run


def described(node: Parameter) -> Values:
    """@A @K @k @a of a list."""
    from aish.lang import declarations

    name, op = node.name, node.op[1]
    together = op == "A" and compile_parameter.is_list(node) == "*"

    def run(rt: Runtime) -> list[str]:
        from aish.lang.subscripts import follow

        if name in ("@", "*"):
            found = declarations.parameters(rt.params, op)
        else:
            found = declarations.elements(rt, follow(rt, name)[0], op)
        return [" ".join(found)] if together and found else found

    return run


def _description(src: Source, node: Parameter) -> Text:
    """@A and @a of one value."""
    from aish.lang import declarations
    from aish.lang.subscripts import follow

    get = compile_parameter.maybe(src, node)
    name, op = node.name, node.op
    site = Site(src, node.start, node.end)
    shown = compile_parameter.shown(src, node)

    def run(rt: Runtime) -> str:
        value = get(rt)
        if value is None and rt.nounset:
            raise unset_error(shown, site)
        if not is_name(name):
            return ""
        real = follow(rt, name)[0]
        return rt.vars.letters(real) if op == "@a" else declarations.assignment(rt, real, value)

    return run
