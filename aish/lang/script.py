"""A whole text at once, with every error in it: for the editor, and for who only wants to look."""

from __future__ import annotations

from aish.lang.parser import Parser
from aish.lang.source import ParseError, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from aish.lang.kept_trees import KeptParser
    from aish.lang.tree import Sequence

MAX_ERRORS = 100
"""After so many the text is no shell script, and nobody reads on."""


class Script:
    """What `parse` found: `commands`, every error, whether more text could complete it, and the marks."""

    __slots__ = ("commands", "errors", "incomplete", "marks", "source")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.commands: list[Sequence] = []
        self.errors: list[ParseError] = []
        self.incomplete = False
        self.marks: list[tuple[int, int, str]] = []


def parse(
    text: str,
    name: str = "-",
    *,
    posix: bool = False,
    extended: bool = False,
    aliases: Mapping[str, str] | None = None,
) -> Script:
    """The whole of `text`, with the errors in it (at most MAX_ERRORS). Never raises for any text. `extended`: as
    under `shopt -s extglob`; `aliases`: as they are where it will run, None for the text as it stands."""
    source = Source(name, text)
    parser = Parser(source, posix=posix)
    parser.extended = extended
    parser.aliases = aliases
    script = Script(source)
    parser.marks = script.marks
    while True:
        try:
            command = parser.next()
        except ParseError as error:
            script.errors.append(error)
            if error.incomplete or error.end >= len(source.text):
                script.incomplete = True
            if len(script.errors) >= MAX_ERRORS:
                break
            parser.recover()
            continue
        if command is None:
            break
        script.commands.append(command)
    script.incomplete = script.incomplete or parser.dangling
    return script


def errors_from(parser: Parser | KeptParser, first: ParseError) -> list[ParseError]:
    """`first`, which the parser has raised, and the errors behind it (at most MAX_ERRORS in all)."""
    found = [first]
    while len(found) < MAX_ERRORS:
        parser.recover()
        try:
            while parser.next() is not None:
                pass
        except ParseError as error:
            found.append(error)
        else:
            break
    return found
