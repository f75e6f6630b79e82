"""A program's text, the places in it, and the errors that point at them.

Nodes carry offsets into `Source.text`. Lines and columns are counted only when somebody asks, from the last
place that was asked for, because the compiler asks in order.
"""

from __future__ import annotations

from aish.error import SourceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.tree import Node

WINDOWS = (
    "its lines end as on Windows, by \\r\\n, and \\r is a part of the last word: `sed -i 's/\\r$//' FILE` mends it"
)
"""A hint that more than one kind of error needs."""


class Source:
    """Text under a name. It grows while a script is read from a pipe or a large file.

    `line_shift` is added to every line number: the text of a trap or of `eval` stands on a later line.
    """

    __slots__ = ("_line", "_offset", "_replaced", "changed", "late", "line_shift", "name", "offsets", "text")

    def __init__(self, name: str, text: str = "", *, line_shift: int = 0) -> None:
        self.name = name
        self.text = text
        self.line_shift = line_shift
        self.offsets: list[int] | None = None
        """Where each character stands in the text that this one was cut out of; None: nobody needs to know."""
        self.late = False
        """Whether functions are compiled when they are first called: of a long file most are not."""
        self.changed = False
        """Whether it is not what was read any more."""
        self._offset = 0
        self._line = 1
        self._replaced: list[tuple[int, int]] = []
        """(where, how many): lines that replaced text brought in; the file does not have them."""

    def line(self, offset: int) -> int:
        """The line of `offset`, from 1."""
        if offset >= self._offset:
            self._line += self.text.count("\n", self._offset, offset)
        else:
            self._line -= self.text.count("\n", offset, self._offset)
        self._offset = offset
        line = self._line + self.line_shift
        for at, more in self._replaced:
            if at <= offset:
                line -= min(more, self.text.count("\n", at, offset)) if more > 0 else more
        return line

    def replace(self, start: int, end: int, text: str) -> None:
        """Put `text` in the place of the characters from `start` to `end`: an alias."""
        self.changed = True
        more = text.count("\n") - self.text.count("\n", start, end)
        if more:
            self._replaced.append((start, more))
        if self._offset > start:
            self.line(start)
        self.text = self.text[:start] + text + self.text[end:]
        if self.offsets is not None:
            self.offsets[start:end] = [self.offsets[start]] * len(text)

    def column(self, offset: int) -> int:
        """The column of `offset` in its line, from 1, in characters."""
        return offset - (self.text.rfind("\n", 0, offset) + 1) + 1

    def line_text(self, offset: int) -> str:
        """The whole line that `offset` lies in, without its newline."""
        begin = self.text.rfind("\n", 0, offset) + 1
        end = self.text.find("\n", offset)
        return self.text[begin : end if end >= 0 else len(self.text)]


class Site:
    """Where a command or an expansion stands: enough to report an error and to answer $LINENO; and the command itself
    for $BASH_COMMAND."""

    __slots__ = ("end", "line", "node", "source", "start")

    def __init__(self, source: Source, start: int, end: int, node: Node | None = None) -> None:
        self.source = source
        self.start = start
        self.end = end
        self.line = source.line(start)
        self.node = node

    def text(self) -> str:
        """The command as bash shows it; anything else as it was written."""
        if self.node is None:
            return self.source.text[self.start : self.end]
        from aish.lang.reprint import command

        return command(self.source, self.node)


class ScriptError(SourceError):
    """The author's fault, at the characters from `start` to `end` of a source. `told`: it has been reported."""

    told = False

    def __init__(self, message: str, source: Source, start: int, end: int, *, hint: str | None = None) -> None:
        super().__init__(
            message,
            file=source.name,
            line=source.line(start),
            column=source.column(start),
            source_line=source.line_text(start),
            hint=hint,
        )
        self.source = source
        self.start = start
        self.end = end


class ParseError(ScriptError):
    """The text is not a program. `incomplete` is True where more text could make it one."""

    incomplete = False


class ExpansionError(ScriptError):
    """A word could not be expanded: arithmetic without a value, a readonly variable, a form that is not known.

    It ends the complete command that it happens in, as in bash; with `fatal` (unset under `set -u`, ${x:?}), or
    in posix mode, it ends a non-interactive shell. At the prompt it ends the line. `discards`: also where a command
    (((..)), let) has a status for its own expression without a value; it was in a subscript.
    """

    exit_status = 1
    fatal = False
    discards = False


def unset_error(name: str, site: Site) -> ExpansionError:
    """The error of `set -u`."""
    hint = f"${{{name}-}} allows it to be unset"
    error = ExpansionError(f"{name}: parameter not set", site.source, site.start, site.end, hint=hint)
    error.fatal = True
    return error
