"""Colours for prompt_toolkit: by our parser, and by what is known of the words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.lexers import Lexer

from aish.shell.highlight import by_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.document import Document
    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from aish.lang.runtime import Runtime
    from aish.shell.known_words import KnownWords


class ShellLexer(Lexer):
    """Colours by our parser, and by what is known of the words. `plain` says how many lines have none."""

    def __init__(self, rt: Runtime, known: KnownWords | None = None, plain: Callable[[], int] | None = None) -> None:
        self.rt = rt
        self.known = known
        self.plain = plain

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        judge = self.known.judge if self.known is not None else None
        lines = by_line(document.text, posix=self.rt.posix, judge=judge)

        def get(number: int) -> StyleAndTextTuples:
            if number >= len(lines):
                return []
            if self.plain is not None and number < self.plain():
                return [("", piece) for _, piece in lines[number]]
            return [(f"class:aish.{kind}" if kind else "", piece) for kind, piece in lines[number]]

        return get
