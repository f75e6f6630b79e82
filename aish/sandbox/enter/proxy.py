"""The leader of a process in a pid namespace, outside of it: its signals go in, its end comes out.

holder ─ proxy (the leader: its pid, its session and process group)
            └ bwrap (all its signals blocked; it only waits)
                 └ first (pid 1 of the namespace)
                      └ the program, in the proxy's session and group

A signal to the group reaches the program by the kernel. One to the leader alone has to be passed on, and the two look
alike here: `first` is in the group as well, and passes on what it has not had itself.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
import struct

from . import descriptors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, NoReturn

FAULTS: Final = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
LEFT_OUT: Final = frozenset({signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, *FAULTS})
READY, SIGNAL, ENDED = b"r", b"s", b"e"
_END: Final = struct.Struct("=ci?")
_BUFFER: Final = 64
_WORDS: Final = 4096


class Bell:
    """A byte on a descriptor for each signal that comes."""

    def __init__(self) -> None:
        self.fds = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.fd = self.fds[0]
        signal.set_wakeup_fd(self.fds[1], warn_on_full_buffer=False)
        for number in signal.valid_signals() - LEFT_OUT:
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, _heard)

    def heard(self) -> bytes:
        try:
            return os.read(self.fd, _BUFFER)
        except BlockingIOError:
            return b""


def _heard(_number: int, _frame: object) -> None:
    """That it is caught is all: the wakeup descriptor tells which it was."""


def end(sock: socket.socket, status: int, *, rest: bool) -> None:
    """`first` tells: the program has ended; `rest`: others of it live on."""
    sock.send(_END.pack(ENDED, status, rest))


def stand(child: int, sock: socket.socket, words: int, errors: int) -> NoReturn:
    """Until the program has ended. `words`: what bwrap says; `errors`: where that is told, until it is known to be
    set up: a stream of ours that stays open would keep its reader waiting."""
    bell = Bell()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    keep = {*bell.fds, sock.fileno(), words, errors}
    descriptors.close_all_but(keep)
    ready = False
    while True:
        ears, _, _ = select.select([bell.fd, sock.fileno()], [], [])
        if bell.fd in ears:
            for number in bell.heard():
                with contextlib.suppress(OSError):
                    sock.send(SIGNAL + bytes([number]))
        if sock.fileno() in ears:
            told = sock.recv(_BUFFER)
            if told == READY:
                ready = True
                os.close(errors)
                os.close(words)
            elif told[:1] == ENDED:
                _, status, rest = _END.unpack(told)
                if not rest:  # what it has used is known when its parents are gone
                    with contextlib.suppress(ChildProcessError):
                        os.waitpid(child, 0)
                leave(status)
            elif not told:
                _lost(child, None if ready else words, errors)


def _lost(child: int, words: int | None, errors: int) -> NoReturn:
    """The namespace has ended without a word: bwrap could not make it, or all of it was killed."""
    _, status = os.waitpid(child, 0)
    if words is None:
        leave(signal.SIGKILL)
    text = os.read(words, _WORDS).decode(errors="backslashreplace").strip()
    os.write(errors, f"aish: the sandbox cannot be set up: {text or 'bwrap has ended'}\n".encode())
    os._exit(126 if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


def leave(status: int) -> NoReturn:
    """End as the program has, `status` as wait(2) has it."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
        os._exit(128 + number)
    os._exit(os.WEXITSTATUS(status))
