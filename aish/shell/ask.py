"""An answer by a deadline, from a copy of the shell: a dead mount or daemon must not hang the prompt.

No threads: the shell forks, and a process that forks with threads in it may deadlock.
"""

from __future__ import annotations

import os
import select
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_abandoned: set[int] = set()
"""Copies that were killed and could not be waited for at once: stuck in the kernel."""


def ask(question: Callable[[], list[str]], deadline_s: float) -> list[str]:
    """What `question` returns; [] where it fails or takes longer than `deadline_s`."""
    _reap()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _answer(question, write)
    os.close(write)
    end = time.monotonic() + deadline_s
    poll = select.poll()
    poll.register(read, select.POLLIN)
    chunks: list[bytes] = []
    complete = False
    while not complete and (left := end - time.monotonic()) > 0:
        if poll.poll(left * 1000):
            chunk = os.read(read, 1 << 16)
            chunks.append(chunk)
            complete = not chunk
    os.close(read)
    if complete:
        os.waitpid(pid, 0)
    else:
        os.kill(pid, signal.SIGKILL)
        _abandoned.add(pid)
        _reap()
    data = b"".join(chunks)
    return [os.fsdecode(item) for item in data.split(b"\0") if item] if complete else []


def _answer(question: Callable[[], list[str]], write: int) -> None:
    """In the copy: write the answer, and leave without a trace."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        data = b"\0".join([os.fsencode(item) for item in question()])
        view = memoryview(data)
        while view:
            view = view[os.write(write, view) :]
    except BaseException:  # noqa: BLE001 -- the edge of a process: no answer is the answer
        os._exit(1)
    os._exit(0)


def _reap() -> None:
    for pid in list(_abandoned):
        if os.waitpid(pid, os.WNOHANG)[0]:
            _abandoned.discard(pid)
