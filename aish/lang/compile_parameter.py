"""Parameter expansion to closures: $x, $1, $@, and ${x op word} with the operators of POSIX."""

from __future__ import annotations

from aish.lang import compile_word
from aish.lang.control import CommandError
from aish.lang.fields import BREAK, QUOTED, SPLIT
from aish.lang.options import letters
from aish.lang.pattern import compiled
from aish.lang.source import ExpansionError, Site, unset_error
from aish.lang.text import is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.compile_word import Emit, Text
    from aish.lang.fields import Piece
    from aish.lang.runtime import Runtime
    from aish.lang.source import Source
    from aish.lang.tree import Parameter

    Maybe = Callable[[Runtime], str | None]
    Values = Callable[[Runtime], list[str]]


def is_list(node: Parameter) -> str:
    """'@' or '*' for a parameter that is a list of values ($@, $*, ${name[@]}), else ''."""
    if node.name in ("@", "*"):
        return node.name
    if node.index is not None:
        return node.index.literal() if node.index.literal() in ("@", "*") else ""  # type: ignore[return-value]
    return ""


# -------------------------------------------------------------------------------------------- values


def _maybe(src: Source, node: Parameter) -> Maybe:
    """The value, or None where the parameter is unset."""
    name = node.name
    if node.index is not None:
        return _element(src, node)
    if name.isdecimal() and name != "0":
        at = int(name) - 1
        return lambda rt: rt.params[at] if at < len(rt.params) else None
    if is_name(name) and name != "_":
        return lambda rt: rt.values.get(name) or rt.vars.get(name)
    special: dict[str, Maybe] = {
        "?": lambda rt: str(rt.status),
        "#": lambda rt: str(len(rt.params)),
        "$": lambda rt: str(rt.pid),
        "!": lambda rt: str(rt.jobs.last_pid) if rt.jobs.last_pid is not None else None,
        "-": letters,
        "0": lambda rt: rt.name,
        "_": lambda rt: rt.last_argument,
    }
    return special[name]


def _element(src: Source, node: Parameter) -> Maybe:
    """${name[index]}, the index being arithmetic."""
    from aish.lang.compile_arithmetic import evaluate

    assert node.index is not None
    index = compile_word.as_text(compile_word.text(src, node.index))
    name = node.name
    site = Site(src, node.start, node.end)

    def get(rt: Runtime) -> str | None:
        at = evaluate(rt, index(rt), site)
        values = rt.list_values(name)
        if at < 0:
            at += len(values)
        return values[at] if 0 <= at < len(values) else None

    return get


def _required(src: Source, node: Parameter) -> Text:
    """The value; '' where unset, or an error under `set -u`."""
    get = _maybe(src, node)
    name = node.name
    site = Site(src, node.start, node.end)
    if is_name(name) and node.index is None and name != "_":

        def variable(rt: Runtime) -> str:
            value = rt.values.get(name)
            return rt.absent(name, site) if value is None else value

        return variable

    def value_of(rt: Runtime) -> str:
        value = get(rt)
        if value is None:
            if rt.nounset:
                raise unset_error(name, site)
            return ""
        return value

    return value_of


def _values(src: Source, node: Parameter) -> Values:
    """The values of a list."""
    name = node.name
    if name in ("@", "*"):
        return lambda rt: rt.params
    return lambda rt: rt.list_values(name)


# ---------------------------------------------------------------------------------------------- text


def text(src: Source, node: Parameter, quoted: bool) -> Text:
    """The expansion as one string."""
    kind = is_list(node)
    if kind:
        return _list_text(src, node, kind, quoted)
    op = node.op
    if op == "":
        return _required(src, node)
    if op == "#len":
        value = _required(src, node)
        return lambda rt: str(len(value(rt)))
    if op == "bad":
        return _bad(src, node)
    if op[0] in "#%":
        return _trimmed(src, node)
    return _conditional(src, node, quoted)


def _bad(src: Source, node: Parameter) -> Text:
    site = Site(src, node.start, node.end)

    def fail(rt: Runtime) -> str:
        raise ExpansionError(
            "bad substitution", site.source, site.start, site.end, hint="this form of ${..} is not known to aish"
        )

    return fail


def _trim(src: Source, node: Parameter) -> Callable[[Runtime, str], str]:
    """What # ## % %% do to one value."""
    assert node.argument is not None
    word = compile_word.pattern(src, node.argument)
    longest = len(node.op) == 2
    prefix = node.op[0] == "#"
    if isinstance(word, str):
        constant = compiled(word)
        method = constant.without_prefix if prefix else constant.without_suffix
        return lambda rt, value: method(value, longest)
    closure = word

    def trim(rt: Runtime, value: str) -> str:
        pattern = compiled(closure(rt))
        return pattern.without_prefix(value, longest) if prefix else pattern.without_suffix(value, longest)

    return trim


def _trimmed(src: Source, node: Parameter) -> Text:
    value = _required(src, node)
    trim = _trim(src, node)
    return lambda rt: trim(rt, value(rt))


