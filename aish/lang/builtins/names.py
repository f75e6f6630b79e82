"""command type hash builtin: what a command word means."""

from __future__ import annotations

import os

from aish.lang import builtins, lookup
from aish.lang.builtins.letters import letters, with_values
from aish.lang.control import CommandError
from aish.lang.invocation import invoke, run_builtin
from aish.lang.text import single_quoted
from aish.lang.words import RESERVED

_BUCKETS = 256
"""Of bash's table of programs, in whose order they are listed."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime

    Meaning = tuple[str, str]
    """(alias keyword function builtin supervised file, the value or the path)"""


def command(rt: Runtime, argv: list[str]) -> int:
    """command [-p] [-v|-V] name [words]: run a built-in or program although a function has its name."""
    flags, words = letters(argv, "pvV")
    if not words:
        return 0
    path = lookup.STANDARD_PATH if "p" in flags else None
    if flags.strip("p"):
        verbose = flags.strip("p")[-1] == "V"
        return _describe_each(rt, words, verbose, path)
    if path is not None and not _is_builtin(rt, words[0]) and "/" not in words[0]:
        program = lookup.search(words[0], path)
        if program is not None:
            words = [program, *words[1:]]
    return invoke(rt, words, functions=False)


def _describe_each(rt: Runtime, words: list[str], verbose: bool, path: str | None) -> int:
    """command -v and -V: 0 where at least one name means something."""
    status = 1
    for word in words:
        found = _meanings(rt, word, path=path)
        if found:
            status = 0
            rt.write((_long(rt, word, found[0]) if verbose else _short(word, found[0])) + "\n")
        elif verbose:
            rt.complain(f"command: {word}: not found")
    return status


def _meanings(
    rt: Runtime, word: str, *, every: bool = False, functions: bool = True, path: str | None = None
) -> list[Meaning]:
    """What a command word means, the meaning that counts first; with `every`, also those behind it."""
    found: list[Meaning] = []
    if word in rt.aliases and rt.expands_aliases():
        found.append(("alias", rt.aliases[word]))
    if word in RESERVED:
        found.append(("keyword", ""))
    special = rt.posix and word in builtins.SPECIAL
    if functions and word in rt.functions and not special:
        found.append(("function", ""))
    if _is_builtin(rt, word):
        found.append(("builtin", ""))
    if functions and word in rt.functions and special:
        found.append(("function", ""))
    if rt.host.is_supervised(word):
        found.append(("supervised", ""))
    if every or not found:
        found.extend([("file", program) for program in _programs(rt, word, path, every)])
    return found if every else found[:1]


def _is_builtin(rt: Runtime, word: str) -> bool:
    return word in builtins.TOPIC_OF and word not in rt.disabled


def _programs(rt: Runtime, word: str, path: str | None, every: bool) -> list[str]:
    """The program that `word` runs, or all in PATH that have the name."""
    if "/" in word:
        return [word] if lookup.is_program(word) else []
    if not word:
        return []
    if path is None:
        known = rt.commands.known.get(word)
        if known is not None and not every:
            return [known]
        path = rt.values.get("PATH", "")
    found: list[str] = []
    second: list[str] = []
    for folder in path.split(":"):
        candidate = f"{folder}/{word}" if folder else f"./{word}"
        if lookup.is_program(candidate):
            if candidate not in found:
                found.append(candidate)
            if not every:
                break
        elif not second and os.path.isfile(candidate):
            second.append(candidate)  # no program, and yet what running the word would stumble over
    return found or second


def _short(word: str, meaning: Meaning) -> str:
    """What `command -v` says."""
    kind, value = meaning
    if kind == "alias":
        return f"alias {word}={single_quoted(value)}"
    return value if kind == "file" else word


def _long(rt: Runtime, word: str, meaning: Meaning, *, every: bool = False) -> str:
    """What `type` says."""
    kind, value = meaning
    match kind:
        case "alias":
            return f"{word} is aliased to `{value}'"
        case "keyword":
            return f"{word} is a shell keyword"
        case "function":
            from aish.lang.builtins.functions import laid_out

            return f"{word} is a function\n{laid_out(rt.functions[word])}"
        case "builtin":
            special = "special " * (rt.posix and word in builtins.SPECIAL)
            return f"{word} is a {special}shell builtin"
        case "supervised":
            return f"{word} is a supervised process, agent or model"
        case _:
            if rt.commands.known.get(word) == value and not every:
                return f"{word} is hashed ({value})"
            return f"{word} is {value}"


def type_(rt: Runtime, argv: list[str]) -> int:
    """type [-afptP] name ...: keyword, function, built-in, supervised, or the program's path."""
    flags, words = letters(_old_style(argv), "afptP")
    status = 0
    for word in words:
        every = "a" in flags
        if "P" in flags:
            known = rt.commands.known.get(word)
            found: list[Meaning] = (
                [("file", known)]
                if known and not every
                else [("file", path) for path in _programs(rt, word, None, every)]
            )
        else:
            found = _meanings(rt, word, every=every, functions="f" not in flags)
        if not found:
            status = 1
            if not set("tpP") & set(flags):
                rt.complain(f"type: {word}: not found")
        for meaning in found:
            _show(rt, word, meaning, flags)
    return status


