"""The keeper: waits for the holder to die, and then has everything that the next one needs.

It keeps duplicates of the stored descriptors, reaps the children of holders that died, passes signals to them on
request (only their parent can be sure that a pid is still theirs), and forks holders. It also watches, through
pidfds, children that are nobody's here any more (see the package's text: a keeper's death after a holder's).

Messages over a socketpair, never waited for by either side:
holder → keeper  {"op": "store", …}+fds, {"op": "drop", "name"}, {"op": "signal", "token", "id", "sig", "group"},
                 {"op": "home", "path"}+fds: runtime folder and listening socket, made again
                 {"op": "upgrade"}: become the code on disk
                 {"op": "leave"}: who follows me has nothing to do but to drain terminals
                 {"op": "quit"}: when I end, end as well
keeper → holder  {"look": true, "build"}: there are new exits in the journal, or this is another program than before;
                 {"refused": errno}: it could not be run; {"token", "errno"}: what a signal did
"""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import time

from . import kernel, wire
from .build import OWN
from .exits import bury, exit_record, has_ended, is_ours, next_dead, record_and_reap, wakeups
from .journal import Child, Journal, exit_line, replay
from .succession import become

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .estate import Estate

STEADY_S = 1.0  # a holder that lived this long did not die of its start
MOST_PAUSE_S = 30.0
ASKED_PAUSE_S = 1.0  # while somebody waits for a holder to answer
STATUS_GRACE_S = 5.0  # how long a stranger's exit code may take to appear after its end: until its parent reaps it
STATUS_POLL_S = 0.05


def keep(estate: Estate, before: dict[str, Any] | None = None) -> socket.socket:
    """Be the keeper; `before` is what the program before this one in the same process said. Returns only in a new
    holder, just forked: its end of the line. Ends the process on quit."""
    pause_s = 0.0
    while True:
        inherited = Inheritance(estate)
        born = time.monotonic()
        if before is not None:
            ours, holder_pid = inherited.resume(before)
            before = None
        else:
            inherited.take_over()
            if pause_s:
                inherited.watch_for(pause_s)
            born = time.monotonic()
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.setblocking(False)
            theirs.setblocking(False)
            holder_pid = os.fork()
            if holder_pid == 0:
                ours.close()
                inherited.close()
                return theirs
            theirs.close()
        inherited.watch(ours, holder_pid)
        ours.close()
        inherited.close()
        lived_s = time.monotonic() - born
        if lived_s > STEADY_S or inherited.holder_status == signal.SIGKILL:  # killed: no fault of its own
            pause_s = 0.0
        else:
            pause_s = min(MOST_PAUSE_S, max(0.02, pause_s * 2))


