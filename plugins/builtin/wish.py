"""What a tool is about to do, as a person is asked about it, and whom nobody has to ask any more. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aish.spi.acting import DEFAULT, LOOKING
from aish.wire import question as q
from aish.wire.question import OptionPart

if TYPE_CHECKING:
    from collections.abc import Mapping

TITLE_CHARS: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """`grant` is what "always" stands for: a later wish with the same one is not asked about. It is the exact
    command, file, host, agent or tool: a prefix of a command would let its further words do anything."""

    title: str
    grant: str
    always: str
    """The grant in words."""
    body: str = ""
    form: str = q.TEXT
    free: bool = False
    """Nobody is asked where the tool is not denied: it looks at, or ends, what the agent has started."""


def options(wish: Wish) -> tuple[OptionPart, ...]:
    return (
        OptionPart(id="once", label="Allow", meaning=q.ALLOW),
        OptionPart(id="always", label=f"Allow {wish.always} from now on", meaning=q.ALLOW_ALWAYS),
        OptionPart(id="no", label="Deny", meaning=q.DENY),
    )


ALLOWED: Final = frozenset({"once", "always"})


def rule(tool: str, table: Mapping[str, str], otherwise: str) -> str:
    """ "ask", "allow" or "deny": the tool's own, else that of looking, else that of all tools, else `otherwise`."""
    if tool in table:
        return table[tool]
    return "allow" if tool in LOOKING else table.get(DEFAULT, otherwise)


def one_line(text: str, chars: int = TITLE_CHARS) -> str:
    """Printable, on one line, with the beginning of what is longer."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * chars]).split())
    return line if len(line) <= chars else line[: chars - 1] + "…"
