"""The parent of a session's shell, and of everything that loses its own parent: it ends all of it with the front.

It runs nothing and decides nothing. Its channel to the front is the life line: whatever becomes of the front, the
kernel closes that, and then nothing below here is left alive. As the reaper it leaves no zombies of programs that
nobody waits for, which the shell could not tell from its own.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
from typing import TYPE_CHECKING

from aish.session import kin, shell
from aish.supervisor.daemon import tags
from aish.supervisor.holder import kernel

if TYPE_CHECKING:
    from typing import Final

    from aish.lang.host import Host

START: Final = b"start"
"""A new shell; its end of a channel comes along."""
_NAP_S: Final = 0.01


def start(host: Host) -> tuple[int, socket.socket]:
    """A warden in a process of its own: its pid and the channel to it. Everything but that channel and the standard
    descriptors has to be close-on-exec here, and is closed there."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    gc.freeze()
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            signal.set_wakeup_fd(-1)
            kernel.close_others({its.fileno()})
            status = _Warden(its, host).watch()
        finally:
            os._exit(status)
    its.close()
    return pid, ours


class _Warden:
    def __init__(self, front: socket.socket, host: Host) -> None:
        self._front, self._host = front, host
        self._shell = 0
        self._null()
        os.setsid()  # no terminal: a program that asks one for a password fails, and does not wait for a person
        kernel.become_subreaper()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, _nothing)
        signal.signal(signal.SIGCHLD, _nothing)
        self._wake, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)

    def _null(self) -> None:
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.close(null)

    def watch(self) -> int:
        """Until the front is gone."""
        poll = select.poll()
        poll.register(self._front, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if self._wake in ready:
                os.read(self._wake, 512)
            if self._front.fileno() in ready and not self._obey():
                self._end_all()
                return 0
            self._reap()

    def _obey(self) -> bool:
        try:
            word, fds, _, _ = socket.recv_fds(self._front, 64, 1)
        except OSError:
            return False
        if word == START and fds:
            try:
                self._fork(fds[0])
                self._tell(b"shell %d" % self._shell)
            except OSError as error:  # what runs in the background goes on
                self._tell(b"failed %d" % (error.errno or 0))
        for fd in fds:
            os.close(fd)
        return bool(word)

    def _tell(self, text: bytes) -> None:
        try:
            self._front.send(text)
        except OSError:
            pass  # it is gone: the next look at it tells

    def _fork(self, control: int) -> None:
        """Raises OSError."""
        parent = os.getpid()
        pid = os.fork()
        if pid:
            self._shell = pid
            return
        status = 70
        try:
            if kernel.die_with_parent(parent):
                signal.set_wakeup_fd(-1)
                kernel.close_others({control})
                kernel.default_signals()
                os.setpgid(0, 0)  # a `kill 0` of what it starts in its own group ends no warden
                status = shell.live(socket.socket(fileno=control), self._host)
        finally:
            os._exit(status)

    def _reap(self) -> None:
        while True:
            try:
                pid, raw = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._shell:
                self._tell(b"ended %d %d" % (pid, raw))

    def _end_all(self) -> None:
        """Look and kill until nothing is there; what multiplies is stopped first."""
        own = os.getpid()

        def everything() -> list[int]:
            return [pid for pid in kin.below(own, (own,)) if pid != own]

        for _ in range(tags.ROUNDS):
            tags.stop(everything(), [own])
            tags.kill(everything)
            self._reap()
            if not everything():
                return
            select.select([], [], [], _NAP_S)  # what is killed may take a moment to be gone


def _nothing(number: int, frame: object) -> None:
    """A signal that has a handler is not inherited as ignored."""
