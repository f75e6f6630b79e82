"""`simgpu run`: a command whose parent, this process, holds the simulated memory.

The parent is what the supervisor spawned, so the memory is held by the pid that it knows. Both are in one process
group and get its signals together; the parent leaves as the command left: same status, or death by the same signal.
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aish.errors import LimitError, NotFoundError
from aish.plugins.simgpu.allocation import Allocation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aish.plugins.simgpu.card import Card

_PASSED_ON: Final = (signal.SIGTERM, signal.SIGHUP)
"""Often sent to one pid: the command gets them from us, too."""
_OUTLIVED: Final = (signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
"""Come from the terminal or to the group: the command has them already and decides."""
_PR_SET_PDEATHSIG: Final = 1
_GRACE_S: Final = 5.0


class OutOfMemory(Exception):  # noqa: N818  carries the LimitError that says it in words
    """An allocation did not fit: the program ends with status 1, as most do."""

    def __init__(self, error: LimitError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True, slots=True)
class Alloc:
    size_bytes: int


@dataclass(frozen=True, slots=True)
class After:
    seconds: float


@contextmanager
def allocating() -> Iterator[None]:
    try:
        yield
    except LimitError as error:
        raise OutOfMemory(error) from error


def run(folder: str, card: Card, plan: Sequence[Alloc | After], busy_percent: float, command: Sequence[str]) -> int:
    """Hold memory as planned while the command runs; its status. Raises OutOfMemory, NotFoundError."""
    plan = list(plan)
    with allocating():
        allocation = Allocation(folder, card, _first(plan))
    allocation.busy(busy_percent)
    child = _start(command)
    try:
        _follow(plan, allocation, child)
    except OutOfMemory:
        _end(child)
        raise
    status = child.wait()
    return status if status >= 0 else _die_of(-status)


def _first(plan: list[Alloc | After]) -> int:
    """What the plan takes before the command starts; takes it out of the plan."""
    size_bytes = 0
    while plan and isinstance(plan[0], Alloc):
        size_bytes += plan[0].size_bytes
        del plan[0]
    return size_bytes


def _follow(plan: list[Alloc | After], allocation: Allocation, child: subprocess.Popen[bytes]) -> None:
    """Go through the plan until the child ends."""
    fd = os.pidfd_open(child.pid)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        for step in plan:
            match step:
                case After(seconds):
                    if poll.poll(seconds * 1000):
                        return
                case Alloc(size_bytes):
                    with allocating():
                        allocation.resize(allocation.size_bytes + size_bytes)
        poll.poll()
    finally:
        os.close(fd)


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start the command and take on the signals as one step: none may find only half of the pair prepared."""
    libc = ctypes.CDLL(None)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON + _OUTLIVED)

    def in_child() -> None:
        # Should this process be killed, its memory is free again: then nothing that used it may go on.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    try:
        child = subprocess.Popen(command, preexec_fn=in_child)  # noqa: PLW1509  there is one thread
        for number in _PASSED_ON:
            signal.signal(number, lambda received, _: _pass_on(child, received))
        for number in _OUTLIVED:
            signal.signal(number, lambda *_: None)
    except OSError as error:
        raise NotFoundError(f"cannot run {command[0]}: {error.strerror}") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return child


def _pass_on(child: subprocess.Popen[bytes], number: int) -> None:
    if child.poll() is None:
        child.send_signal(number)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _die_of(number: int) -> int:
    """Leave as the child left, without a second core file; returns the shell's status where the signal is blocked."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number
