"""let: arithmetic as a command."""

from __future__ import annotations

from aish.lang.compile_arithmetic import evaluate
from aish.lang.control import CommandError
from aish.lang.source import ExpansionError, Site, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime


def let(rt: Runtime, argv: list[str]) -> int:
    """let expression ...: status 0 where the last one is not 0."""
    words = argv[2:] if argv[1:2] == ["--"] else argv[1:]
    if not words:
        raise CommandError("an expression expected", hint="let 'x = x + 1'")
    site = rt.at or Site(Source(rt.name), 0, 0)
    value = 0
    for word in words:
        try:
            value = evaluate(rt, word, site)
        except ExpansionError as error:
            if error.fatal or error.discards:
                raise
            raise CommandError(f"{word}: {error.message.removeprefix('arithmetic: ')}") from None
    return 0 if value else 1


TABLE: dict[str, Builtin] = {"let": let}
