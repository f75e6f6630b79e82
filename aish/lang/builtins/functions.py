"""Functions as a whole: what declare, export, readonly and unset do to them, and how they are shown."""

from __future__ import annotations

from aish.lang.control import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.runtime import Function, Runtime


def laid_out(function: Function) -> str:
    """Its definition, as `declare -f` shows it; as it was written where that cannot be read."""
    from aish.lang.inherited import read
    from aish.lang.reprint import definition

    found = function.tree or read(function.definition)
    return function.definition if found is None else definition(*found)


def declare(rt: Runtime, on: set[str], off: set[str], names: list[str]) -> int:
    """declare -f and -F: with r, t or x to mark functions, else to show them."""
    kinds = on & set("rtx")
    if names and (kinds or off & set("tx")) and "p" not in on:
        return _mark(rt, kinds, off, names)
    status = 0
    for name in names or sorted(rt.functions):
        function = rt.functions.get(name)
        marks = "".join(sorted(_marks(rt, name)))
        if function is None:
            status = 1
            if "p" in on:
                rt.complain(f"declare: {name}: not found")
        elif not names and not kinds <= set(marks):
            continue
        elif "F" in on:
            rt.write(_named(rt, name, function) if names else f"declare -f{marks} {name}\n")
        else:
            rt.write(laid_out(function) + "\n")
            if marks and (kinds or "p" in on):
                rt.write(f"declare -f{marks} {name}\n")
    return status


def _named(rt: Runtime, name: str, function: Function) -> str:
    """What declare -F says of one function: for a debugger also where it is."""
    if "extdebug" not in rt.shopt:
        return f"{name}\n"
    line = 0  # of the environment, and not read yet
    if function.tree is not None:
        source, node = function.tree
        line = source.line(node.start)
    return f"{name} {line} {function.file}\n"


def _mark(rt: Runtime, on: set[str], off: set[str], names: list[str]) -> int:
    status = 0
    for name in names:
        if name not in rt.functions:
            status = 1
            continue
        marks = rt.function_marks.setdefault(name, set())
        marks |= on & {"r", "t"}
        if "t" in off:
            marks.discard("t")
        if "x" in on:
            rt.vars.hand_on_function(name, rt.functions[name].body_text)
        elif "x" in off:
            rt.vars.hand_on_function(name, None)
    return status


def _marks(rt: Runtime, name: str) -> set[str]:
    exported = {"x"} if rt.vars.is_handed_on(name) else set()
    return rt.function_marks.get(name, set()) | exported


def export(rt: Runtime, off: bool, names: list[str]) -> int:
    """export -f: hand functions to programs; without names, show those that are."""
    if not names:
        return declare(rt, {"f", "x", "p"}, set(), [])
    status = 0
    for name in names:
        if name not in rt.functions:
            rt.complain(f"export: {name}: not a function")
            status = 1
        else:
            rt.vars.hand_on_function(name, None if off else rt.functions[name].body_text)
    return status


def readonly(rt: Runtime, names: list[str]) -> int:
    """readonly -f: functions that can no longer change; without names, show them."""
    if not names:
        return declare(rt, {"f", "r", "p"}, set(), [])
    for name in names:
        if name not in rt.functions:
            rt.complain(f"readonly: {name}: not a function")
    return _mark(rt, {"r"}, set(), names)


def unset(rt: Runtime, name: str) -> None:
    """unset -f. Raises CommandError for a readonly one."""
    if name not in rt.functions:
        return
    if "r" in rt.function_marks.get(name, ()):
        raise CommandError(f"{name}: readonly function")
    del rt.functions[name]
    rt.function_marks.pop(name, None)
    rt.vars.hand_on_function(name, None)
