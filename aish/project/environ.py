"""The environment that an entry declares, and what it has of the caller beside. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aish.errors import SourceError
from aish.model.provider_keys import PROVIDER_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BASE: Final = frozenset(["HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER"])
BASE_BEGINNINGS: Final = ("LC_", "XDG_")
_LINE: Final = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)", re.S)
_SINGLE: Final = re.compile(r"'([^']*)'")
_DOUBLE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.S)
_CLOSES: Final = re.compile(r'(?:^|[^\\])(?:\\\\)*"')
_ESCAPE: Final = re.compile(r"\\(.)", re.S)
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r"}


def of_caller(caller: Mapping[str, str], inherit: Iterable[str], keys: Iterable[str]) -> dict[str, str]:
    """The caller's variables that an entry gets: usual ones, those of `inherit`; provider keys by `keys` alone."""
    wanted, named = set(inherit), set(keys)
    return {
        name: value
        for name, value in caller.items()
        if name in named
        or (name not in PROVIDER_KEYS and (name in BASE or name in wanted or name.startswith(BASE_BEGINNINGS)))
    }


def dotenv(text: str, shown: str) -> dict[str, str]:
    """A file of NAME=value lines, as docker and most libraries read it: `export` may stand before, # begins a
    comment, 'single' quotes keep everything, "double" ones know \\n and may go over lines. Nothing is expanded.
    Raises SourceError, without the value."""
    found: dict[str, str] = {}
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    at = 0
    while at < len(lines):
        number, line = at + 1, lines[at].strip()
        at += 1
        if not line or line.startswith("#"):
            continue
        parts = _LINE.fullmatch(line)
        if parts is None or "\0" in line:
            raise SourceError("expected NAME=value", file=shown, line=number, hint="a comment begins with #")
        name, value = parts[1], parts[2]
        if value.startswith('"') and _DOUBLE.match(value) is None:
            end = next((more for more in range(at, len(lines)) if _CLOSES.search(lines[more])), len(lines))
            value = "\n".join([value, *lines[at : end + 1]])
            at = end + 1
        found[name] = _value(value, shown, number)
    return found


def _value(text: str, shown: str, number: int) -> str:
    if text[:1] not in ("'", '"'):
        return re.split(r"\s+#", text, maxsplit=1)[0].rstrip()
    quoted = (_SINGLE if text[0] == "'" else _DOUBLE).match(text)
    rest = text[quoted.end() :].strip() if quoted is not None else ""
    if quoted is None or (rest and not rest.startswith("#")):
        raise SourceError(f"a {text[0]} has no other one", file=shown, line=number)
    if text[0] == "'":
        return quoted[1]
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), quoted[1])
