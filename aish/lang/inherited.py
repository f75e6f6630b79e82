"""Functions that come in the environment: what `export -f` of bash, or of another shell of ours, put there.

Each is parsed when it is first called: an environment may hold many, and most scripts call none of them.
"""

from __future__ import annotations

import os

from aish.lang.runtime import Function
from aish.lang.source import ParseError, Source
from aish.lang.text import encode, is_name
from aish.lang.words import RESERVED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.runtime import Run, Runtime
    from aish.lang.tree import Function as FunctionNode

PACKED = "AISH_FOREIGN"
"""The variable in which another shell of ours gets what is no variable's name: its launcher is a script, and where
/bin/sh is dash, that drops such names. What is more than one variable may hold is in _1, _2 and so on."""

_MOST_BYTES = 100 * 1024
"""Of one of them: Linux takes 128 KiB."""

_PREFIX = "BASH_FUNC_"
_SUFFIX = "%%"
_SHELLS = frozenset(["ash", "bash", "dash", "ksh", "ksh93", "mksh", "sh", "yash", "zsh"])
_NO_WORD = frozenset(" \t\n;&|<>()$`\\\"'")
"""What no function's name has: it would be shown as something else."""


def handed_on(environment: dict[str, str], foreign: dict[str, str], path: str, program: str) -> dict[str, str]:
    """The environment of what is started at `path`. Another shell of ours has all of `foreign`, which it holds; any
    other program may start one (`xargs bash -c`, find, env, parallel), and has a second copy of the functions, unless
    they are many. Not so shells of others: a function that one of them takes back would come again."""
    called = os.path.basename(path)
    if called == os.path.basename(program):
        return packed(environment, foreign, ours=is_same_file(path, program))
    if called in _SHELLS:
        return environment
    functions = {name: value for name, value in foreign.items() if name.startswith(_PREFIX)}
    found = packed(environment, functions, ours=False) if functions else environment
    return environment if _variable(1) in found else found


def packed(environment: dict[str, str], foreign: dict[str, str], *, ours: bool) -> dict[str, str]:
    """The environment with `foreign`, which it holds, in variables of their own: instead, where `ours` says for sure
    that another shell of ours gets it, since there is a limit to the whole; else too."""
    texts: list[list[str]] = []
    room = 0
    found = dict(environment)
    for name, value in foreign.items():
        entry = f"{len(name)} {len(value)} {name}{value}"
        size = len(encode(entry))
        if size > _MOST_BYTES:
            continue
        if size > room:
            texts.append([])
            room = _MOST_BYTES
        texts[-1].append(entry)
        room -= size
        if ours:
            found.pop(name, None)
    return found | {_variable(at): "".join(text) for at, text in enumerate(texts)}


def is_same_file(path: str, program: str) -> bool:
    """Whether both are one file, so that what is started is what is running."""
    try:
        return os.path.samefile(path, program)
    except OSError:
        return False


def unpack(environment: dict[str, str]) -> None:
    """Put back what `packed` moved: nothing that is a variable, which whoever cleans an environment would have looked
    for under its own name. What came by its own name may be newer: a shell in between changed it."""
    at = 0
    while (text := environment.pop(_variable(at), None)) is not None:
        for name, value in unpacked(text).items():
            if not is_name(name) and "=" not in name:
                environment.setdefault(name, value)
        at += 1


def _variable(at: int) -> str:
    return f"{PACKED}_{at}" if at else PACKED


def unpacked(text: str) -> dict[str, str]:
    """What one of the variables holds; as much of it as can be read, since anybody may have set it."""
    found: dict[str, str] = {}
    while text:
        name_size, _, text = text.partition(" ")
        value_size, _, text = text.partition(" ")
        if not (_is_size(name_size) and _is_size(value_size)):
            break
        middle, end = int(name_size), int(name_size) + int(value_size)
        if not 0 < middle <= end <= len(text):
            break
        found[text[:middle]] = text[middle:end]
        text = text[end:]
    return found


def _is_size(digits: str) -> bool:
    return digits.isascii() and digits.isdecimal() and len(digits) < 10


def adopt(rt: Runtime, variable: str) -> None:
    """Define the function that the variable of the environment holds, if it holds one."""
    text = rt.vars.foreign[variable]
    name = variable[len(_PREFIX) : -len(_SUFFIX)]
    if not variable.endswith(_SUFFIX) or not text.startswith("() {") or not name or "/" in name:
        return
    if not _NO_WORD.isdisjoint(name) or name[0] == "#" or name in RESERVED:
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
