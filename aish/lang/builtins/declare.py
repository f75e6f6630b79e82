"""declare typeset local export readonly: values, attributes and scopes of variables."""

from __future__ import annotations

from aish.lang.control import CommandError, told
from aish.lang.text import is_name
from aish.lang.tree import ArrayLiteral

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.compile_array import Compound, Entry
    from aish.lang.runtime import Runtime
    from aish.lang.scopes import Saved
    from aish.lang.tree import Node, Word

_CONVERTING = "iluct"


class _Request:
    """What the options ask for."""

    __slots__ = ("cases", "local", "off", "on", "status", "word")

    def __init__(self, word: str) -> None:
        self.word = word
        self.on: set[str] = set()
        self.off: set[str] = set()
        self.cases: list[str] = []
        """Letters of l, u and c, as given: two of them cancel each other."""
        self.local = False
        self.status = 0


def _options(argv: list[str], allowed: str) -> tuple[_Request, list[str]]:
    wanted = _Request(argv[0])
    at = 1
    while at < len(argv) and len(argv[at]) > 1 and argv[at][0] in "-+":
        word = argv[at]
        at += 1
        if word == "--":
            break
        for letter in word[1:]:
            if letter not in allowed:
                hint = f"options are: {' '.join(allowed)}"
                raise CommandError(f"{word[0]}{letter}: unknown option", status=2, hint=hint)
            (wanted.on if word[0] == "-" else wanted.off).add(letter)
            if letter in "luc" and word[0] == "-":
                wanted.cases.append(letter)
    return wanted, argv[at:]


def declare(rt: Runtime, argv: list[str]) -> int:
    """declare [-aAfFgiIlnrtux] [-p] [name[=value] ...]: inside a function the names are local, without -g."""
    wanted, operands = _options(argv, "aAcfFgiIlnprtux")
    if wanted.on & {"f", "F"}:
        from aish.lang.builtins import functions

        return functions.declare(rt, wanted.on, wanted.off, operands)
    if "p" in wanted.on and operands:
        return _print_named(rt, operands)
    if not operands:
        return _list(rt, wanted)
    wanted.local = "g" not in wanted.on and rt.vars.function_scope() is not None
    return _each(rt, wanted, operands)


def local(rt: Runtime, argv: list[str]) -> int:
    """local [options] [name[=value] ...]: variables that get their old values back when the function ends."""
    scope = rt.vars.function_scope()
    if scope is None:
        raise CommandError("no function is running")
    if len(argv) > 1 and argv[1][:1] not in ("-", "+"):
        wanted = _Request("local")
        wanted.local = True
        return _each(rt, wanted, [operand for operand in argv[1:] if not _plain_local(rt, scope, operand)])
    wanted, operands = _options(argv, "aAgiIlnprtuxc")
    if not operands:
        from aish.lang import declarations

        for name in sorted(scope):
            line = "local -" if name == "-" else declarations.line(rt, name)
            if line is not None:
                rt.write(line + "\n")
        return 0
    if "p" in wanted.on:
        return _print_named(rt, operands)
    wanted.local = True
    return _each(rt, wanted, operands)


def _plain_local(rt: Runtime, scope: dict[str, Saved], operand: str) -> bool:
    """The usual case, done at once. False where it is another."""
    if "localvar_inherit" in rt.shopt:
        return False
    name, equals, value = operand.partition("=")
    if type(operand) is not str or not is_name(name):
        return False
    return rt.vars.plain_local(scope, name, value if equals else None)


def export(rt: Runtime, argv: list[str]) -> int:
    """export [-fn] [-p] [name[=value] ...]: hand variables to programs."""
    wanted, operands = _options(argv, "fnp")
    if "f" in wanted.on:
        from aish.lang.builtins import functions

        return functions.export(rt, "n" in wanted.on, operands)
    if not operands:
        return _list_marked(rt, "export", rt.vars.exported)
    if "n" in wanted.on:
        wanted.on.discard("n")
        wanted.off.add("x")
    else:
        wanted.on.add("x")
    return _each(rt, wanted, operands)


def readonly(rt: Runtime, argv: list[str]) -> int:
    """readonly [-aAf] [-p] [name[=value] ...]: values that can no longer change."""
    wanted, operands = _options(argv, "aAfp")
    if "f" in wanted.on:
        from aish.lang.builtins import functions

        return functions.readonly(rt, operands)
    if not operands:
        return _list_marked(rt, "readonly", rt.vars.readonly, wanted.on & {"a", "A"})
    wanted.on.add("r")
    return _each(rt, wanted, operands)


# ------------------------------------------------------------------------------------------- showing


def _list_marked(rt: Runtime, word: str, names: set[str], kinds: set[str] | frozenset[str] = frozenset()) -> int:
    from aish.lang import declarations

    for name in sorted(names):
        line = declarations.line(rt, name)
        if line is None or not kinds <= set(rt.vars.letters(name)):
            continue
        if rt.posix:
            line = f"{word} " + line.split(" ", 2)[2]
        rt.write(line + "\n")
    return 0


