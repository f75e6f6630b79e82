"""Parameter expansion to closures: $x, $1, $@, ${x[i]}, ${x op word}.

Three questions are asked one after the other: which value or values (here), what an operator makes of each of them
(compile_transform), and whether the result is one string or pieces of fields (here again). ${!x} asks them at run
time (compile_indirect).
"""

from __future__ import annotations

from aish.lang import compile_word
from aish.lang.control import CommandError
from aish.lang.digits import saturated
from aish.lang.fields import BREAK, GIVEN, JOINT, OPENING, QUOTED, SPLIT
from aish.lang.options import letters
from aish.lang.source import ExpansionError, Site, unset_error
from aish.lang.text import is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.compile_transform import Prepare
    from aish.lang.compile_word import Emit, Text
    from aish.lang.fields import Piece
    from aish.lang.runtime import Runtime
    from aish.lang.source import Source
    from aish.lang.tree import Parameter

    Maybe = Callable[[Runtime], str | None]
    Values = Callable[[Runtime], list[str]]

CONDITIONAL = frozenset("-=?+")


def is_list(node: Parameter) -> str:
    """'@' or '*' for a parameter that is a list of values ($@, $*, ${name[@]}, ${!name@}), else ''."""
    if node.op[:6] == "!names":
        return node.op[6:]
    if node.index is not None:
        literal = node.index.literal()
        return literal if literal in ("@", "*") and literal is not None else ""
    if node.name in ("@", "*"):
        return node.name
    return ""


def may_be_many(node: Parameter) -> bool:
    """Whether the expansion may give several fields although it is quoted."""
    return node.indirect or (is_list(node) == "@" and node.op != "#len")


# -------------------------------------------------------------------------------------------- values


def maybe(src: Source, node: Parameter) -> Maybe:
    """The value, or None where the parameter is unset."""
    name = node.name
    if node.index is not None:
        from aish.lang.compile_subscript import element

        return element(src, node)
    if name.isdecimal() and name.strip("0"):
        at = saturated(name) - 1
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
        "@": lambda rt: " ".join(rt.params),
        "*": lambda rt: rt.joiner.join(rt.params),
    }
    return special["0" if name.isdecimal() else name]


def shown(src: Source, node: Parameter) -> str:
    """The parameter as messages name it."""
    return node.name if node.index is None else f"{node.name}[{src.text[node.index.start : node.index.end]}]"


def required(src: Source, node: Parameter) -> Text:
    """The value; '' where unset, or an error under `set -u`."""
    name = node.name
    site = Site(src, node.start, node.end)
    if is_name(name) and node.index is None and name != "_":

        def variable(rt: Runtime) -> str:
            value = rt.values.get(name)
            return rt.absent(name, site) if value is None else value

        return variable
    if name.isdecimal() and name.strip("0") and node.index is None:
        at = saturated(name) - 1

        def positional(rt: Runtime) -> str:
            try:
                return rt.params[at]
            except IndexError:
                if rt.nounset:
                    raise unset_error(name, site) from None
                return ""

        return positional
    get = maybe(src, node)
    name = shown(src, node)

    def value_of(rt: Runtime) -> str:
        value = get(rt)
        if value is None:
            if rt.nounset:
                raise unset_error(name, site)
            return ""
        return value

    return value_of


def values(node: Parameter) -> Values:
    """The values of a list."""
    name = node.name
    if name in ("@", "*"):
        return lambda rt: rt.params

    def elements(rt: Runtime) -> list[str]:
        array = rt.vars.arrays.get(name)
        return rt.vars.elements(name) if array is None else array.values()

    return elements


def _list_values(src: Source, node: Parameter) -> Values:
    """The values of a list, after the operator."""
    if node.op == "" or node.op == "#len" or node.op in CONDITIONAL:
        return values(node)
    if node.op[0] in "#%":
        from aish.lang import compile_trim

        return _each(values(node), compile_trim.transform(src, node))
    from aish.lang import compile_transform

    if node.op[0] == "!":
        return compile_transform.keys(node) if node.op == "!keys" else compile_transform.names(node)
    if node.op == ":":
        return compile_transform.sliced(src, node)
    if node.op in ("@A", "@K", "@k", "@a"):
        return compile_transform.described(node)
    return _each(values(node), compile_transform.transform(src, node))


