"""The shell's end of the companion: every question has a deadline, and nothing here ever waits longer.

What must not be lost (`tell`) is kept until it is acknowledged, and told again to the next companion when one is
replaced: whoever answers must not mind hearing it twice.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import json
import os
import select
import socket
import sys
import time

from aish.lang import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    Then = Callable[[object], None]
    Serve = Callable[[int], None]

TOLD_WITHIN_S = 5.0
"""A disk may be slow: so long may a write take before the companion counts as stuck."""
MOST_KEPT = 1000
"""Writes that are kept for a companion that does not acknowledge."""
AGAIN_S = 2.0
"""What could not be done, since a file was locked, say, is told again after so long,"""
MOST_TRIES = 60
"""and so often."""
MOST_REPLACED = 3
REST_S = 60.0
"""Whoever hangs three times within a minute will hang again: then nothing is asked for a while."""


class _Open:
    """A question without an answer yet."""

    __slots__ = ("data", "deadline_s", "kept", "then", "tries")

    def __init__(self, data: bytes, deadline_s: float, then: Then | None, *, kept: bool) -> None:
        self.data = data
        self.deadline_s = deadline_s
        self.then = then
        self.kept = kept
        self.tries = 0


class Link:
    """`serve` is what the companion does with its end of the socket, until it returns."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._socket: socket.socket | None = None
        self._pidfd = -1
        self._open: dict[int, _Open] = {}
        self._later: list[tuple[float, int, _Open]] = []
        """What was told and could not be done, with when it is told again."""
        self._number = 0
        self._received = b""
        self._unsent = b""
        self._replaced: list[float] = []
        self.watcher: Callable[[int | None], None] | None = None
        """Told the descriptor to watch for answers, and None when there is none any more."""

    # -------------------------------------------------------------------------------------- asking

    def begin(self, what: str, within_s: float, then: Then, **fields: object) -> None:
        """Ask; `then` gets the answer, or None where there is none in time. It is called by `receive` or `check`."""
        self._send(what, fields, within_s, then, kept=False)

    def ask(self, what: str, within_s: float, **fields: object) -> object:
        """The answer, or None where there is none in time."""
        found: list[object] = []
        self._send(what, fields, within_s, found.append, kept=False)
        self.wait(lambda: found, within_s)
        self.check()
        return found[0] if found else None

    def tell(self, what: str, **fields: object) -> None:
        """Have something done that must not be lost, and do not wait for it."""
        if sum(one.kept for one in self._open.values()) < MOST_KEPT:
            self._send(what, fields, TOLD_WITHIN_S, None, kept=True)

    def _send(self, what: str, fields: dict[str, object], within_s: float, then: Then | None, *, kept: bool) -> None:
        self.check()
        self._number += 1
        data = json.dumps([self._number, what, fields]).encode() + b"\n"
        self._open[self._number] = _Open(data, time.monotonic() + within_s, then, kept=kept)
        if self._socket is None:
            self._start()  # sends all that is open
        else:
            self._unsent += data
            self._push()

    # ----------------------------------------------------------------------------------- answers

    def receive(self) -> None:
        """Take what has come, without waiting."""
        self._push()
        while self._socket is not None:
            try:
                chunk = self._socket.recv(1 << 16)
            except BlockingIOError:
                break
            except OSError:
                chunk = b""
            if not chunk:
                self._lost()
                break
            *lines, self._received = (self._received + chunk).split(b"\n")
            for line in lines:
                number, answer = json.loads(line)
                one = self._open.pop(number, None)
                if one is not None and one.kept and answer is None:
                    self._put_off(number, one)
                elif one is not None and one.then is not None:
                    one.then(answer)

    def check(self) -> None:
        """Replace a companion that has missed a deadline, and tell again what it could not do."""
        now = time.monotonic()
        self._tell_again(now)
        if any(one.deadline_s < now for one in self._open.values()):
            self.receive()  # it may have answered just now
        if any(one.deadline_s < now for one in self._open.values()):
            self._replace(now)

    def _put_off(self, number: int, one: _Open) -> None:
        one.tries += 1
        if one.tries < MOST_TRIES:
            self._later.append((time.monotonic() + AGAIN_S, number, one))

    def _tell_again(self, now: float) -> None:
        """What is due, in its order."""
        if not self._later or self._later[0][0] > now:
            return
        due, self._later = [it for it in self._later if it[0] <= now], [it for it in self._later if it[0] > now]
        for _, number, one in due:
            one.deadline_s = now + TOLD_WITHIN_S
            self._open[number] = one
        if self._socket is None:
            self._start()
        else:
            self._unsent += b"".join([one.data for _, _, one in due])
            self._push()

    def wait(self, happened: Callable[[], object], within_s: float) -> None:
        """Receive until something has happened, or there is no more time."""
        end = time.monotonic() + within_s
        while not happened() and self._socket is not None and (left := end - time.monotonic()) > 0:
            poll = select.poll()
            poll.register(self._socket, select.POLLIN | (select.POLLOUT if self._unsent else 0))
            if poll.poll(left * 1000):
                self.receive()

    def flush(self, within_s: float) -> None:
        """Give the companion so long to acknowledge what it was told."""
        self.wait(lambda: not any(one.kept for one in self._open.values()), within_s)

    def close(self, within_s: float = 0.3) -> None:
        """The shell ends. What is in the socket is still done."""
        self._tell_again(time.monotonic() + AGAIN_S)
        self.flush(within_s)
        self._forget()

    # ------------------------------------------------------------------------------ life and death

    def fileno(self) -> int | None:
        """The descriptor on which answers come."""
        return None if self._socket is None else self._socket.fileno()

    def _push(self) -> None:
        while self._unsent and self._socket is not None:
            try:
                sent = self._socket.send(self._unsent)
            except BlockingIOError:
                return
            except OSError:
                self._lost()
                return
            self._unsent = self._unsent[sent:]

    def _replace(self, now: float) -> None:
        if self._pidfd >= 0:
            try:
                _signal.pidfd_send_signal(self._pidfd, signals.SIGKILL)
            except OSError:
                pass  # it has just ended
        self._lost(now)

    def _lost(self, now: float | None = None) -> None:
        """There is no companion any more: what was asked has no answer, what was told is told to the next one."""
        self._forget()
        now = time.monotonic() if now is None else now
        self._replaced = [at for at in self._replaced if at > now - REST_S] + [now]
        unanswered = [one for one in self._open.values() if not one.kept]
        self._open = {number: one for number, one in self._open.items() if one.kept}
        for one in self._open.values():
            one.deadline_s = now + TOLD_WITHIN_S
        for one in unanswered:
            if one.then is not None:
                one.then(None)
        if self._open:
            self._start()

    def _forget(self) -> None:
        if self._socket is not None:
            if self.watcher is not None:
                self.watcher(None)
            self._socket.close()
            self._socket = None
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        self._received = self._unsent = b""

    def _start(self) -> None:
        """A new companion, unless the last ones hung."""
        now = time.monotonic()
        if len([at for at in self._replaced if at > now - REST_S]) >= MOST_REPLACED:
            for number in [number for number, one in self._open.items() if not one.kept]:
                one = self._open.pop(number)
                if one.then is not None:
                    one.then(None)
            for one in self._open.values():
                one.deadline_s = now + REST_S
            return
        ours, theirs = socket.socketpair()
        mask = signals.hold()
        try:
            pid = os.fork()
            if pid == 0:
                _companion(theirs.fileno(), self._serve)
        except OSError:  # no room for a process: there are no answers then
            ours.close()
            return
        finally:
            theirs.close()
            signals.release(mask)
        os.waitpid(pid, 0)
        hello = ours.recv(16)  # from a process that has only to fork once more
        try:
            self._pidfd = _high(os.pidfd_open(int(hello)))
        except (OSError, ValueError):
            ours.close()
            return
        self._socket = socket.socket(fileno=_high(ours.detach()))
        self._socket.setblocking(False)
        self._unsent = b"".join([one.data for one in self._open.values()])
        if self.watcher is not None:
            self.watcher(self._socket.fileno())
        self._push()