def _list(rt: Runtime, wanted: _Request) -> int:
    """declare without names: everything, or what has the attributes."""
    from aish.lang import declarations

    kinds = wanted.on & set("aAilnrtuxc")
    for name in sorted(rt.vars.names()):
        if kinds or "p" in wanted.on:
            line = declarations.line(rt, name) if kinds <= set(rt.vars.letters(name)) else None
        else:
            line = declarations.plain(rt, name)
        if line is not None:
            rt.write(line + "\n")
    if not kinds and "p" not in wanted.on:
        from aish.lang.builtins.functions import laid_out

        for name in sorted(rt.functions):
            rt.write(laid_out(rt.functions[name]) + "\n")
    return 0


def _print_named(rt: Runtime, names: list[str]) -> int:
    from aish.lang import declarations

    status = 0
    for name in names:
        line = declarations.line(rt, name) if is_name(name) else None
        if line is None:
            rt.complain(f"declare: {name}: not found")
            status = 1
        else:
            rt.write(line + "\n")
    return status


# ------------------------------------------------------------------------------------------- setting


def _each(rt: Runtime, wanted: _Request, operands: list[str]) -> int:
    refused = False
    for operand in operands:
        if wanted.on & {"x", "r"} and not wanted.local:
            rt.vars.keep_temporary(operand.partition("=")[0])
        try:
            _one(rt, wanted, operand)
        except CommandError as error:
            if not error.told:
                rt.complain(f"{wanted.word}: {error.message}", hint=error.hint)
            wanted.status = 1
            refused = refused or error.readonly
    if refused:
        raise told(wanted.status, readonly=True)
    return wanted.status


def _one(rt: Runtime, wanted: _Request, operand: str) -> None:
    if operand == "-" and wanted.word == "local":
        _local_options(rt)
        return
    from aish.lang import subscripts
    from aish.lang.compile_array import is_associative

    found: list[Entry] | None = None
    if type(operand) is not str:
        compound: Compound = operand  # type: ignore[assignment]
        target, append, value = compound.name, compound.append, ""
        found = compound.entries(rt, "A" in wanted.on or is_associative(rt, target))
        assigns = True
    else:
        target, equals, value = _parted(operand)
        assigns = bool(equals)
        append = target.endswith("+") and assigns
        target = target[:-1] if append else target
    parts = subscripts.split(target)
    if parts is None:
        raise CommandError(f"{operand}: not a variable's name")
    name, subscript = parts
    if subscript is not None and wanted.word in ("export", "readonly"):
        raise CommandError(f"{operand}: not a variable's name", hint="an element cannot be marked by itself")
    if found is None and assigns and subscript is None:
        found = _list_in_text(rt, wanted, name, value)
    if "n" in wanted.on or ("n" in wanted.off and name in rt.vars.references):
        _reference(rt, wanted, name, value if assigns else None, compound=found is not None)
        return

    def act() -> None:
        real = name
        if name in rt.vars.references:
            real, inner = subscripts.resolve(rt, name)
            if inner is not None:
                subscripts.store(rt, f"{real}[{inner}]", value, append=append)
                return
        _set(rt, wanted, real, subscript, value if assigns else None, found, append)

    if wanted.local:
        _make_local(rt, wanted, name)
        act()
    elif "g" in wanted.on:
        rt.vars.globally(name, act)
    else:
        act()


def _parted(operand: str) -> tuple[str, str, str]:
    """(name or name[subscript], '=' or '', value): a = in the subscript is no sign of a value."""
    if "[" in operand.partition("=")[0]:
        end = operand.find("]=")
        plus = operand.find("]+=")
        if plus >= 0 and (end < 0 or plus < end):
            return operand[: plus + 2], "=", operand[plus + 3 :]
        if end >= 0:
            return operand[: end + 1], "=", operand[end + 2 :]
    return operand.partition("=")


def _list_in_text(rt: Runtime, wanted: _Request, name: str, value: str) -> list[Entry] | None:
    """The elements in a value '(..)' that came as text, where the name is to be an array."""
    if value[:1] != "(" or value[-1:] != ")":
        return None
    if not (wanted.on & {"a", "A"} or name in rt.vars.arrays) or "n" in wanted.on:
        return None
    from aish.lang import subscripts
    from aish.lang.compile_array import entries, is_associative
    from aish.lang.parser import Parser
    from aish.lang.source import ParseError, Source
    from aish.lang.tree import Simple

    source = Source(wanted.word, f"{name}={value}")
    try:
        command = Parser(source).next()
    except ParseError:
        return None
    item = command.items[0] if command is not None and len(command.items) == 1 else None
    if not isinstance(item, Simple) or len(item.assigns) != 1 or item.words or item.redirects:
        return None
    if any(subscripts.runs(part) for part in _inner(item.assigns[0].value)):
        raise CommandError(f"{name}: a command substitution in a list that is text is not run")
    return entries(source, item.assigns[0])(rt, "A" in wanted.on or is_associative(rt, name))


