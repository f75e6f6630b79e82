"""The end of a process of the shell: whatever ends it, and its EXIT trap."""

from __future__ import annotations

from aish.error import AishError
from aish.lang import signals
from aish.lang.control import Break, Continue, Exit, Interrupted, Return, status_of
from aish.lang.source import ExpansionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.runtime import Runtime


def last_word(rt: Runtime) -> str:
    """What an interactive shell says when it leaves."""
    return "logout" if "login_shell" in rt.shopt else "exit"


def settle(rt: Runtime, body: Callable[[], int]) -> int:
    """Run the last thing that a process of the shell does, and its EXIT trap; gives the exit status.

    Every way in which a shell can end is here, and in `leave_function`.
    """
    ended: Exit | None = None
    try:
        try:
            status = body()
        except Exit as error:
            status, ended = error.status, error
        if rt.pending:  # also where `set -e` ends us: a trap that came behind would cut the EXIT trap short
            rt.status = status
            rt.signals.poll()
    except Exit as error:
        status, ended = error.status, error
    except Return as error:
        status = error.status
    except Break as error:  # of a loop around $( ), which it ends
        status = error.status
    except Continue:
        status = 0
    except Interrupted as error:
        run_exit_trap(rt, rt.status)
        signals.die(error.signo)
    except AishError as error:
        status = _told(rt, error)
    except Exception as error:  # noqa: BLE001 -- the edge of a process: told, and the status says it
        status = rt.report_fault(error)
    if ended is not None and ended.frames is not None:
        rt.frames, rt.params = ended.frames, ended.params
    return run_exit_trap(rt, status)


def _told(rt: Runtime, error: AishError) -> int:
    """The status of a shell that this error ends."""
    rt.report(error)
    ends = isinstance(error, ExpansionError) and not error.discards and (error.fatal or rt.posix)
    if ends and rt.from_string and not (rt.in_subshell or rt.exits):
        return 127  # bash's, for the end of `-c` by an expansion
    return status_of(error)


def run_exit_trap(rt: Runtime, status: int) -> int:
    """Run the EXIT trap, once, even where it sets another; gives the exit status, which `exit` in it may change."""
    action = rt.signals.traps.pop(signals.EXIT, None)
    if not action or rt.leaving:
        return status
    rt.leaving = True
    rt.status = status
    rt.tested = 0

    def body() -> int:
        assert action is not None
        try:
            rt.run_trap(action, signals.EXIT)
        except (Break, Continue):  # of a loop that `exit` was in: the trap ends
            pass
        except AishError as error:  # which ends the trap, and is no news of what the shell did
            rt.report(error)
        finally:  # one that it set for EXIT comes too late
            rt.signals.traps.pop(signals.EXIT, None)
        return status

    return settle(rt, body)


def leave_function(rt: Runtime, error: Exit | Interrupted | AishError) -> None:
    """A function is about to be left, and there is an EXIT trap. Where that is the end of the process the trap runs
    now: it sees the local variables (`local tmp; trap 'rm "$tmp"' EXIT`) and the words of the function, as in bash.
    Where `set -e` is the end it sees which functions ran and the words of the last one, and no more; with a sourced
    file it is the same. Raises Exit."""
    if isinstance(error, Exit):
        if error.frames is None:
            error.frames, error.params = rt.frames.copy(), rt.params
    elif rt.lasting:
        pass  # a prompt, or a session: they go on
    elif isinstance(error, Interrupted):
        run_exit_trap(rt, rt.status)
    elif rt.exits and isinstance(error, ExpansionError) and (error.fatal or rt.posix or rt.in_subshell):
        raise Exit(run_exit_trap(rt, _told(rt, error))) from None
