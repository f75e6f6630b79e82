"""Built-in commands. A built-in is a function of (runtime, argv) that returns a status.

It reports what it cannot do by raising CommandError, and writes through Runtime.write. The files are by topic
and are loaded when one of their commands is first compiled.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.runtime import Runtime

    Builtin = Callable[[Runtime, list[str]], int]

SPECIAL = frozenset(
    ["break", ":", ".", "continue", "eval", "exec", "exit", "export", "readonly", "return", "set", "shift", "times",
     "trap", "unset", "source"]
)  # fmt: skip

_TOPICS = {
    "simple": ": true false echo aish embed tensor",
    "folders": "pwd cd",
    "stack": "dirs pushd popd",
    "limits": "times umask ulimit",
    "printf": "printf",
    "flow": "break continue return exit logout eval . source exec",
    "parameters": "set shift unset",
    "getopts": "getopts",
    "shopt": "shopt",
    "declare": "declare typeset local export readonly",
    "mapfile": "mapfile readarray",
    "test": "test [",
    "reading": "read",
    "jobs": "jobs fg bg disown suspend",
    "waiting": "wait",
    "kill": "kill",
    "traps": "trap",
    "names": "command type hash builtin",
    "enabling": "enable help caller",
    "completion": "complete compgen compopt",
    "bind": "bind",
    "history": "history fc",
    "abbreviations": "abbr",
    "aliases": "alias unalias",
    "let": "let",
}
TOPIC_OF: dict[str, str] = {name: topic for topic, names in _TOPICS.items() for name in names.split()}
"""Every built-in's name, with the file that it is in."""

_found: dict[str, Builtin] = {}


def find(name: str) -> Builtin | None:
    """The built-in of this name, loading its file; None where there is none."""
    builtin = _found.get(name)
    if builtin is None and name in TOPIC_OF:
        module = __import__(f"aish.lang.builtins.{TOPIC_OF[name]}", fromlist=["TABLE"])
        _found.update(module.TABLE)
        builtin = _found[name]
    return builtin
