"""Signals of the shell itself: what programs inherit, traps, and when Ctrl-C acts.

Handlers only note that a signal came; the evaluator looks between two commands (`Runtime.pending`). A handler
acts at once where the shell would otherwise sit in a system call (`mode`), or where nothing is left to do but
to die. After a foreground program the shell dies of SIGINT only if the program did: an editor may use Ctrl-C.

The `signal` module would import enum; `_signal` below it is what it wraps.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os
import sys
from time import monotonic

from aish.error import AishError
from aish.lang.control import Interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from aish.lang.runtime import Runtime

SIGHUP: int = _signal.SIGHUP
SIGINT: int = _signal.SIGINT
SIGQUIT: int = _signal.SIGQUIT
SIGTERM: int = _signal.SIGTERM
SIGPIPE: int = _signal.SIGPIPE
SIGTSTP: int = _signal.SIGTSTP
SIGTTIN: int = _signal.SIGTTIN
SIGTTOU: int = _signal.SIGTTOU
SIGCHLD: int = _signal.SIGCHLD
SIGCONT: int = _signal.SIGCONT
SIGWINCH: int = _signal.SIGWINCH
SIGKILL: int = _signal.SIGKILL
SIGSTOP: int = _signal.SIGSTOP

EXIT = 0
"""The trap that runs when the shell ends, numbered as POSIX does."""

LAST = 64
"""The highest signal. What bash numbers above it are moments that a script may trap, no signals."""
DEBUG = 65
ERR = 66
RETURN = 67
MOMENTS = (DEBUG, ERR, RETURN)
RESERVED = (32, 33)
"""Signals that the C library keeps for itself."""

# What the shell is doing when a signal comes.
RUNNING = "running"  # evaluating: the next command looks
WAITING = "waiting"  # for a foreground program, which got the signal too
READING = "reading"  # `read`, opening a fifo: only an interrupt cuts it short; traps run meanwhile
PROMPTING = "prompting"  # for a command: the same, and news of jobs are told under `set -b`
PAUSED = "paused"  # the built-in `wait`: every trapped signal cuts it short

_DEFAULT_AT_START = (_signal.SIGPIPE, _signal.SIGXFSZ)
"""Python ignores these when it starts; the shell and its programs get the default action, but for those that were
ignored before."""

_STOP_S = 0.25
"""For so long is a Ctrl-Z for the job that is about to begin."""
_RUN_EXIT = frozenset(
    [SIGHUP, SIGTERM, SIGPIPE, _signal.SIGUSR1, _signal.SIGUSR2, _signal.SIGALRM, _signal.SIGVTALRM,
     _signal.SIGXCPU, _signal.SIGXFSZ, _signal.SIGABRT, _signal.SIGTRAP, _signal.SIGSYS]
)  # fmt: skip
"""A death by these runs the EXIT trap, as in bash. Not those that tell of a fault in the program itself: where that
is so, no more of it can run."""
_END_PROGRAMS = (SIGHUP, SIGINT, SIGQUIT, SIGTERM)
DEADLY = (
    SIGTERM, SIGHUP, SIGQUIT, _signal.SIGALRM, _signal.SIGUSR1, _signal.SIGUSR2, _signal.SIGXCPU, _signal.SIGVTALRM,
)  # fmt: skip
"""What ends a program, and leaves time to put a terminal back before that: as bash has it."""
_INTERACTIVE_IGNORES = (SIGTERM, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU)


class Signals:
    """One shell process's traps and dispositions."""

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt
        self.traps: dict[int, str] = {}
        self.inherited: dict[int, str] = {}
        """The parent's traps, which `trap` shows in a subshell until it sets its own."""
        self.ignored_at_start: frozenset[int] = frozenset()
        self.own_ignored: set[int] = set()
        """Ignored for the shell's own sake: programs get the default action."""
        self.arrived: list[int] = []
        self.mode = RUNNING
        self.handled: set[int] = set()
        self.at_prompt: Callable[[int], None] | None = None
        """Takes the signals that come while an editor with an event loop of its own reads a command."""
        self.stop_asked_s = 0.0
        """When Ctrl-Z came that no job has got yet; 0: none. Keys that come behind it take it away."""
        self.cut_by = 0
        """The signal that has ended the Python code that was the last command; 0: none."""

    def start(self) -> None:
        """Read what was ignored on entry, undo what Python's start changed, take SIGINT."""
        ignored: set[int] = {n for n in range(1, 65) if _signal.getsignal(n) is _signal.SIG_IGN}
        default = set(_DEFAULT_AT_START)
        if isinstance(told := sys._xoptions.get("aish-ignored"), str):  # noqa: SLF001 -- by the launcher: they were before Python began
            default -= {getattr(_signal, f"SIG{name}") for name in told.split(",")}
        self.ignored_at_start = frozenset(ignored - default)
        for signo in default | ignored & {SIGCHLD}:
            _signal.signal(signo, _signal.SIG_DFL)
        self.reinstall()

    def be_interactive(self) -> None:
        """Ignore what must not hit the shell at a prompt."""
        self.own_ignored.update(_INTERACTIVE_IGNORES)
        self.own_ignored -= self.ignored_at_start
        self.reinstall()

    def precautions(self) -> set[int]:
        """What programs are to have the default action for: all that the shell ignores and nobody asked it to."""
        return (
            {signo for signo in self.own_ignored if self.traps.get(signo) != ""} if self.traps else self.own_ignored
        )

    def ignore_for_terminal(self) -> None:
        """`set -m` in a script: taking the terminal back must not stop the shell."""
        self.own_ignored |= {SIGTTOU} - self.ignored_at_start
        self.reinstall()

    def reinstall(self) -> None:
        """Set every disposition anew (libraries with an event loop leave theirs behind)."""
        for signo in self.own_ignored:
            if signo not in self.traps:
                _signal.signal(signo, self._note_stop if signo == SIGTSTP else _signal.SIG_IGN)
        wanted = {SIGINT} | {signo for signo, action in self.traps.items() if 0 < signo <= LAST and action}
        wanted -= {SIGKILL, SIGSTOP}
        if EXIT in self.traps:
            wanted |= {SIGTERM, SIGHUP} if self.rt.lasting else _RUN_EXIT
        if self.rt.interactive:
            wanted |= {SIGHUP, SIGCHLD} if self.rt.notify else {SIGHUP}  # what its jobs are to hear of
        for signo, action in self.traps.items():
            if not action and 0 < signo <= LAST and signo not in (SIGCHLD, SIGKILL, SIGSTOP):
                _signal.signal(signo, _signal.SIG_IGN)
        wanted -= self.ignored_at_start | {s for s, action in self.traps.items() if not action}
        wanted -= self.own_ignored - self.traps.keys()
        for signo in self.handled - wanted:
            if signo not in self.traps and signo not in self.own_ignored:
                _signal.signal(signo, _signal.SIG_DFL)
        for signo in wanted:
            _signal.signal(signo, self._arrive)
        self.handled = wanted

    def _note_stop(self, signo: int, frame: object) -> None:
        """Ctrl-Z is nothing to the shell; where it comes behind Enter the job that is about to begin was meant."""
        self.stop_asked_s = monotonic()

    def stop_is_due(self) -> bool:
        """Whether the job that begins is to stop at once."""
        return self.stop_asked_s > 0 and monotonic() - self.stop_asked_s < _STOP_S

    def no_stop_was_asked(self) -> None:
        """That SIGTSTP was sent by ourselves: no key was pressed, and the next job is not meant."""
        self.stop_asked_s = 0.0

    # ----------------------------------------------------------------------------------------- traps

    def trap(self, signo: int, action: str | None) -> None:
        """Set an action ('' ignores), or take it away (None). What a script found ignored stays so."""
        if self.inherited:
            self.inherited.clear()
        if signo in self.ignored_at_start and not self.rt.interactive:
            return
        if signo > LAST or signo in (SIGKILL, SIGSTOP):  # moments; and what is noted, but never happens
            if action is None:
                self.traps.pop(signo, None)
            else:
                self.traps[signo] = action
            if signo > LAST:
                self.rt.moments_changed()
            return
        if action is None:
            if self.traps.pop(signo, None) is not None and signo:
                default = _signal.SIG_IGN if signo in self.own_ignored else _signal.SIG_DFL
                _signal.signal(signo, default)
                self.handled.discard(signo)
        else:
            self.traps[signo] = action
            if signo and not action:  # SIGCHLD: by default nothing happens; ignored, no status of a child is kept
                _signal.signal(signo, _signal.SIG_DFL if signo == SIGCHLD else _signal.SIG_IGN)
                self.handled.discard(signo)
        self.reinstall()

    def acts(self) -> bool:
        """Whether a trap has something to do here: what is ignored stays so in a program in our place."""
        return any(self.traps.values())

    def shown(self) -> dict[int, str]:
        """The traps that `trap` lists: what was ignored on entry stays so, whatever was wanted."""
        ignored = dict.fromkeys(self.ignored_at_start, "") if not self.rt.interactive else {}
        return (self.inherited or self.traps) | ignored

    def enter_subshell(self, *, interruptible: bool = True) -> None:
        """In a forked child: traps go, ignored signals stay ignored, the shell's own precautions end."""
        self.inherited = self.inherited or dict(self.traps)
        kept = {ERR} if self.rt.errtrace else set()
        if self.rt.functrace:
            kept |= {DEBUG, RETURN}
        actions = {signo for signo, action in self.traps.items() if action} - kept
        for signo in actions:
            del self.traps[signo]
        for signo in (actions | self.precautions()) - {EXIT, SIGKILL, SIGSTOP, DEBUG, ERR, RETURN}:
            _signal.signal(signo, _signal.SIG_DFL)
        self.rt.moments_changed()
        self.own_ignored.clear()
        self.arrived.clear()
        self.rt.pending = False
        self.mode = RUNNING
        if not interruptible:
            for signo in (SIGINT, SIGQUIT):
                _signal.signal(signo, _signal.SIG_IGN)
            self.ignored_at_start |= {SIGINT, SIGQUIT}
        self.handled = ({SIGINT, *_RUN_EXIT} & self.handled) - self.ignored_at_start
        self.reinstall()

    # --------------------------------------------------------------------------------------- arrival

    def _arrive(self, signo: int, frame: object) -> None:
        trapped = bool(self.traps.get(signo))
        if signo == SIGCHLD and not trapped:
            if self.mode is PROMPTING:
                self._tell_at_prompt(signo)
        elif trapped:
            self.note(signo)
            if self.mode is PAUSED and signo != SIGCHLD:
                raise Interrupted(signo)
            if self.mode is PROMPTING:
                self._tell_at_prompt(signo)
            elif self.mode is READING:
                self._run_meanwhile(self.poll)
        elif signo == SIGHUP and self.rt.interactive:
            self._hung_up()
        elif self.mode is WAITING:
            self.note(signo)
        elif self.rt.lasting:
            if self.mode is RUNNING:
                self.note(signo)
            else:
                raise Interrupted(signo)
        elif EXIT in self.traps or self.mode is READING:  # which has a terminal's modes to put back
            raise Interrupted(signo)
        else:
            die(signo)

    def _tell_at_prompt(self, signo: int) -> None:
        """A signal that an action waits for, or news of a job, while a command is typed."""
        if self.at_prompt is not None:
            self.at_prompt(signo)
        elif signo == SIGCHLD:
            self.rt.jobs.tell_news(self.rt)
        elif signo == SIGINT:
            self.arrived.remove(signo)
            raise Interrupted(signo)
        else:
            self._run_meanwhile(self.poll_apart)

    def _run_meanwhile(self, act: Callable[[], None]) -> None:
        """Run actions in the midst of a system call that goes on afterwards."""
        before, self.mode = self.mode, RUNNING
        try:
            act()
        finally:
            self.mode = before

    def _hung_up(self) -> None:
        """The terminal of a shell at a prompt is gone: it ends from wherever it is."""
        if self.mode is PROMPTING and self.at_prompt is not None:
            self.at_prompt(SIGHUP)
        elif self.mode is RUNNING:
            self.note(SIGHUP)
        else:
            raise Interrupted(SIGHUP)

    def note(self, signo: int) -> None:
        """Let the evaluator know. What waits to be acted upon waits once, however often it comes; but each child that
        ends is news."""
        if signo == SIGCHLD or signo not in self.arrived:
            self.arrived.append(signo)
        self.rt.pending = True

    def that_cut(self) -> int:
        """A signal that came and cuts `wait` short; 0: none."""
        return next((signo for signo in self.arrived if signo != SIGCHLD), 0)

    def entering(self) -> None:
        """An interrupt that came just before a system call ends that call as well."""
        if self.rt.lasting and SIGINT in self.arrived and not self.traps.get(SIGINT):
            self.arrived = [signo for signo in self.arrived if signo != SIGINT]
            self.rt.pending = bool(self.arrived)
            self.mode = RUNNING
            raise Interrupted(SIGINT)

    def missed(self) -> bool:
        """Whether Ctrl-C came before the shell's foreground processes were there, or had the terminal: they know
        nothing of it."""
        return SIGINT in self.arrived and (self.rt.lasting or self.mode is WAITING)

    def waited(self, killed_by: int, *, apart: bool = False) -> None:
        """A foreground program ended, killed by signal `killed_by` or 0. Raises Interrupted where the SIGINT
        that the shell got meanwhile was meant for both; or (`apart`: the program is in another group, and no key
        reaches both) for the shell."""
        if SIGINT in self.arrived and not self.traps.get(SIGINT):
            self.arrived = [signo for signo in self.arrived if signo != SIGINT]
            self.rt.pending = bool(self.arrived)
            if apart or killed_by == SIGINT:
                raise Interrupted(SIGINT)

    def poll(self) -> None:
        """Run the actions of the signals that came. Raises Interrupted for those without one."""
        while self.arrived:
            signo = self.arrived.pop(0)
            action = self.traps.get(signo)
            if action:
                if signo == SIGWINCH and self.rt.interactive:
                    from aish.lang import terminal_size

                    terminal_size.look(self.rt)  # what the action is about
                self.rt.run_trap(action, signo)
            elif action is None:
                self.rt.pending = bool(self.arrived)
                raise Interrupted(signo)
        self.rt.pending = False
        if self.rt.unsettled:
            self.rt.unsettled = False
            self.rt.jobs.settle(self.rt)

    def poll_apart(self) -> None:
        """Run the actions of signals that came before a command, or while it is typed. What goes wrong in one is
        told, and means nothing to the command; where nobody is at a prompt the error is the caller's."""
        while True:
            before = self.rt.tested, self.rt.loops
            try:
                self.poll()
            except AishError as error:
                if not self.rt.lasting:
                    raise
                self.rt.report(error)
                self.rt.tested, self.rt.loops = before
            else:
                return

    def to_default(self) -> None:
        """Give up every handler: what comes next in this process brings its own."""
        for signo in self.handled:
            _signal.signal(signo, _signal.SIG_DFL)
        self.handled = set()

    def leave(self) -> None:
        """Before the shell itself becomes a program: what it ignored for its own sake is default again."""
        for signo in self.precautions():
            _signal.signal(signo, _signal.SIG_DFL)

    def python_interrupts(self, on: bool) -> None:
        """While Python code runs as a command, what would end a program there is KeyboardInterrupt."""
        self.cut_by = 0 if on else self.cut_by
        for signo in self.handled.intersection(_END_PROGRAMS):
            _signal.signal(signo, self._interrupt if on else self._arrive)

    def _interrupt(self, signo: int, frame: object) -> None:
        """The command is over; the trap is next, or the end: as after a program that died of the signal."""
        self.cut_by = signo
        self.note(signo)
        raise KeyboardInterrupt


def die(signo: int) -> NoReturn:
    """End this process by `signo`, so that its parent sees the truth."""
    _signal.signal(signo, _signal.SIG_DFL)
    os.kill(os.getpid(), signo)
    os._exit(128 + signo)  # blocked: the parent gets the number at least


_HELD = (SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, *_RUN_EXIT)


def hold() -> set[int]:
    """Keep signals back around a fork: one that comes before the child has its own dispositions would find the
    shell's handlers there, and be lost with them. Gives the mask for `release`."""
    return set(_signal.pthread_sigmask(_signal.SIG_BLOCK, _HELD))


def release(mask: set[int]) -> None:
    """Let them in."""
    _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)


class Section:
    """A stretch of code in one mode."""

    __slots__ = ("before", "mode", "signals")

    def __init__(self, owner: Signals, mode: str) -> None:
        self.signals = owner
        self.mode = mode
        self.before = owner.mode

    def __enter__(self) -> None:
        self.signals.mode = self.mode
        if self.signals.arrived and self.mode in (READING, PROMPTING):
            self.signals.entering()

    def __exit__(self, *exception: object) -> None:
        self.signals.mode = self.before