def _each(all_of: Values, prepare: Prepare) -> Values:
    """What an operator makes of each value."""

    def run(rt: Runtime) -> list[str]:
        found = all_of(rt)
        if not found:
            return []
        change = prepare(rt)
        return [change(value) for value in found]

    return run


# ---------------------------------------------------------------------------------------------- text


def text(src: Source, node: Parameter, quoted: bool) -> Text:
    """The expansion as one string."""
    op = node.op
    if op == "bad":
        return _bad(src, node)
    if node.indirect:
        from aish.lang import compile_indirect

        return compile_indirect.text(src, node, quoted)
    kind = is_list(node)
    if kind:
        return _list_text(src, node, kind, quoted)
    if op == "":
        return required(src, node)
    if op == "#len":
        if node.index is not None:
            item = maybe(src, node)
            name = node.name
            return lambda rt: "0" if rt.vars.array(name) is None else str(rt.locale.length(item(rt) or ""))
        value = required(src, node)
        return lambda rt: str(rt.locale.length(value(rt)))
    if op in CONDITIONAL:
        return _conditional(src, node, quoted)
    if op[0] in "#%":
        from aish.lang import compile_trim

        return compile_trim.text(src, node)
    from aish.lang import compile_transform

    return compile_transform.text(src, node)


def _bad(src: Source, node: Parameter) -> Text:
    site = Site(src, node.start, node.end)

    def fail(rt: Runtime) -> str:
        raise ExpansionError(
            "bad substitution", site.source, site.start, site.end, hint="this form of ${..} is not known to aish"
        )

    return fail


def _conditional(src: Source, node: Parameter, quoted: bool) -> Text:
    """${x-word} ${x=word} ${x?word} ${x+word} as one string."""
    assert node.argument is not None
    parts = [compile_word.text_part(src, part, quoted) for part in node.argument.parts]
    word = compile_word.as_text(compile_word.joined(parts))
    get = maybe(src, node)
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
    name = shown(src, node)
    site = Site(src, node.start, node.end)
    if node.op == "?":
        usual = "parameter null or not set" if node.colon else "parameter not set"

        def complain(rt: Runtime) -> str:
            error = ExpansionError(f"{name}: {word(rt) or usual}", site.source, site.start, site.end)
            error.fatal = True
            raise error

        return complain

    variable = node.name
    element: Callable[[Runtime, str], None] | None = None
    if node.index is not None:
        from aish.lang.compile_subscript import storing

        element = storing(src, node)

    def assign(rt: Runtime) -> str:
        if not is_name(variable) or is_list(node):
            error = ExpansionError(f"${name}: cannot assign in this way", site.source, site.start, site.end)
            error.exit_status = 2 if node.index is not None else 1  # type: ignore[misc]  # as bash has it
            raise error
        value = word(rt)
        try:
            if element is None:
                rt.vars.set(variable, value)
                return value if variable not in rt.vars.guarded else rt.vars.get(variable) or ""
            element(rt, value)
        except CommandError as error:
            raise rt.error_at(error, site) from None
        return value

    return assign


# --------------------------------------------------------------------------------------------- lists


def _list_text(src: Source, node: Parameter, kind: str, quoted: bool) -> Text:
    """A list as one string: joined by a space for @, by the first character of IFS for *."""
    if node.op == "#len":
        return _count(src, node)
    found = _list_values(src, node)
    join: Text = lambda rt: (" " if kind == "@" else rt.joiner).join(found(rt))  # noqa: E731
    if node.op not in CONDITIONAL:
        return join
    assert node.argument is not None
    parts = [compile_word.text_part(src, part, quoted) for part in node.argument.parts]
    word = compile_word.as_text(compile_word.joined(parts))
    otherwise = word if node.op == "+" else _otherwise(src, node, word)
    is_set = _list_is_set(node, found, kind)
    if node.op == "+":
        return lambda rt: otherwise(rt) if is_set(rt) else ""
    return lambda rt: join(rt) if is_set(rt) else otherwise(rt)


