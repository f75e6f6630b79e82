"""The syntax of systemd.syntax(7): sections, keys that may come again, lines that go on. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aish.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SPAN: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)")
_UNITS: Final = {
    **dict.fromkeys(("us", "usec"), 1e-6),
    **dict.fromkeys(("ms", "msec"), 1e-3),
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604800.0),
}


class Unit:
    """What was asked for is gone from it: the rest is what nobody took."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.values: dict[tuple[str, str], list[str]] = {}

    def all(self, section: str, key: str) -> list[str]:
        """Every value, in order; an empty one has cleared those before it."""
        return self.values.pop((section, key), [])

    def pop(self, section: str, key: str) -> str | None:
        """The last one counts."""
        values = self.all(section, key)
        return values[-1] if values else None

    def rest(self) -> Iterator[tuple[str, str, str]]:
        for (section, key), values in self.values.items():
            for value in values:
                yield section, key, value


def parse(text: str, file: str) -> Unit:
    """Raises SourceError."""
    unit = Unit(file)
    section = ""
    lines = iter(enumerate(text.replace("\r\n", "\n").split("\n"), 1))
    for number, line in lines:
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            if not line.endswith("]"):
                raise SourceError("expected [Section]", file=file, line=number)
            section = line[1:-1]
            continue
        parts = [line]
        while parts[-1].endswith("\\"):
            parts[-1] = parts[-1][:-1].rstrip()
            more = next(lines, None)
            if more is None:
                break
            if not more[1].lstrip().startswith(("#", ";")):
                parts.append(more[1].strip())
            else:
                parts[-1] += "\\"
        key, equals, value = " ".join(parts).partition("=")
        if not equals or not section:
            raise SourceError("expected KEY=VALUE below a [Section]", file=file, line=number)
        values = unit.values.setdefault((section, key.strip()), [])
        if value.strip():
            values.append(value.strip())
        else:
            values.clear()
    return unit


def seconds(text: str | None) -> str | None:
    """A time span as aish.toml writes it; None: there is none, or it is infinite."""
    if not text:
        return None
    total, at = 0.0, 0
    for found in _SPAN.finditer(text):
        if found.start() != at or found[2] not in _UNITS:
            return None
        total += float(found[1]) * _UNITS[found[2]]
        at = found.end()
    return f"{total:.10g}s" if total > 0 and at == len(text) else None
