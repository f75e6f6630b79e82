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

    Every way in which a shell can end is here.
    """
    try:
        try:
            status = body()
        except Exit as error:
            status = error.status
        if rt.pending:  # also where `set -e` ends us: a trap that came behind would cut the EXIT trap short
            rt.status = status
            rt.signals.poll()
    except Exit as error:
        status = error.status
    except Return as error:
        status = error.status
    except Break as error:  # of a loop around $( ), which it ends
        status = error.status
    except Continue:
        status = 0
    except Interrupted as error:
        rt.run_exit_trap(128 + error.signo)
        signals.die(error.signo)
    except AishError as error:
        rt.report(error)
        status = status_of(error)
        ends = isinstance(error, ExpansionError) and (error.fatal or rt.posix)
        if ends and rt.from_string and not (rt.in_subshell or rt.exits):
            status = 127  # bash's, for the end of `-c` by an expansion
    except Exception as error:  # noqa: BLE001 -- the edge of a process: told, and the status says it
        status = rt.report_fault(error)
    return rt.run_exit_trap(status)
