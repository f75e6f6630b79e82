"""What a running shell says: the output of its built-ins, its complaints."""

from __future__ import annotations

import os

from aish.lang.control import CommandError
from aish.lang.source import ScriptError
from aish.lang.text import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.error import AishError


class Output:
    """The part of a Runtime that writes."""

    capture: list[str] | None
    """Where built-ins write while $(built-in ..) runs without a process."""

    def write(self, text: str) -> None:
        """A built-in's output. Raises CommandError."""
        if self.capture is not None:
            self.capture.append(text)
            return
        if not text:
            return  # even where nothing can be written
        data = encode(text)
        try:
            written = os.write(1, data)
            while written < len(data):
                data = data[written:]
                written = os.write(1, data)
        except OSError as error:
            raise CommandError(f"write error: {error.strerror}") from None

    def error_line(self, text: str, fd: int = 2) -> None:
        """A line on stderr, where there is one, or on another descriptor."""
        try:
            os.write(fd, encode(text + "\n"))
        except OSError:
            pass  # nobody listens

    def prompt(self, text: str) -> None:
        """A question on stderr, without a newline."""
        try:
            os.write(2, encode(text))
        except OSError:
            pass  # nobody is there to be asked

    def complain(self, message: str, *, hint: str | None = None) -> None:
        """Report something about the command that is being run, with its place."""
        self._tell("complaint", message, message, hint)

    def complain_of(self, name: str, error: CommandError) -> None:
        """Report what the built-in `name` cannot do."""
        self._tell("command_error", f"{name}: {error.message}", name, error)

    def complain_not_run(self, name: str, error: CommandError) -> None:
        """Report a command word that could not be run."""
        self._tell("not_run", f"{name}: {error.message}", name, error)

    def report(self, error: AishError) -> None:
        """Report an error that has its own place or hint, once."""
        if isinstance(error, ScriptError):
            if error.told:
                return
            error.told = True
        self._tell("report", str(error), error)

    def report_fault(self, error: BaseException) -> int:
        """Tell of something that no command may do: out of memory, or our own mistake. Gives the status."""
        self._tell("fault", f"{type(error).__name__}: {error}", error)
        return 70

    def _tell(self, how: str, plain: str, *details: object) -> None:
        """Write what the function `how` of diagnose makes of the details."""
        try:
            from aish.lang import diagnose

            text: str = getattr(diagnose, how)(self, *details)
        except (ImportError, OSError):
            text = f"aish: {plain}"  # no descriptor left to load the better words with
        self.error_line(text)