def _high(fd: int) -> int:
    """Out of the way of scripts."""
    from aish.lang import descriptors

    return descriptors.private(fd)


def _companion(fd: int, serve: Serve) -> NoReturn:
    """In the copy: become nobody's child, with nothing of the shell's but its memory."""
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.nice(1)
        _signal.set_wakeup_fd(-1)
        for signo in range(1, 65):
            if signo not in (signals.SIGKILL, signals.SIGSTOP) and _signal.getsignal(signo) is not None:
                _signal.signal(signo, _signal.SIG_DFL)
        _signal.signal(signals.SIGPIPE, _signal.SIG_IGN)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
        null = os.open(os.devnull, os.O_RDWR)
        keep = os.dup(fd)
        for number in (0, 1, 2):
            os.dup2(null, number)
        keeps = (0, 1, 2, keep, getattr(sys.meta_path[0], "fd", None))  # the last: aish.lean's
        for name in os.listdir("/proc/self/fd"):
            if int(name) not in keeps:
                try:
                    os.close(int(name))
                except OSError:
                    pass  # the listing's own
        os.write(keep, str(os.getpid()).encode())
        serve(keep)
    except BaseException:  # noqa: BLE001 -- the edge of a process: nothing may return into the shell
        os._exit(1)
    finally:
        os._exit(0)
