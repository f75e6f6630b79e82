"""Traps that run between commands: DEBUG, ERR, RETURN, and how the action of any trap is run."""

from __future__ import annotations

from aish.lang import signals
from aish.lang.control import Exit, Return
from aish.lang.output import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.signals import Signals
    from aish.lang.source import Site
    from aish.lang.tree import Node


class Moments(Output):
    """The part of a Runtime that knows what is to be done before a command, behind one that failed, at a return."""

    errexit = errtrace = functrace = False
    exits = False
    """`set -e` itself. `errexit` is also True while an ERR trap is set: a failure is then told to `failed`."""
    debugs = False
    """A DEBUG trap is set."""
    debugged = False
    """It has run already for the command that is about to begin, before there was a process for that."""
    trapped_inside: Site | None = None
    """The command that failed set the ERR trap itself, which therefore does not run for it."""

    apart: Node | None = None
    """The simple command that this copy of the shell was made for, in a pipeline or in the background: whoever waits
    for it is told that it failed, and runs the ERR trap."""

    at: Site | None
    signals: Signals
    shopt: set[str]
    status: int
    pipe_status: list[int] | None
    trap_status: int | None
    interrupted: Site | None
    left_at: tuple[Site | None, Site | None] | None
    moments: set[int]
    tested: int
    returns: int
    trace_depth: int
    lines_before: int

    def run_text(self, text: str, name: str, line_shift: int) -> int:
        """Run text as `eval` does. Raises ParseError."""
        raise NotImplementedError

    def failed(self, status: int) -> None:
        """A command that nobody tests failed, under `set -e` or with an ERR trap."""
        if self.tested:
            return
        told = self.apart is not None and self.at is not None and self.at.node is self.apart
        if not told and (self.trapped_inside is None or self.trapped_inside is not self.at):
            self.run_moment(signals.ERR)
        self.trapped_inside = None
        if self.exits:
            raise Exit(status)

    def run_moment(self, signo: int) -> int:
        """Run the trap of DEBUG, ERR or RETURN, but not within itself; gives its status."""
        action = self.signals.traps.get(signo)
        if not action or signo in self.moments:
            return 0
        self.moments.add(signo)
        at, tested = self.at, self.tested
        try:
            return self.run_trap(action, signo)
        finally:
            self.moments.discard(signo)
            self.at, self.tested = at, tested

    def held_back(self) -> bool:
        """Run the DEBUG trap before a command. True where that is not to be run then: with `shopt -s extdebug`, where
        the trap fails. Its status 2 is a `return` from the function, or the sourced file, that is being run."""
        self.left_at = None
        if self.debugged:
            self.debugged = False
            return False
        status = self.run_moment(signals.DEBUG)
        if not status or "extdebug" not in self.shopt:
            return False
        if status == 2 and self.returns:
            raise Return(2)
        self.status, self.pipe_status = 0, None
        return True

    def moments_changed(self) -> None:
        """Traps of DEBUG, ERR, RETURN, or `set -e`, came or went."""
        traps = self.signals.traps
        self.debugs = bool(traps.get(signals.DEBUG))
        self.errexit = self.exits or bool(traps.get(signals.ERR))

    def hide_moments(self, *, traced: bool) -> dict[int, str]:
        """A function begins: its caller's traps of DEBUG, ERR and RETURN are not its own, but with set -ET; `traced`:
        declare -ft."""
        traps = self.signals.traps
        hidden = {}
        for signo in signals.MOMENTS:
            if signo in traps and not (self.errtrace if signo == signals.ERR else self.functrace or traced):
                hidden[signo] = traps.pop(signo)
        if hidden:
            self.moments_changed()
        return hidden

    def show_moments(self, hidden: dict[int, str]) -> None:
        """It ends: they are back, where it has not set its own."""
        for signo, action in hidden.items():
            self.signals.traps.setdefault(signo, action)
        self.moments_changed()

    def run_trap(self, action: str, signo: int) -> int:
        """Run a trap's action; $? is afterwards what it was before. Gives the action's status."""
        from aish.lang import signal_names
        from aish.lang.source import ParseError

        # As in bash, $LINENO in what a signal or EXIT calls for counts from 1; elsewhere it is the command's.
        of_command = signo in signals.MOMENTS
        line = self.at.line - 1 if self.at and of_command else 0
        lines_before, self.lines_before = self.lines_before, self.lines_before if of_command else 0
        status, pipe_status, interrupted = self.status, self.pipe_status, self.interrupted
        self.interrupted = self.command_site()
        outer, self.trap_status = self.trap_status, status
        self.trace_depth += signo != signals.EXIT
        try:
            found = self.run_text(action, f"trap {signal_names.name_of(signo)}", line)
        except ParseError as error:
            self.report(error)
            found = error.exit_status
        finally:
            self.trap_status = outer
            self.trace_depth -= signo != signals.EXIT
            self.interrupted = interrupted
            self.lines_before = lines_before
        self.status, self.pipe_status = status, pipe_status
        return found

    def command_site(self) -> Site | None:
        """The command that $BASH_COMMAND shows: outside of traps the last one that began, in a function perhaps."""
        if self.interrupted is not None:
            return self.interrupted
        if self.left_at is not None and self.left_at[0] is self.at:
            return self.left_at[1]
        return self.at
