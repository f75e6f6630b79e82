"""What unwinds the evaluator on purpose, and the error that a command reports about itself."""

from __future__ import annotations

from aish.error import AishError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.runtime import Frame


class Unwind(BaseException):
    """Base of those below. Not an Exception: nothing that handles errors may stop one on its way."""


class Break(Unwind):
    """`break n`: leave `levels` loops, of which the outermost one then has this status."""

    def __init__(self, levels: int, status: int = 0) -> None:
        self.levels = levels
        self.status = status


class Continue(Unwind):
    """`continue n`: the next round of the loop `levels` further out."""

    def __init__(self, levels: int) -> None:
        self.levels = levels


class Return(Unwind):
    """`return n` from a function or a sourced file."""

    def __init__(self, status: int) -> None:
        self.status = status


class Exit(Unwind):
    """`exit n`, or `set -e` after a failure: this process of the shell ends."""

    frames: list[Frame] | None = None
    """The functions that ran then, for the EXIT trap; None: none did."""
    params: list[str]
    """With `frames`: the words that the innermost one had."""

    def __init__(self, status: int) -> None:
        self.status = status


class NothingMore(Exit):
    """`set -n` in a script: the rest is only read. In a subshell that is the end."""

    def __init__(self) -> None:
        super().__init__(0)


class Interrupted(Unwind):
    """A signal arrived whose action may not wait: it cuts `wait` and `read` short, and a script on Ctrl-C."""

    def __init__(self, signo: int) -> None:
        self.signo = signo


class CommandError(AishError):
    """A built-in cannot do what it was asked for; the shell reports it under the command's name and goes on.

    `told`: it has been reported already, with its place. `readonly`: a variable may not change; of a special
    built-in, in posix mode, this ends the shell. (Each class takes 10 us of every start: these are none.)
    """

    told = readonly = False

    def __init__(self, message: str, *, status: int = 1, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


def told(status: int, *, readonly: bool = False) -> CommandError:
    """The error of a built-in that has told of it itself."""
    error = CommandError("", status=status)
    error.told = True
    error.readonly = readonly
    return error


def status_of(error: AishError) -> int:
    """The $? that an error gives."""
    return error.status if isinstance(error, CommandError) else error.exit_status
