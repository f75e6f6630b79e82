"""Whether a command that is typed goes on in another line."""

from __future__ import annotations

from aish.lang.script import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.runtime import Runtime


def goes_on(rt: Runtime, text: str) -> bool:
    """As the shell will read it: an alias may stand for the begin of a compound command."""
    aliases = rt.aliases if rt.aliases and rt.expands_aliases() else None
    return parse(text, posix=rt.posix, extended="extglob" in rt.shopt, aliases=aliases).incomplete
