"""Words with braces to closures. The words that they give are compiled when they are first needed."""

from __future__ import annotations

from aish.lang import compile_word
from aish.lang.brace_expansion import BraceError, expand, has_braces
from aish.lang.source import ExpansionError, Site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.compile_word import Constant, Fields, Many, Single
    from aish.lang.runtime import Runtime
    from aish.lang.source import Source
    from aish.lang.tree import Word

    Compile = Callable[[Source, Word], "Constant | Single | Many"]

_KEPT = 10_000
"""So many words of {1..n} are kept for the next time that the command runs."""


def braced(src: Source, word: Word, one: Compile = compile_word.unbraced) -> Many | None:
    """The closure for a word with braces, `one` compiling what it gives; None where they are text."""
    if not has_braces(word):
        return None
    plain = compile_word.argument_list([one(src, word)])
    site = Site(src, word.start, word.end)
    kept: list[Fields] = []

    def run(rt: Runtime) -> list[str]:
        if not rt.braceexpand:
            return plain(rt)
        if kept:
            return kept[0](rt)
        found: list[Constant | Single | Many] = []
        try:
            for each in expand(word):
                found.append(compile_word.Constant(each) if isinstance(each, str) else one(src, each))
        except BraceError as error:
            raise ExpansionError(error.message, src, site.start, site.end) from None
        fields = compile_word.argument_list(found)
        if len(found) <= _KEPT:
            kept.append(fields)
        return fields(rt)

    return compile_word.Many(run)
