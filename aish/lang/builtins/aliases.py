"""alias unalias: words that stand for other text at the beginning of a command."""

from __future__ import annotations

from aish.lang.control import CommandError
from aish.lang.text import single_quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime

_FORBIDDEN = frozenset("/$`='\"\\ \t\n|&;<>(){}")


def _operands(argv: list[str], letter: str) -> tuple[bool, list[str]]:
    """Whether -letter was given, and the rest."""
    given, at = False, 1
    while at < len(argv) and len(argv[at]) > 1 and argv[at][0] == "-":
        word = argv[at]
        at += 1
        if word == "--":
            break
        if word.strip(letter) != "-":
            raise CommandError(f"{word}: unknown option", status=2, hint=f"the option is: -{letter}")
        given = True
    return given, argv[at:]


def alias(rt: Runtime, argv: list[str]) -> int:
    """alias [-p] [name[=text] ...]: define, or show in a form that can be read back."""
    show_all, operands = _operands(argv, "p")
    if show_all or not operands:
        for name in sorted(rt.aliases):
            _show(rt, name)
    status = 0
    for word in operands:
        name, equals, text = word.partition("=")
        if name and equals:
            if not _FORBIDDEN.isdisjoint(name):
                rt.complain(f"alias: {name}: not a name for an alias")
                status = 1
                continue
            rt.aliases[name] = text
        elif word in rt.aliases:
            _show(rt, word)
        else:
            rt.complain(f"alias: {word}: not found")
            status = 1
    return status


def _show(rt: Runtime, name: str) -> None:
    text = single_quoted(rt.aliases[name])
    if rt.posix:
        rt.write(f"{name}={text}\n")
    else:
        rt.write(f"alias {'-- ' if name[0] == '-' else ''}{name}={text}\n")


def unalias(rt: Runtime, argv: list[str]) -> int:
    """unalias -a; unalias name ...: remove aliases."""
    every, operands = _operands(argv, "a")
    if every:
        rt.aliases.clear()
        return 0
    if not operands:
        raise CommandError("a name expected", status=2, hint="unalias -a removes all")
    status = 0
    for name in operands:
        if rt.aliases.pop(name, None) is None:
            rt.complain(f"unalias: {name}: not found")
            status = 1
    return status


TABLE: dict[str, Builtin] = {"alias": alias, "unalias": unalias}
