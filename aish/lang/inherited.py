"""Functions that come in the environment: what `export -f` of bash, or of another shell of ours, put there.

Each is parsed when it is first called: an environment may hold many, and most scripts call none of them.
"""

from __future__ import annotations

from aish.lang.runtime import Function
from aish.lang.source import ParseError, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.runtime import Run, Runtime
    from aish.lang.tree import Function as FunctionNode

PACKED = "AISH_FOREIGN"
"""The variable in which another shell of ours gets what is no variable's name: its launcher is a script, and where
/bin/sh is dash, that drops such names."""

_PREFIX = "BASH_FUNC_"
_SUFFIX = "%%"


def packed(environment: dict[str, str], foreign: dict[str, str]) -> dict[str, str]:
    """The environment with `foreign` in one variable, too."""
    entries = [f"{len(name)} {len(value)} {name}{value}" for name, value in foreign.items()]
    return environment | {PACKED: "".join(entries)}


def unpacked(text: str) -> dict[str, str]:
    """What `packed` put into the variable; as much of it as can be read."""
    found: dict[str, str] = {}
    while text:
        name_size, _, text = text.partition(" ")
        value_size, _, text = text.partition(" ")
        if not (name_size.isdecimal() and value_size.isdecimal()):
            break
        middle, end = int(name_size), int(name_size) + int(value_size)
        found[text[:middle]] = text[middle:end]
        text = text[end:]
    return found


def adopt(rt: Runtime, variable: str) -> None:
    """Define the function that the variable of the environment holds, if it holds one."""
    text = rt.vars.foreign[variable]
    name = variable[len(_PREFIX) : -len(_SUFFIX)]
    if not variable.endswith(_SUFFIX) or not text.startswith("() {") or not name or "/" in name:
        return
    definition = f"{name} {text}"
    rt.functions[name] = Function(_on_first_call(name, definition), definition, text[3:])


def _on_first_call(name: str, definition: str) -> Run:
    def run(rt: Runtime) -> int:
        from aish.lang.compile import compile_command

        tree = read(definition)
        if tree is None:
            del rt.functions[name]
            rt.complain(f"{name}: the environment holds no function that can be read")
            return 127
        source, node = tree
        body = compile_command(source, node.body)
        rt.functions[name] = Function(body, definition, definition.partition(" () ")[2], tree=tree)
        return body(rt)

    return run


def read(definition: str) -> tuple[Source, FunctionNode] | None:
    """What the text says; None where that is anything else than one function."""
    from aish.lang.parser import Parser
    from aish.lang.tree import Function as FunctionNode

    source = Source("environment", definition, line_shift=-1)  # bash counts the lines of these from 0
    parser = Parser(source)
    try:
        command = parser.next()
        rest = parser.next()
    except ParseError:
        return None
    if command is None or rest is not None or len(command.items) != 1:
        return None
    node = command.items[0]
    return (source, node) if isinstance(node, FunctionNode) else None
