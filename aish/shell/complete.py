"""What could stand at the cursor: commands, files, variables, aish's verbs, @names.

`situation` asks the parser; `questions` says what must be looked up on the machine, which the companion does by a
deadline; `candidates` makes the offer of its answers.
"""

from __future__ import annotations

import os

from aish.lang import scanner
from aish.lang.builtins import TOPIC_OF
from aish.lang.script import Script, parse
from aish.lang.text import quote
from aish.lang.words import RESERVED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

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
    open, '' without one. `closes` must follow a word that is complete before a blank ends it; None: no blank does.
    `variable` is how the word begins in the line where that is a variable with a path behind it, which stays.
    """

    __slots__ = ("closes", "kind", "quote", "start", "variable", "words", "written")

    def __init__(
        self,
        kind: str,
        written: str,
        start: int,
        quote_: str,
        words: list[str],
        closes: str | None = "",
        variable: str = "",
    ) -> None:
        self.kind = kind
        self.written = written
        self.start = start
        self.quote = quote_
        self.variable = variable
        self.words = words
        self.closes = quote_ or closes


def situation(line: str, *, posix: bool = False) -> Situation:
    """What the end of `line` calls for."""
    dollar = _variable(line, posix=posix)
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
            variable = _leading(raw)
            if kind == scanner.REDIRECT:
                return Situation(FILE, unquoted(raw), start, "", [], variable=variable)
            kind = COMMAND if kind == scanner.COMMAND else FILE
            if kind == FILE and words[-1:] == ["aish"] and "/" not in raw:
                kind = VERB
            return Situation(kind, unquoted(raw), start, "", words, variable=variable)
    for opener, start in _open(probe, script):
        if opener in ("'", '"'):
            begun = line[start + 1 :]
            variable = _leading(begun) if opener == '"' else ""
            return Situation(FILE, begun, start + 1, opener, words, variable=variable)
    begin = line.rfind(" ") + 1
    return Situation(FILE, unquoted(line[begin:]), begin, "", words)


def _leading(raw: str) -> str:
    """`$NAME`, `${NAME}` or one of them in double quotes, where a path follows it; '' for other words."""
    found = raw.partition("/")[0] if "/" in raw else ""
    bare = found[1:-1] if len(found) > 2 and found[0] == found[-1] == '"' else found
    return found if bare[:1] == "$" and _name_of(found).isidentifier() and found.isascii() else ""


def _name_of(variable: str) -> str:
    name = variable.strip('"')[1:]
    return name[1:-1] if name[:1] == "{" and name[-1:] == "}" else name


def _open(text: str, script: Script) -> list[tuple[str, int]]:
    """What is open at the end of `text`, each by its first character and its place."""
    return [(text[error.start : error.start + 1], error.start) for error in script.errors if error.incomplete]


def _variable(line: str, *, posix: bool) -> Situation | None:
    """`$NA` or `${NA` at the end."""
    begin = len(line)
    while begin and (line[begin - 1].isalnum() or line[begin - 1] == "_"):
        begin -= 1
    before = line[:begin]
    if not before.endswith(("$", "${")):
        return None
    brace = "}" if before.endswith("{") else ""
    probe = line + "x" + brace
    around = _open(probe, parse(probe, posix=posix))[:1]
    opener = around[0][0] if around else ""
    if opener == "'":
        return None  # no variable
    closes = None if opener == "$" and probe.startswith("${", around[0][1]) else brace + opener * (opener == '"')
    return Situation(VARIABLE, line[begin:], begin, "", [], closes)


def unquoted(raw: str) -> str:
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


def questions(rt: Runtime, wanted: Situation, verbs: Container[str]) -> list[tuple[str, dict[str, object]]]:
    """What must be looked up for it, where that may take long: (question, its fields) for the companion."""
    cwd, path = rt.vars.get("PWD") or "/", rt.vars.get("PATH") or ""
    written = wanted.written
    if wanted.kind == VARIABLE or _job_wanted(wanted):
        return []
    if wanted.kind == VERB:
        return [_files(written, cwd)]
    if wanted.variable:
        value = rt.vars.get(_name_of(wanted.variable))
        return [_files(value + _behind(wanted), cwd)] if value else []
    words = verb_words(rt, wanted, verbs)
    if words:
        asked: list[tuple[str, dict[str, object]]] = [("after", {"words": words, "written": written, "cwd": cwd})]
        if written.startswith("@"):
            return [*asked, ("names", {"cwd": cwd})]
        return asked if written.startswith("-") else [*asked, _files(written, cwd)]
    if written.startswith("@") and not wanted.quote:
        return [("names", {"cwd": cwd})]
    if wanted.kind == COMMAND and "/" not in written:
        return [("programs", {"path": path, "cwd": cwd})]
    if wanted.kind == FILE and wanted.words and not wanted.quote and not written.startswith(("/", "~", ".", "$")):
        words = _spelled_out(rt, wanted.words)
        asked = [("fish", {"line": " ".join([*words, _escaped(written)]), "path": path, "cwd": cwd})]
        if written.startswith("-"):
            return [*asked, ("options", {"words": words, "path": path})]
        return [*asked, _files(written, cwd)]
    return [_files(written, cwd)]


def _spelled_out(rt: Runtime, words: list[str]) -> list[str]:
    """A command with what its alias stands for, where that is words and nothing else."""
    text = rt.aliases.get(words[0], "")
    return (
        [*text.split(), *words[1:]] if text.strip() and not _TO_ESCAPE.intersection(text.replace(" ", "")) else words
    )


def _behind(wanted: Situation) -> str:
    """What is written behind the variable."""
    return wanted.written[len(unquoted(wanted.variable)) :]


def _files(written: str, cwd: str) -> tuple[str, dict[str, object]]:
    return "files", {"written": written, "cwd": cwd}


def candidates(
    rt: Runtime, wanted: Situation, verbs: Iterable[str], answers: Mapping[str, object]
) -> list[tuple[str, str]]:
    """Whole words that fit, each with what there is to tell about it, sorted. `answers` are by their questions, None
    where there was none in time."""
    written = wanted.written
    if wanted.kind == VARIABLE:
        return _fitting(written, [(name, "") for name in rt.vars.names()])
    if _job_wanted(wanted):
        jobs = rt.jobs.jobs.values()
        return _fitting(written, [(f"%{one.number}", f"{one.describe()}: {one.text}") for one in jobs])
    value = (wanted.variable and rt.vars.get(_name_of(wanted.variable))) or ""
    written_so = unquoted(wanted.variable)
    files = [(written_so + path[len(value) :], "") for path in _words(answers.get("files"))]
    if wanted.kind == VERB:
        return _fitting(written, [(verb, "") for verb in verbs]) or sorted(files)
    after = answers.get("after")
    if isinstance(after, list):
        return [(word, about) for word, about in after]
    fish = answers.get("fish")
    if isinstance(fish, list) and fish:
        return sorted((word, about) for word, about in fish)
    if "names" in answers:
        return _fitting(written, _pairs(answers["names"]))
    if "options" in answers:
        return _fitting(written, _pairs(answers["options"]))
    if wanted.kind == COMMAND and "/" not in written:
        own = _own_commands(rt)
        found = [(name, "") for name in _words(answers.get("programs")) if name not in own]
        return _fitting(written, [*own.items(), *found])
    if wanted.kind == COMMAND:
        places = [(path, value + path[len(written_so) :]) for path, _ in files]
        files = [(path, "") for path, place in places if path[-1] == "/" or os.access(_home(place), os.X_OK)]
    return sorted(files)


def _fitting(written: str, found: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted((word, about) for word, about in found if word.startswith(written))


def _words(answer: object) -> list[str]:
    return answer if isinstance(answer, list) else []


def _pairs(answer: object) -> list[tuple[str, str]]:
    return [(word, about) for word, about in answer] if isinstance(answer, list) else []


_OF_JOBS = frozenset(["fg", "bg", "jobs", "kill", "wait", "disown"])


def _job_wanted(wanted: Situation) -> bool:
    return wanted.kind == FILE and wanted.written.startswith("%") and bool(_OF_JOBS.intersection(wanted.words[:1]))


def _own_commands(rt: Runtime) -> dict[str, str]:
    """What the shell itself brings, and what the user has added to it."""
    found = dict.fromkeys(RESERVED, "")
    found.update(dict.fromkeys(TOPIC_OF, "built-in"))
    found.update(dict.fromkeys(rt.functions, "function"))
    found.update({name: f"alias: {text}" for name, text in rt.aliases.items()})
    found.update({name: f"abbreviation: {text}" for name, text in rt.abbreviations.items()})
    return found


def programs(path: str) -> set[str]:
    """Every program in the folders of PATH."""
    found: set[str] = set()
    for folder in path.split(":"):
        try:
            with os.scandir(folder or ".") as entries:
                found.update(entry.name for entry in entries if os.access(entry.path, os.X_OK))
        except OSError:
            continue  # a folder in PATH that is not there
    return found


def files(written: str) -> list[str]:
    """Paths that begin with `written`; folders end in a slash."""
    if written.startswith("~") and "/" not in written:
        import pwd

        return [f"~{user.pw_name}/" for user in pwd.getpwall() if user.pw_name.startswith(written[1:])]
    folder, slash, prefix = written.rpartition("/")
    parent = [written + "/"] if prefix == ".." else []
    try:
        with os.scandir(_home(folder + slash) or ".") as entries:
            return parent + [
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
    if wanted.variable:
        rest = word[len(unquoted(wanted.variable)) :]
        return wanted.variable + written_as(rest, Situation(FILE, "", 0, wanted.quote, []))
    if wanted.quote == "'":
        return word.replace("'", "'\\''")
    if wanted.quote == '"':
        return "".join(["\\" + char if char in '"\\$`' else char for char in word])
    if not word.isprintable():
        return quote(word)
    tilde = word.startswith("~")
    return "~" * tilde + _escaped(word[1:] if tilde else word)


def _escaped(text: str) -> str:
    return "".join(["\\" + char if char in _TO_ESCAPE else char for char in text])