def _conditional(src: Source, node: Parameter, quoted: bool) -> Text:
    """${x-word} ${x=word} ${x?word} ${x+word} as one string."""
    assert node.argument is not None
    parts = [compile_word.text_part(src, part, quoted) for part in node.argument.parts]
    word = compile_word.as_text(compile_word.joined(parts))
    get = _maybe(src, node)
    colon = node.colon
    op = node.op
    if op == "+":

        def alternative(rt: Runtime) -> str:
            value = get(rt)
            return "" if value is None or (colon and not value) else word(rt)

        return alternative
    otherwise = _otherwise(src, node, word)

    def run(rt: Runtime) -> str:
        value = get(rt)
        if value is None or (colon and not value):
            return otherwise(rt)
        return value

    return run


def _otherwise(src: Source, node: Parameter, word: Text) -> Text:
    """What - = ? do where the parameter is unset (or null)."""
    if node.op == "-":
        return word
    name = node.name
    site = Site(src, node.start, node.end)
    if node.op == "?":
        usual = "parameter null or not set" if node.colon else "parameter not set"

        def complain(rt: Runtime) -> str:
            error = ExpansionError(f"{name}: {word(rt) or usual}", site.source, site.start, site.end)
            error.fatal = True
            raise error

        return complain

    def assign(rt: Runtime) -> str:
        if not is_name(name):
            raise ExpansionError(f"${name}: cannot assign in this way", site.source, site.start, site.end)
        value = word(rt)
        try:
            rt.vars.set(name, value)
        except CommandError as error:
            raise ExpansionError(error.message, site.source, site.start, site.end) from None
        return value

    return assign


# --------------------------------------------------------------------------------------------- lists


def _list_text(src: Source, node: Parameter, kind: str, quoted: bool) -> Text:
    """A list as one string: joined by a space for @, by the first character of IFS for *."""
    values = _list_values(src, node)
    if node.op == "#len":
        return lambda rt: str(len(values(rt)))
    if node.op == "bad":
        return _bad(src, node)
    join: Text = lambda rt: (" " if kind == "@" else rt.joiner).join(values(rt))  # noqa: E731
    if node.op == "" or node.op[0] in "#%":
        return join
    assert node.argument is not None
    parts = [compile_word.text_part(src, part, quoted) for part in node.argument.parts]
    word = compile_word.as_text(compile_word.joined(parts))
    otherwise = word if node.op == "+" else _otherwise(src, node, word)
    is_set = _list_is_set(node, values)
    if node.op == "+":
        return lambda rt: otherwise(rt) if is_set(rt) else ""
    return lambda rt: join(rt) if is_set(rt) else otherwise(rt)


def _list_values(src: Source, node: Parameter) -> Values:
    values = _values(src, node)
    if node.op and node.op[0] in "#%" and node.op != "#len":
        trim = _trim(src, node)
        return lambda rt: [trim(rt, value) for value in values(rt)]
    return values


def _list_is_set(node: Parameter, values: Values) -> Callable[[Runtime], bool]:
    if node.colon:
        return lambda rt: any(values(rt))
    return lambda rt: bool(values(rt))


def _emit_list(src: Source, node: Parameter, kind: str, quoted: bool) -> Emit:
    if quoted and kind == "*":
        return compile_word.emit_text(_list_text(src, node, kind, True), QUOTED)
    values = _list_values(src, node)
    piece_kind = QUOTED if quoted else SPLIT

    def add(rt: Runtime, pieces: list[Piece]) -> None:
        first = True
        for value in values(rt):
            if not first:
                pieces.append((BREAK, ""))
            first = False
            pieces.append((piece_kind, value))

    if node.op == "" or node.op[0] in "#%":
        return add
    assert node.argument is not None
    is_set = _list_is_set(node, values)
    word = compile_word.emit_word(src, node.argument, quoted)

    if node.op == "+":

        def alternative(rt: Runtime, pieces: list[Piece]) -> None:
            if is_set(rt):
                word(rt, pieces)

        return alternative

    def default(rt: Runtime, pieces: list[Piece]) -> None:
        (add if is_set(rt) else word)(rt, pieces)

    return default


def emit(src: Source, node: Parameter, quoted: bool) -> Emit:
    """The expansion as pieces."""
    kind = is_list(node)
    if kind and node.op not in ("#len", "bad", "=", "?"):
        return _emit_list(src, node, kind, quoted)
    piece_kind = QUOTED if quoted else SPLIT
    if node.op not in ("-", "+"):
        return compile_word.emit_text(text(src, node, quoted), piece_kind)
    assert node.argument is not None
    get = _maybe(src, node)
    word = compile_word.emit_word(src, node.argument, quoted)
    colon = node.colon
    plus = node.op == "+"

    def choose(rt: Runtime, pieces: list[Piece]) -> None:
        value = get(rt)
        if value is None or (colon and not value):
            if not plus:
                word(rt, pieces)
            elif quoted:
                pieces.append((QUOTED, ""))
        elif plus:
            word(rt, pieces)
        else:
            pieces.append((piece_kind, value))

    return choose
