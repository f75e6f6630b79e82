"""`${NAME}` in the texts of a file: ${NAME:-default}, ${NAME:?message}, `$$` for a `$`. Pure.

A `$` without a brace stays what it is: it belongs to shells. Keys of providers are refused: what a declaration says
can be seen by everybody who looks at the process.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from aish.model.provider_keys import PROVIDER_KEYS
from aish.project.value import WRONG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aish.config.document import Document
    from aish.config.places import Path
    from aish.config.problem import Problems

TEXT_MOST: Final = 64 << 10
TOTAL_MOST: Final = 8 << 20
_MARK: Final = re.compile(r"\$(?:\$|\{([^{}]*)\}?)")
_INSIDE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-?])(.*))?", re.S)


class Expander:
    """Of one project: `variables` are the caller's with those of [env] over them."""

    def __init__(self, variables: Mapping[str, str], problems: Problems) -> None:
        self.variables = dict(variables)
        self.problems = problems
        self.unknown: set[str] = set()
        """Variables that are set to what cannot be had."""
        self._total = 0

    def tree(self, raw: Any, document: Document, at: Path) -> Any:
        """`raw` with every text in it expanded, or WRONG in its place; keys stay as they are."""
        match raw:
            case str():
                return self.text(raw, document, at)
            case dict():
                return {key: self.tree(item, document, (*at, key)) for key, item in raw.items()}
            case list():
                return [self.tree(item, document, (*at, place)) for place, item in enumerate(raw)]
            case _:
                return raw

    def text(self, raw: str, document: Document, at: Path) -> str | None:
        """WRONG where it cannot be expanded, which is a problem."""
        if "$" not in raw:
            return raw
        lacking: set[str] = set()
        pieces: list[str] = []
        done = size = 0
        for found in _MARK.finditer(raw):
            value: str | None = "$"
            if found[1] is not None and found[0] not in lacking:  # once is enough
                value = self._value(found, document, at)
            if value is None:
                lacking.add(found[0])
            pieces += (raw[done : found.start()], value or "")
            size += len(pieces[-2]) + len(pieces[-1])
            done = found.end()
            if size > TEXT_MOST or self._total + size > TOTAL_MOST:
                self.problems.add(document, at, f"expands to more than {TEXT_MOST:,} characters")
                return WRONG
        self._total += size
        return "".join(pieces) + raw[done:] if not lacking else WRONG

    def _value(self, found: re.Match[str], document: Document, at: Path) -> str | None:
        """None where it cannot be had, which is a problem."""
        inside = _INSIDE.fullmatch(found[1])
        if inside is None or not found[0].endswith("}"):
            self.problems.add(
                document,
                at,
                f"{found[0][:40]!r} is no variable",
                "write ${NAME}, ${NAME:-default} or ${NAME:?message}; $$ stands for a $",
            )
            return None
        name, mark, rest = inside[1], inside[2] or "", inside[3] or ""
        if name in PROVIDER_KEYS:
            self.problems.add(
                document, at, f"the key in {name} would be seen by whoever looks", f'hand it on: keys = ["{name}"]'
            )
            return None
        if name in self.unknown:
            return None  # which is told there
        value = self.variables.get(name)
        if value is not None and not _is_text(value):
            self.problems.add(document, at, f"the variable {name} is not UTF-8 text")
            return None
        if value is not None and (value or not mark.startswith(":")):
            return value
        if mark.endswith("-"):
            return rest
        lacking = "is empty" if value is not None else "is not set"
        told = f": {rest}" if mark and rest else ""
        hint = "${" + name + ":-default} would say what it is then; $$ stands for a $"
        self.problems.add(document, at, f"the variable {name} {lacking}{told}", None if told else hint)
        return None


def _is_text(value: str) -> bool:
    """What the system gave us may be any bytes; a declaration may not."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