def _inner(value: Word) -> list[Node]:
    """The parts of the words of a list, subscripts included."""
    literal = value.parts[0]
    if not isinstance(literal, ArrayLiteral):
        return []
    words = [word for item in literal.items for word in (item.index, item.value) if word is not None]
    return [part for word in words for part in word.parts]


def _make_local(rt: Runtime, wanted: _Request, name: str) -> None:
    variables = rt.vars
    scope = variables.function_scope()
    assert scope is not None
    before = variables.came_with_call(name)
    if name in scope:
        return
    if name in variables.readonly and not any(name in outer for outer in variables.scopes):
        raise CommandError(f"{name}: readonly variable")
    variables.local(name, scope)
    if "I" in wanted.on or before is not None or "localvar_inherit" in rt.shopt:
        array = variables.arrays.get(name)
        if array is not None:
            variables.arrays[name] = array.copy()
        return
    variables.fresh(name)


def _local_options(rt: Runtime) -> None:
    from aish.lang.options import NAMES, is_on

    scope = rt.vars.function_scope()
    assert scope is not None
    scope.setdefault("-", {name: is_on(rt, name) for name in NAMES})


def _reference(rt: Runtime, wanted: _Request, name: str, value: str | None, *, compound: bool) -> None:
    """declare -n and +n."""
    from aish.lang import subscripts

    variables = rt.vars
    if "n" in wanted.off:
        if value is not None:
            variables.set(name, value)
        variables.set(name, variables.references.pop(name))
        return

    def act() -> None:
        if value is None and name in variables.references:
            return
        if compound or name in variables.arrays:
            raise CommandError(f"{name}: an array cannot be a reference")
        if value == "":
            raise CommandError(
                f"{name}: a reference refers to a variable", hint="without a = it may be given one later"
            )
        target = value if value is not None else variables.values.get(name, "")
        subscripts.refer(rt, name, target)
        if "x" in wanted.on:
            variables.export(name)
        if "r" in wanted.on:
            variables.protect(name)

    if wanted.local:
        _make_local(rt, wanted, name)
    if "g" in wanted.on:
        variables.globally(name, act)
    else:
        act()


def _set(
    rt: Runtime,
    wanted: _Request,
    name: str,
    subscript: str | None,
    value: str | None,
    found: list[Entry] | None,
    append: bool,
) -> None:
    """Attributes, then the value, then what forbids values."""
    from aish.lang import subscripts
    from aish.lang.compile_array import fill

    variables = rt.vars
    if found is not None and name in variables.readonly:
        raise rt.expansion_error(f"{name}: readonly variable")  # of a list it is more than the built-in's, as in bash
    if "r" in wanted.off and name in variables.readonly:
        raise CommandError(f"{name}: readonly variable")
    if value is not None or found is not None or wanted.on & set("aA"):
        _be_an_array(rt, wanted, name, found is not None or subscript is not None)
    elif wanted.off & {"a", "A"} and name in variables.arrays:
        raise CommandError(f"{name}: an array stays one", hint="unset it first")
    _mark(rt, wanted, name)
    if "x" in wanted.on:
        variables.export(name)
    elif "x" in wanted.off:
        variables.unexport(name)
    if found is not None:
        fill(rt, name, found, append)
    elif value is not None and subscript is not None:
        subscripts.store(rt, f"{name}[{subscript}]", value, append=append)
    elif value is not None and append:
        variables.append(name, value)
    elif value is not None:
        variables.set(name, value)
    elif wanted.word != "export" or wanted.on:
        variables.declare(name)
    if "r" in wanted.on:
        variables.protect(name)


def _be_an_array(rt: Runtime, wanted: _Request, name: str, elements: bool) -> None:
    """Make `name` the array that -a, -A or its value wants."""
    array = rt.vars.arrays.get(name)
    associative = "A" in wanted.on
    if not (associative or "a" in wanted.on or elements):
        return
    if array is None:
        fresh = rt.vars.writable(name, associative=associative)
        fresh.unset = not fresh.items
    elif associative and not array.associative:
        raise CommandError(f"{name}: an indexed array cannot become an associative one", hint="unset it first")
    elif "a" in wanted.on and array.associative:
        raise CommandError(f"{name}: an associative array cannot become an indexed one", hint="unset it first")


def _mark(rt: Runtime, wanted: _Request, name: str) -> None:
    """The attributes i l u c t."""
    letters = set(_CONVERTING)
    if not letters & (wanted.on | wanted.off):
        return
    if wanted.on & letters != {"t"}:
        rt.vars.check(name)
    before = set(rt.vars.attributes.get(name, ""))
    now = (before | wanted.on & letters) - wanted.off
    if wanted.cases:
        now -= set("luc")
        if len(set(wanted.cases)) == 1:
            now.add(wanted.cases[0])
    rt.vars.mark(name, "".join(sorted(now & letters)))


TABLE: dict[str, Builtin] = {
    "declare": declare,
    "typeset": declare,
    "local": local,
    "export": export,
    "readonly": readonly,
}
