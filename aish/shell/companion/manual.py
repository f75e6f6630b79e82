"""The options of programs, from their manual pages, else from what they say to --help.

A page is only read. A program is run only where it is safe to believe that it will print and leave: an executable of
root's in a system folder that nobody else may write, not setuid, no script, with the text `--help` in it. It gets no
input, no terminal, an empty environment, and little time.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess

WITHIN_S = 0.7
_FOLDERS = ("/usr/bin", "/bin", "/usr/sbin", "/sbin")
_MAN_FOLDERS = ("/usr/share/man", "/usr/local/share/man")
_MOST_BYTES = 1 << 20
_kept: dict[tuple[str, float], list[tuple[str, str]]] = {}

_ROFF = re.compile(r"\\f[A-Z]|\\f\(..|\\f\[[^]]*\]|\\s[-+]?\d|\\[&|^/,]|\\m\[[^]]*\]")
_LAYOUT = frozenset([".PP", ".P", ".RE", ".RS", ".sp", ".br", ".LP", ".nf", ".fi"])
_REMARKS = ("'\\\"", '.\\"')
_OPTION = re.compile(r"(?:^|[\s,|\[])(--?[A-Za-z0-9][\w-]*)")


def options(words: list[str], path: str) -> list[tuple[str, str]] | None:
    """(option, what it does) of the program `words[0]`, or of its subcommand `words[1]`; None: nothing is known."""
    name = words[0]
    program = name if "/" in name else _search(name, path)
    if program is None:
        return None
    pages = [f"{name}-{words[1]}", name] if len(words) > 1 and words[1].isidentifier() else [name]
    try:
        key = (f"{program} {pages[0]}", os.stat(program).st_mtime)
    except OSError:
        return None
    if key not in _kept:
        found: list[tuple[str, str]] = []
        for page in pages:
            found = found or _of_page(os.path.basename(page))
        if not found and harmless(program):
            found = of_text(_help(program))
        _kept[key] = found
    return _kept[key] or None


def _search(name: str, path: str) -> str | None:
    candidates = (os.path.join(folder, name) for folder in path.split(":") if folder)
    return next((found for found in candidates if os.access(found, os.X_OK)), None)


# ------------------------------------------------------------------------------------------- manual


def _of_page(name: str) -> list[tuple[str, str]]:
    for folder in _MAN_FOLDERS:
        for section in ("1", "8"):
            for tail in (".gz", ""):
                path = f"{folder}/man{section}/{name}.{section}{tail}"
                try:
                    return of_text(_plain(_text(path, gzipped=bool(tail))))
                except (OSError, EOFError):
                    continue
    return []


def _text(path: str, *, gzipped: bool) -> str:
    import gzip

    with gzip.open(path) if gzipped else open(path, "rb") as file:
        return file.read(_MOST_BYTES).decode("utf-8", "replace")


def _plain(roff: str) -> str:
    """A manual page as text: an option begins a line, and what it does is on the next one, indented."""
    lines: list[str] = []
    heading = False
    for line in roff.split("\n"):
        request, _, rest = line.partition(" ")
        if request in (".TP", ".TQ", ".IP", ".It", ".HP"):
            heading = True
            if not rest or request in (".TP", ".TQ", ".HP"):
                continue
            line = rest.replace("Fl ", "-").strip('"')
        elif request in (".B", ".BR", ".I", ".IR", ".RB", ".BI", ".SM", ".Op", ".RI"):
            line = rest.replace('"', "") if request != ".BR" else rest.replace('"', "").replace(" ", "", 1)
        elif request in _LAYOUT or request[:3] in _REMARKS:
            continue
        elif request[:1] == ".":
            line = rest
        text = _ROFF.sub("", line).replace("\\-", "-").replace("\\(aq", "'").replace("\\ ", " ").strip()
        if text:
            lines.append(text if heading or text.startswith("-") else "    " + text)
            heading = False
    return "\n".join(lines)


# --------------------------------------------------------------------------------------------- help


def harmless(program: str) -> bool:
    """Whether it may be run with --help, by the rule above."""
    real = os.path.realpath(program)
    if os.path.dirname(real) not in _FOLDERS:
        return False
    try:
        found = os.stat(real)
        if found.st_uid != 0 or found.st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWGRP | stat.S_IWOTH):
            return False
        with open(real, "rb") as file:
            data = file.read(64 << 20)
    except OSError:
        return False
    return data[:4] == b"\x7fELF" and b"--help" in data


def _help(program: str) -> str:
    try:
        done = subprocess.run(
            [program, "--help"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TERM": "dumb"}, timeout=WITHIN_S, check=False,
            start_new_session=True,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout[:_MOST_BYTES].decode("utf-8", "replace")


def of_text(text: str) -> list[tuple[str, str]]:
    """(option, what it does) of lines that begin with an option. Pure."""
    found: dict[str, str] = {}
    lines = text.split("\n")
    for number, line in enumerate(lines):
        stripped = line.strip()
        if not stripped.startswith("-") or len(stripped) < 2:
            continue
        head, _, about = stripped.partition("  ")
        about = about.strip()
        if not about and number + 1 < len(lines) and not lines[number + 1].strip().startswith("-"):
            about = lines[number + 1].strip()
        for option in _OPTION.findall(head):
            found.setdefault(option, about[:80])
    return list(found.items())
