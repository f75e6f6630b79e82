"""What could stand at the cursor: commands, files, variables, aish's verbs, @names.

`situation` asks the parser; `candidates` looks at the machine, and runs in a copy of the shell with a deadline.
"""

from __future__ import annotations

import os

from aish.lang import scanner
from aish.lang.builtins import TOPIC_OF
from aish.lang.parser import parse
from aish.lang.text import quote
from aish.lang.words import RESERVED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Iterable

    from aish.lang.runtime import Runtime

COMMAND = "command"
FILE = "file"
VARIABLE = "variable"
VERB = "verb"

_KINDS = (scanner.COMMAND, scanner.ARGUMENT, scanner.REDIRECT)
_TO_ESCAPE = frozenset(" \t\n\\'\"`$&|;<>()*?[]#~!{}")


class Situation:
    """What is being typed: its `kind`, the text so far without quoting, and where it begins in the line.

    `words` are those before it, from the command on; none in a redirection. `quote` is the quote character that is
    open, '' without one.
    """

    __slots__ = ("kind", "quote", "start", "words", "written")

    def __init__(self, kind: str, written: str, start: int, quote_: str, words: list[str]) -> None:
        self.kind = kind
        self.written = written
        self.start = start
        self.quote = quote_
        self.words = words


def situation(line: str, *, posix: bool = False) -> Situation:
    """What the end of `line` calls for."""
    dollar = _variable(line)
    if dollar is not None:
        return dollar
    probe = line + "x"
    script = parse(probe, posix=posix)
    words: list[str] = []
    for a, b, kind in script.marks:
        if kind in _KINDS and b < len(probe):
            words = [*([] if kind == scanner.COMMAND else words), probe[a:b]]
    for start, end, kind in reversed(script.marks):
        if end == len(probe) and kind in _KINDS:
            raw = probe[start : end - 1]
            if kind == scanner.REDIRECT:
                return Situation(FILE, _unquoted(raw), start, "", [])
            kind = COMMAND if kind == scanner.COMMAND else FILE
            if kind == FILE and words[-1:] == ["aish"] and "/" not in raw:
                kind = VERB
            return Situation(kind, _unquoted(raw), start, "", words)
    for error in script.errors:
        opener = probe[error.start : error.start + 1]
        if error.incomplete and opener in ("'", '"'):
            return Situation(FILE, line[error.start + 1 :], error.start + 1, opener, words)
    begin = line.rfind(" ") + 1
    return Situation(FILE, _unquoted(line[begin:]), begin, "", words)


def _variable(line: str) -> Situation | None:
    """`$NA` or `${NA` at the end."""
    begin = len(line)
    while begin and (line[begin - 1].isalnum() or line[begin - 1] == "_"):
        begin -= 1
    before = line[:begin]
    if before.endswith(("$", "${")):
        return Situation(VARIABLE, line[begin:], begin, "", [])
    return None


def _unquoted(raw: str) -> str:
    """The text of a word that is being typed, as far as it can be told."""
    found: list[str] = []
    chars = iter(raw)
    for char in chars:
        if char == "\\":
            found.append(next(chars, ""))
        elif char not in "'\"":
            found.append(char)
    return "".join(found)


def verb_words(rt: Runtime, wanted: Situation, verbs: Container[str]) -> list[str]:
    """A verb and what was written behind it: `aish stop x`, or its short form; [] where it is no verb's word."""
    words = wanted.words
    if words[:1] == ["aish"]:
        words = words[1:]
    elif not words or words[0] not in rt.functions:
        return []
    return words if wanted.kind == FILE and not wanted.quote and words and words[0] in verbs else []


def described(
    rt: Runtime,
    wanted: Situation,
    verbs: Collection[str],
    names: Callable[[], list[str]],
    after: Callable[[list[str], str], list[tuple[str, str]] | None],
) -> list[tuple[str, str]]:
    """The candidates, each with what there is to tell about it: a process's state, an option's meaning."""
    words = verb_words(rt, wanted, verbs)
    found = after(words, wanted.written) if words else None
    return [(word, "") for word in candidates(rt, wanted, verbs, names)] if found is None else found


def candidates(rt: Runtime, wanted: Situation, verbs: Iterable[str], names: Callable[[], list[str]]) -> list[str]:
    """Whole words that fit, sorted. Reads folders and asks for names: it may take long."""
    written = wanted.written
    if wanted.kind == VARIABLE:
        found: Iterable[str] = [name for name in rt.vars.names() if name.startswith(written)]
    elif written.startswith("@") and not wanted.quote:
        found = [name for name in _with_at(names()) if name.startswith(written)]
    elif wanted.kind == VERB:
        found = [verb for verb in verbs if verb.startswith(written)] or files(written)
    elif wanted.kind == COMMAND and "/" not in written:
        found = {name for name in commands(rt) if name.startswith(written)}
    else:
        found = files(written)
        if wanted.kind == COMMAND:
            found = [path for path in found if path.endswith("/") or os.access(_home(path), os.X_OK)]
    return sorted(found)


def _with_at(names: list[str]) -> list[str]:
    return [name if name.startswith("@") else f"@{name}" for name in names]


def commands(rt: Runtime) -> set[str]:
    """Every command word there is: built-ins, functions, reserved words, programs in PATH."""
    found = set(TOPIC_OF) | set(rt.functions) | set(RESERVED)
    for folder in (rt.vars.get("PATH") or "").split(":"):
        try:
            with os.scandir(folder or ".") as entries:
                found.update(entry.name for entry in entries if os.access(entry.path, os.X_OK))
        except OSError:
            continue  # a folder in PATH that is not there
    return found


def files(written: str) -> list[str]:
    """Paths that begin with `written`; folders end in a slash."""
    folder, slash, prefix = written.rpartition("/")
    try:
        with os.scandir(_home(folder + slash) or ".") as entries:
            return [
                folder + slash + entry.name + "/" * _is_folder(entry)
                for entry in entries
                if entry.name.startswith(prefix) and (prefix[:1] == "." or entry.name[0] != ".")
            ]
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _home(path: str) -> str:
    return os.path.expanduser(path) if path.startswith("~") else path


def written_as(word: str, wanted: Situation) -> str:
    """How `word` is put into the line: escaped, or inside the quotes that are open."""
    if wanted.kind == VARIABLE:
        return word
    if wanted.quote == "'":
        return word.replace("'", "'\\''")
    if wanted.quote == '"':
        return "".join(["\\" + char if char in '"\\$`' else char for char in word])
    if not word.isprintable():
        return quote(word)
    tilde = word.startswith("~")
    body = word[1:] if tilde else word
    return "~" * tilde + "".join(["\\" + char if char in _TO_ESCAPE else char for char in body])
