"""The front as a program: it takes the client's descriptors and the signals for itself, then serves."""

from __future__ import annotations

import fcntl
import os
import signal
from typing import TYPE_CHECKING

from aish.session import warden
from aish.streams import fill
from aish.supervisor.holder import kernel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from aish.lang.host import Host

_FIRST_PRIVATE: Final = 64
_HEARD: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD)


def run(argv: Sequence[str], host: Host) -> int:
    """The warden comes first, while nothing is loaded but what a shell needs: that is the size of its forks."""
    fill()
    stdin, stdout = _claimed()
    kernel.become_subreaper()
    first = warden.start(host)
    from aish.session import shelf
    from aish.session.crew import Crew
    from aish.session.front import Front
    from aish.session.inbox import Inbox
    from aish.session.outbox import Outbox
    from aish.session.settings import LINE_BYTES, parsed

    settings = parsed(argv)
    if settings.lifeline >= 0:
        settings = settings._replace(lifeline=_private(settings.lifeline))
    shelf.sweep()
    return Front(settings, Crew(host, first), Inbox(stdin, LINE_BYTES), Outbox(stdout), _wake()).serve()


def _claimed() -> tuple[int, int]:
    """Descriptors of stdin and stdout that nobody else has: what is printed goes to stderr, and reads are empty."""
    stdin, stdout = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_PRIVATE) for fd in (0, 1))
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return stdin, stdout


def _private(fd: int) -> int:
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_PRIVATE)
    os.close(fd)
    return moved


def _wake() -> int:
    """A descriptor that tells the numbers of the signals that come. What was ignored (nohup) stays so, but for an
    interrupt: a client in the background of a script means no less by it."""
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    for number in _HEARD:
        if number in (signal.SIGINT, signal.SIGCHLD) or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, frame: None)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read
