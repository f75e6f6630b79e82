"""The root of all errors, and the one about somebody's text: what each start of the shell loads.

The others, and the tree of all of them, are in `aish.errors`. Imports nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


class AishError(Exception):
    """Root of the tree. `str(error)` is one line for a person; `hint` says what to do next.

    `code` is the stable word that programs match on (in --json and on the wire); `exit_status` is what a
    verb leaves with.
    """

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint is not None:
            self.add_note(hint)  # a traceback in somebody else's program shows it, too

    def __str__(self) -> str:
        return self.message


class SourceError(AishError):
    """The author's fault: a script, agent file or configuration that does not parse.

    `file`, `line` and `column` (both from 1; None where unknown) say where; `source_line` is the text there.
    """

    code = "source"
    exit_status = 2

    def __init__(
        self,
        message: str,
        *,
        file: str,
        line: int | None = None,
        column: int | None = None,
        source_line: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.file = file
        self.line = line
        self.column = column
        self.source_line = source_line

    def __str__(self) -> str:
        place = ":".join([self.file, *(str(n) for n in (self.line, self.column) if n is not None)])
        return f"{place}: {self.message}"
