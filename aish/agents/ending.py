"""How the process of an agent ends, and what it tells the person of that."""

from __future__ import annotations

import os
import signal

from aish.agents import conclusion
from aish.report import clean, report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from aish.agents.events import Events
    from aish.errors import AishError


FAULT_CHARS = 500


def failed(program: str, error: AishError, events: Events) -> int:
    conclusion.tell(conclusion.reason(error), str(error))
    events.emit("failed", code=error.code, message=str(error), hint=error.hint, status=error.exit_status)
    report(program, error)
    return error.exit_status


def fault(error: Exception) -> str:
    """Of one of ours, for a person: what is wrong, not all that it was about."""
    return f"a fault in aish: {type(error).__name__}: {error}"[:FAULT_CHARS]


def tell(line: str) -> None:
    try:
        os.write(2, (clean(line) + "\n").encode("utf-8", "replace"))
    except OSError:
        pass  # nobody reads notes any more: the answer matters


def die_by(number: signal.Signals) -> NoReturn:
    """End as the default action of a signal, so that PIPESTATUS and the supervisor see the signal itself."""
    signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # only if the signal was not fatal