def _old_style(argv: list[str]) -> list[str]:
    """-type, -path and -all are taken, too, as bash takes them."""
    long = {"-type": "-t", "--type": "-t", "-path": "-p", "--path": "-p", "-all": "-a", "--all": "-a"}
    return [long.get(word, word) for word in argv]


def _show(rt: Runtime, word: str, meaning: Meaning, flags: str) -> None:
    last = next((flag for flag in reversed(flags) if flag in "tpP"), "")
    if last == "t":
        rt.write(meaning[0] + "\n")
    elif not last:
        rt.write(_long(rt, word, meaning, every="a" in flags) + "\n")
    elif meaning[0] == "file":
        rt.write(meaning[1] + "\n")


def builtin(rt: Runtime, argv: list[str]) -> int:
    """builtin [name [words]]: run a built-in although a function has its name."""
    _, words = letters(argv, "")
    if not words:
        return 0
    found = builtins.find(words[0]) if _is_builtin(rt, words[0]) else None
    if found is None:
        raise CommandError(f"{words[0]}: not a shell builtin")
    return run_builtin(rt, found, words)


# --------------------------------------------------------------------------------------------- hash


def hash_(rt: Runtime, argv: list[str]) -> int:
    """hash [-lr] [-p path] [-dt] [name ...]: the remembered places of programs."""
    options, names = with_values(argv, "dlp:rt")
    flags = {letter for letter, _ in options}
    path = next((value for letter, value in reversed(options) if letter == "p"), None)
    known = rt.commands.known
    if not rt.hashall:
        raise CommandError("nothing is remembered", hint="set -h turns it on")
    if "r" in flags:
        rt.commands.clear()
    if not names:
        if flags & {"d", "t"}:
            raise CommandError(f"-{'t' if 't' in flags else 'd'}: its argument is missing")
        if not flags - {"l"}:
            _show_known(rt, "l" in flags)
        return 0
    status = 0
    for name in names:
        if "t" in flags:
            ok = name in known
            if ok:
                _show_one(rt, name, "l" in flags, len(names) > 1)
        elif path is not None:
            if os.path.isdir(path):
                raise CommandError(f"{path}: is a directory")
            known[name] = path
            rt.commands.hits[name] = 0
            continue
        elif "d" in flags:
            ok = known.pop(name, None) is not None
        else:
            ok = "/" in name or name in rt.functions or _is_builtin(rt, name) or rt.commands.remember(name)
        if not ok:
            rt.complain(f"hash: {name}: not found")
            status = 1
    return status


def _show_known(rt: Runtime, reusable: bool) -> None:
    from aish.lang.arrays import in_order

    known = {name: rt.commands.known[name] for name in in_order(rt.commands.known, _BUCKETS)}
    if reusable:
        rt.write("".join([f"builtin hash -p {path} {name}\n" for name, path in known.items()]))
    elif known:
        lines = [f"{rt.commands.hits.get(name, 0):4}\t{path}\n" for name, path in known.items()]
        rt.write("hits\tcommand\n" + "".join(lines))
    elif not rt.posix:
        rt.write("hash: hash table empty\n")


def _show_one(rt: Runtime, name: str, reusable: bool, named: bool) -> None:
    path = rt.commands.known[name]
    if reusable:
        rt.write(f"builtin hash -p {path} {name}\n")
    else:
        rt.write(f"{name}\t{path}\n" if named else f"{path}\n")


TABLE: dict[str, Builtin] = {"command": command, "type": type_, "hash": hash_, "builtin": builtin}