def _count(src: Source, node: Parameter) -> Text:
    name = node.name
    if name in ("@", "*"):
        return lambda rt: str(len(rt.params))
    site = Site(src, node.start, node.end)

    def count(rt: Runtime) -> str:
        array = rt.vars.arrays.get(name) or rt.vars.array(name)
        if array is None or array.unset:
            if rt.nounset:
                error = unset_error(name, site)
                error.fatal = False
                raise error
            return "0"
        return str(len(array.items))

    return count


def _list_is_set(node: Parameter, found: Values, kind: str) -> Callable[[Runtime], bool]:
    """Whether a list is set, or with a colon more than an empty string."""
    if not node.colon:
        return lambda rt: bool(found(rt))
    if kind == "*":
        return lambda rt: rt.joiner.join(found(rt)) != ""
    return lambda rt: found(rt) not in ([], [""])


def _emit_list(src: Source, node: Parameter, kind: str, quoted: bool) -> Emit:
    found = _list_values(src, node)
    piece_kind = QUOTED if quoted else SPLIT
    together = quoted and kind == "*"
    plain = not node.op or node.op in CONDITIONAL

    def add(rt: Runtime, pieces: list[Piece]) -> None:
        joiner = rt.joiner
        divided = not quoted and joiner and joiner not in rt.blanks  # then empty ones count, as in bash
        values = found(rt)
        if divided and values and values[0][:1] in rt.blanks:
            pieces.append((OPENING, ""))
        if together or (divided and kind == "*"):
            pieces.append((piece_kind, joiner.join(values)))
            return
        between = (JOINT, joiner) if divided else (BREAK, " " if kind == "@" else joiner)
        one = GIVEN if divided and plain else piece_kind
        first = True
        for value in values:
            if not first:
                pieces.append(between)
            first = False
            pieces.append((one, value))

    return add if node.op not in CONDITIONAL else _emit_conditional(src, node, kind, quoted, found, add)


def _emit_conditional(src: Source, node: Parameter, kind: str, quoted: bool, found: Values, add: Emit) -> Emit:
    """${@-word}, ${@+word}; of ${@?word} and ${@=word} the word is an error's."""
    assert node.argument is not None
    is_set = _list_is_set(node, found, kind)
    if node.op in ("?", "="):
        parts = [compile_word.text_part(src, part, quoted) for part in node.argument.parts]
        fail = _otherwise(src, node, compile_word.as_text(compile_word.joined(parts)))
        return lambda rt, pieces: add(rt, pieces) if is_set(rt) else pieces.append((QUOTED, fail(rt)))
    word = _one_at_least(compile_word.emit_word(src, node.argument, quoted), quoted)
    if node.op != "+":
        return lambda rt, pieces: (add if is_set(rt) else word)(rt, pieces)
    together = kind == "*"

    def alternative(rt: Runtime, pieces: list[Piece]) -> None:
        if is_set(rt):
            word(rt, pieces)
        elif quoted and (together or found(rt)):
            pieces.append((QUOTED, ""))

    return alternative


def _one_at_least(word: Emit, quoted: bool) -> Emit:
    """In quotes a word that gives nothing is an empty string."""
    if not quoted:
        return word

    def run(rt: Runtime, pieces: list[Piece]) -> None:
        before = len(pieces)
        word(rt, pieces)
        if len(pieces) == before:
            pieces.append((QUOTED, ""))

    return run


def emit(src: Source, node: Parameter, quoted: bool) -> Emit:
    """The expansion as pieces."""
    if node.indirect and node.op != "bad":
        from aish.lang import compile_indirect

        return compile_indirect.emit(src, node, quoted)
    kind = is_list(node)
    if kind and node.op not in ("#len", "bad"):
        return _emit_list(src, node, kind, quoted)
    piece_kind = QUOTED if quoted else SPLIT
    if node.op not in ("-", "+"):
        return compile_word.emit_text(text(src, node, quoted), piece_kind)
    assert node.argument is not None
    get = maybe(src, node)
    word = _one_at_least(compile_word.emit_word(src, node.argument, quoted), quoted)
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