class Inheritance:
    """What one take-over found, and the watch over it until the next."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self.wake = wakeups()
        self.mine: dict[int, Child] = {}  # by pid: we are their parent
        self.strangers: dict[int, Child] = {}  # by pidfd: init is
        self._doubtful: dict[int, float] = {}  # pidfd of an ended stranger without a code: when to give up
        self.holder_status: int | None = None
        self._unlooked = False
        self._quitting = False
        self._upgrading = False
        self._control: socket.socket | None = None

    def take_over(self) -> None:
        """Seal the old journal, learn from it who lives, and begin a new one that says so."""
        estate = self.estate
        old = estate.journal
        old.seal()
        estate.children = replay(old.read()[0])
        old.close()
        estate.journal = Journal()
        for child in estate.children.values():
            if child.exit is None:
                self._claim(child)
        estate.journal.rewrite(estate.children.values(), 0)

    def _claim(self, child: Child) -> None:
        started = kernel.start_time(child.pid)
        if is_ours(child.pid) and (child.start is None or child.start == started):
            child.start = started
            self.mine[child.pid] = child
            return
        pidfd = kernel.pidfd_of(child.pid, child.start)
        if pidfd is None:
            child.exit = exit_record(child, None)
        else:
            self.strangers[pidfd] = child

    def state(self, holder_pid: int) -> dict[str, Any]:
        """What another program in this process has to know beside the estate."""
        assert self._control is not None
        return {
            "control": self._control.fileno(),
            "holder_pid": holder_pid,
            "mine": [[child.id, child.pid, child.start] for child in self.mine.values()],
            "strangers": [[child.id, child.pid, child.start, fd] for fd, child in self.strangers.items()],
        }

    def resume(self, before: dict[str, Any]) -> tuple[socket.socket, int]:
        """That program's side of `state`: the line to the holder, and its pid."""
        for id, pid, start in before["mine"]:
            self.mine[pid] = Child(id, pid, start)
        for id, pid, start, pidfd in before["strangers"]:
            os.set_inheritable(pidfd, False)
            self.strangers[pidfd] = Child(id, pid, start)
        control = socket.socket(fileno=before["control"])
        control.set_inheritable(False)
        control.setblocking(False)
        return control, before["holder_pid"]

    def watch(self, control: socket.socket, holder_pid: int) -> None:
        """Until the holder has died, everything that it had sent has been taken in, and it is reaped.

        Ends the process if the holder was told to quit.
        """
        self._control = control
        self._unlooked = True  # of exits that came while there was no holder
        timeout_s: float | None = 0  # first without waiting: a child may have ended before `wake` was there
        while not self._turn(timeout_s, holder_pid):
            timeout_s = None
        self._take_messages()
        self._control = None
        if self._quitting:
            os._exit(0)

    def watch_for(self, pause_s: float) -> None:
        """Reap for a while without a holder: the last ones died at once. Who connects cuts it short."""
        begun = now = time.monotonic()
        while now < begun + pause_s:
            if now < begun + ASKED_PAUSE_S:
                self._turn(min(pause_s, ASKED_PAUSE_S) - (now - begun), 0)
            elif _readable(self.estate.listener):
                return
            else:
                self._turn(begun + pause_s - now, 0, self.estate.listener)
            now = time.monotonic()

    def _turn(self, timeout_s: float | None, holder_pid: int, listener: socket.socket | None = None) -> bool:
        """Wait once, also for who connects to `listener`, and handle it; true when the holder has died."""
        poll = select.poll()
        poll.register(self.wake, select.POLLIN)
        if listener is not None:
            poll.register(listener, select.POLLIN)
        if self._control is not None:
            poll.register(self._control, select.POLLIN | (select.POLLOUT if self._unlooked else 0))
        for pidfd in self.strangers:
            if pidfd not in self._doubtful:
                poll.register(pidfd, select.POLLIN)
        if self._doubtful:
            timeout_s = STATUS_POLL_S if timeout_s is None else min(timeout_s, STATUS_POLL_S)
        poll.poll(None if timeout_s is None else timeout_s * 1000)
        _empty(self.wake)
        self._take_messages()
        holder_died = self._reap(holder_pid)
        self._ask_strangers()
        self._ask_to_look()
        if self._upgrading and not holder_died and not self._quitting:
            self._upgrade(holder_pid)
        return holder_died

    def _upgrade(self, holder_pid: int) -> None:
        """Become the program that is on disk now: the holder has tried it. Returns if that cannot be."""
        self._upgrading = False
        assert self._control is not None
        number = become(self.estate, "keeper", self.state(holder_pid), [self._control.fileno(), *self.strangers])
        self._say({"refused": number})

    def _reap(self, holder_pid: int) -> bool:
        """Reap our own children and their orphans; true when the holder has died.

        From that moment on any zombie may be a child of its, which only the journal knows: then nothing more is
        reaped. (Its children become ours and it becomes a zombie in one step of the kernel.)
        """
        while (dead := next_dead()) is not None:
            pid, status = dead
            child = self.mine.pop(pid, None)
            if child is not None:
                child.exit = record_and_reap(self.estate.journal, child, status)
                self._unlooked = True
            elif holder_pid and has_ended(holder_pid):
                self.holder_status = os.waitpid(holder_pid, 0)[1]
                if not self._quitting:
                    _log(f"the holder {holder_pid} ended with wait status {self.holder_status}: starting another")
                return True
            else:
                bury(pid)
        return False

    def _ask_strangers(self) -> None:
        """Write down the ends of those whose parent we are not: with the code where the kernel tells it."""
        if not self.strangers:
            return
        poll = select.poll()
        for pidfd in self.strangers:
            poll.register(pidfd, select.POLLIN)
        for pidfd, _ in poll.poll(0):
            now = time.monotonic()
            give_up = self._doubtful.setdefault(pidfd, now + STATUS_GRACE_S)
            child = self.strangers[pidfd]
            status = kernel.stranger_status(pidfd, child.pid, child.start)
            if status is None and now < give_up:
                continue
            del self.strangers[pidfd]
            del self._doubtful[pidfd]
            os.close(pidfd)
            child.exit = exit_record(child, status, ended_at=time.time())
            self.estate.journal.append(exit_line(child.exit))
            self._unlooked = True

    def _ask_to_look(self) -> None:
        """Tell the holder of new exits; if it cannot take it now, when it can."""
        if self._unlooked and self._control is not None and self._say({"look": True, "build": OWN}):
            self._unlooked = False

    def _say(self, message: dict[str, Any]) -> bool:
        assert self._control is not None
        try:
            wire.send(self._control, wire.encode(message))
        except BlockingIOError:
            return False
        except OSError:  # it is dead: its end is about to be reaped
            return True
        return True

    def _take_messages(self) -> None:
        while self._control is not None:
            try:
                packet = wire.receive(self._control)
            except OSError:  # nothing there, or the holder is dead and all was read
                return
            if not packet.data:
                return
            self._obey(wire.decode(packet.data), packet)
            packet.close()

    def _obey(self, message: dict[str, Any], packet: wire.Packet) -> None:
        match message["op"]:
            case "store" if packet.cut is None:
                self.estate.store.reflect(message, packet.fds)
            case "store":
                _log(f"no descriptors left to duplicate {message['name']}: it would not survive the holder")
                self.estate.store.drop(message["name"])
            case "drop":
                self.estate.store.drop(message["name"])
            case "signal":
                self._say({"token": message["token"], "errno": self._signal(message)})
            case "home" if packet.cut is None:
                self.estate.options.runtime_dir = message["path"]
                self.estate.take_home(packet.fds)
            case "home":
                _log("no descriptors left for the new listening socket: it would not survive the holder")
            case "upgrade":
                self._upgrading = True
            case "leave":
                self.estate.leaving = True
            case "quit":
                self._quitting = True
            case other:
                raise AssertionError(f"the holder sent {other!r}")

    def _signal(self, message: dict[str, Any]) -> int | None:
        """The errno of a signal to one of ours; ESRCH once it is reaped, whatever its pid is now."""
        id, sig, group = message["id"], message["sig"], message["group"]
        try:
            for child in self.mine.values():
                if child.id == id:
                    (os.killpg if group else os.kill)(child.pid, sig)
                    return None
            for pidfd, child in self.strangers.items():
                if child.id == id:
                    kernel.signal_stranger(pidfd, child.pid, sig, group)
                    return None
        except OSError as error:
            return error.errno
        return errno.ESRCH

    def close(self) -> None:
        """Drop what belongs to this watch, in the parent for the next one, in the forked holder for good."""
        for pidfd in self.strangers:
            os.close(pidfd)


def _empty(wake: socket.socket) -> None:
    try:
        while wake.recv(4096):
            pass
    except BlockingIOError:
        return


def _readable(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _log(text: str) -> None:
    kernel.say(f"keeper {os.getpid()}: {text}")
