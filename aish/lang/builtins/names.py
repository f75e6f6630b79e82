"""command type hash: what a command word means."""

from __future__ import annotations

from aish.lang import builtins, lookup
from aish.lang.compile_simple import invoke
from aish.lang.control import CommandError
from aish.lang.words import RESERVED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime


def command(rt: Runtime, argv: list[str]) -> int:
    """command [-p] [-v|-V] name [words]: run a built-in or program although a function has its name."""
    flags, at = "", 1
    while at < len(argv) and len(argv[at]) > 1 and argv[at][0] == "-":
        if argv[at] == "--":
            at += 1
            break
        flags += argv[at][1:]
        at += 1
    if flags.strip("pvV"):
        raise CommandError(f"-{flags}: unknown option", status=2, hint="options are: p v V")
    words = argv[at:]
    if not words:
        return 0
    if "V" in flags:
        return _describe(rt, words)
    if "v" in flags:
        status = 0
        for word in words:
            found = _short(rt, word)
            if found is None:
                status = 1
            else:
                rt.write(found + "\n")
        return status
    if "p" in flags and builtins.find(words[0]) is None:
        path = lookup.search(words[0], lookup.STANDARD_PATH)
        if path is not None:
            words = [path, *words[1:]]
    return invoke(rt, words, functions=False)


def _program(rt: Runtime, word: str) -> str | None:
    path = rt.commands.find(word)
    return path if path is not None and lookup.is_program(path) else None


def _short(rt: Runtime, word: str) -> str | None:
    """What `command -v` says; None where nothing has the name."""
    if word in RESERVED or word in rt.functions or word in builtins.TOPIC_OF or rt.host.is_supervised(word):
        return word
    return _program(rt, word)


def _long(rt: Runtime, word: str) -> str | None:
    """What `type` says."""
    if word in RESERVED:
        return f"{word} is a shell keyword"
    if word in rt.functions:
        return f"{word} is a function\n{rt.functions[word].definition}"
    if word in builtins.SPECIAL:
        return f"{word} is a special shell builtin"
    if word in builtins.TOPIC_OF:
        return f"{word} is a shell builtin"
    if rt.host.is_supervised(word):
        return f"{word} is a supervised process, agent or model"
    path = _program(rt, word)
    return f"{word} is {path}" if path else None


def _kind(rt: Runtime, word: str) -> str | None:
    """What `type -t` says."""
    if word in RESERVED:
        return "keyword"
    if word in rt.functions:
        return "function"
    if word in builtins.TOPIC_OF:
        return "builtin"
    if rt.host.is_supervised(word):
        return "supervised"
    return "file" if _program(rt, word) else None


def _describe(rt: Runtime, words: list[str]) -> int:
    status = 0
    for word in words:
        found = _long(rt, word)
        if found is None:
            rt.complain(f"{word}: not found")
            status = 1
        else:
            rt.write(found + "\n")
    return status


def type_(rt: Runtime, argv: list[str]) -> int:
    """type [-t|-p] name ...: keyword, function, built-in, supervised, or the program's path."""
    words = argv[1:]
    flag = words.pop(0) if words and words[0] in ("-t", "-p", "-P") else ""
    if not flag:
        return _describe(rt, words)
    status = 0
    for word in words:
        if flag == "-t":
            found = _kind(rt, word)
        else:
            found = _program(rt, word) if flag == "-P" or _kind(rt, word) == "file" else None
        if found is None:
            status = 1
        else:
            rt.write(found + "\n")
    return status


def hash_(rt: Runtime, argv: list[str]) -> int:
    """hash [-r] [name ...]: the remembered places of programs."""
    words = argv[1:]
    if words and words[0] == "-r":
        rt.commands.known.clear()
        words = words[1:]
    elif not words:
        for name, path in rt.commands.known.items():
            rt.write(f"{name}\t{path}\n")
    status = 0
    for word in words:
        if word not in builtins.TOPIC_OF and word not in rt.functions and _program(rt, word) is None:
            rt.complain(f"hash: {word}: not found")
            status = 1
    return status


TABLE: dict[str, Builtin] = {"command": command, "type": type_, "hash": hash_}
