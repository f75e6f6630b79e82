"""The holder: parent of every supervised process. Births, deaths, pushes, and the line to the keeper.

One thread, one epoll, nothing in it ever waits for a client, a child or the keeper. What clients ask for is in
`desk`. A fault in this code ends the process; the keeper then starts a new one from the journal.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import time

from . import birth, build, exits, wire
from .desk import Desk
from .farewell import Farewell
from .home import Home
from .journal import CHUNK_BYTES, Child, failed_line
from .kernel import become_subreaper, say, start_time
from .peers import PEERS_MOST, Loop, Peer, accept
from .succession import CHECK, Succession
from .ward import DAEMON, Ward

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .estate import Estate

    Answer = Callable[["Child | birth.Failure"], None]

RETRY_S = 0.1  # until the keeper's queue is tried again


def hold(estate: Estate, control: socket.socket, before: dict[str, Any] | None = None) -> None:
    """Be the holder; `before` is what the program before this one in the same process said. Returns when the keeper
    has died: this process is then the keeper. Ends the process on quit."""
    try:
        become_subreaper()  # a fork does not inherit it
        holder = Holder(estate, control, before or {"keeper_build": build.OWN, "unmirrored": []})
        while not holder.keeper_gone:
            holder.turn()
    except Exception:  # noqa: BLE001 - the edge of the process: recorded, and the keeper starts another
        import traceback  # a few ms and 300 KiB that a sound holder never needs

        say(f"holder {os.getpid()}: fault\n{traceback.format_exc()}")
        os._exit(70)
    holder.close()


class Birth:
    """A child between fork and exec, and who waits to hear of it."""

    __slots__ = ("answers", "failure", "id", "journal_from", "pid", "pipe", "serial")

    def __init__(self, id: str, pid: int, pipe: int) -> None:
        self.id = id
        self.pid = pid
        self.pipe = pipe
        self.serial = 0
        self.journal_from = 0  # its announcement is not before this offset
        self.answers: list[Answer] = []
        self.failure: birth.Failure | None = None  # told by the child, which is about to end


class Holder:
    """All state of the holder. `children`: every id that lives or is unacknowledged, the daemon included."""

    def __init__(self, estate: Estate, control: socket.socket, before: dict[str, Any]) -> None:
        self.estate = estate
        self.control = control
        self.keeper_pid = os.getppid()
        self.keeper_gone = False
        self.children = estate.children
        living = [child for child in self.children.values() if child.exit is None]
        self.ours = {
            child.pid: child for child in living if exits.is_ours(child.pid)
        }  # by pid: this process forked them
        self.adopted = {child.id for child in living if child.pid not in self.ours}  # the keeper's
        self.births: dict[str, Birth] = {}
        self.newborn: dict[int, Birth] = {}  # the same by pid
        self.peers: dict[Peer, None] = {}
        self.controller: Peer | None = None
        self.unpushed: dict[tuple[str, str], dict[str, Any]] = {}
        self.ward = Ward(self)
        self.farewell = Farewell(self)
        self.succession = Succession(self, before["keeper_build"])
        self.desk = Desk(self)
        self._serial = 0
        self._reserve = [os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)]
        self._read_to = 0  # offset in the journal up to which the keeper's lines are known
        self._half_told: set[str] = set()  # ids whose zombie the keeper is just reaping
        self._unmirrored: dict[str, None] = dict.fromkeys(before["unmirrored"])
        self._mirror_at: float | None = 0.0 if self._unmirrored else None
        self._wake = exits.wakeups()
        self.loop = Loop()
        self.loop.watch(estate.listener.fileno(), self.accept)
        self.loop.watch(control.fileno(), self._keeper_says)
        self.loop.watch(self._wake.fileno(), self._child_ended)
        self.home = Home(self)
        self._resume()

    def _resume(self) -> None:
        """Take up what an earlier holder left: numbers for the pages, drains, the daemon."""
        for child in self.children.values():
            child.serial = self.next_serial()
            if child.pid in self.ours and child.start is None:
                child.start = start_time(child.pid)
        for entry in self.estate.store.values():
            if entry.log_fd is not None:
                self.watch_drain(entry.name)
        self.ward.resume()
        tried = self.children.get(CHECK)
        if tried is not None and tried.exit is not None:
            self.succession.checked(tried, None)  # whoever asked for it was the holder before
        self._child_ended(0)  # no signal tells of who ended before `wakeups`

    def state(self) -> dict[str, Any]:
        """What another program in this process has to know beside the estate."""
        return {
            "control": self.control.fileno(),
            "keeper_build": self.succession.keeper_build,
            "unmirrored": list(self._unmirrored),
        }

    def next_serial(self) -> int:
        """The next number in the order of births."""
        self._serial += 1
        return self._serial

    def turn(self) -> None:
        """Wait for something and handle it."""
        now = time.monotonic()
        due = (self.ward.revival.due, self.farewell.due, self._mirror_at, self.home.due, self.succession.due)
        times = [at for at in due if at is not None]
        self.loop.turn(max(0.0, min(times) - now) if times else None)
        self.succession.tick(time.monotonic())
        self.desk.fork()
        now = time.monotonic()
        if self._mirror_at is not None and now >= self._mirror_at:
            self._mirror()
        self.ward.tick(now)
        self.home.tick(now)
        self.farewell.tick(now)
        if self.estate.journal.grown():
            self._rewrite_journal()

    # Births

    def begin(self, id: str, plan: birth.Plan, fds: Sequence[int], answers: Sequence[Answer]) -> None:
        """Fork a child; `answers` hear what became of it. Raises Refusal(spawn)."""
        journal_from = self.estate.journal.size()
        born = Birth(id, *birth.fork(plan, id, fds, self.estate.journal.fd))
        born.serial = self.next_serial()
        born.journal_from = journal_from
        born.answers += answers
        self.births[id] = born
        self.newborn[born.pid] = born
        self.loop.watch(born.pipe, lambda _: self._hear(born))

    def _hear(self, born: Birth) -> None:
        """Learn whether the exec happened, if that is known by now."""
        try:
            born.failure = birth.outcome(born.pipe)
        except BlockingIOError:
            return
        self.loop.forget(born.pipe)
        if born.failure is None:
            self._settle(born)
        else:  # told when the child is reaped: a failed spawn leaves nothing behind, in no group and not in /proc
            self.estate.journal.append(failed_line(born.id, born.pid))

    def _settle(self, born: Birth) -> None:
        """Tell what became of it."""
        os.close(born.pipe)
        del self.births[born.id]
        del self.newborn[born.pid]
        result: Child | birth.Failure
        if born.failure is None:
            result = Child(born.id, born.pid, start_time(born.pid))
            result.serial = born.serial
            self.children[born.id] = result
            self.ours[born.pid] = result
        else:
            result = born.failure
            if born.id == DAEMON:
                self.ward.failed(born.failure)
        for answer in born.answers:
            answer(result)

    # Deaths

    def _child_ended(self, events: int) -> None:
        try:
            while self._wake.recv(4096):
                pass
        except BlockingIOError:
            pass
        while (dead := exits.next_dead()) is not None:
            pid, status = dead
            born = self.newborn.get(pid)
            if born is not None and born.failure is None:
                self._hear(born)  # it is dead, so its pipe tells by now
            child = self.ours.pop(pid, None)
            if child is None:
                exits.bury(pid)
                if born is not None:
                    self._settle(born)
            else:
                self._ended(child, exits.record_and_reap(self.estate.journal, child, status))

    def _ended(self, child: Child, record: dict[str, Any]) -> None:
        child.exit = record
        if child.id == DAEMON:
            self.ward.ended(child, record["status"])
        elif child.id == CHECK:
            self.succession.checked(child, record["status"])
        else:
            self.push(("exit", child.id), record)

    # Pushes

    def push(self, key: tuple[str, str], event: dict[str, Any]) -> None:
        """Tell the controller, now or when it reads again. Without one it will ask (list, names)."""
        if self.controller is not None:
            self.unpushed[key] = event
            self.pump(self.controller)

    def pump(self, peer: Peer) -> None:
        """Send what waits, as long as the controller takes it."""
        while peer is self.controller and peer.clear and self.unpushed:
            peer.send(self.unpushed.pop(next(iter(self.unpushed))))

    # Connections

    def accept(self, events: int) -> None:
        """Somebody connects."""
        for _ in range(16):
            try:
                sock = accept(self.estate.listener, self._reserve)
            except BlockingIOError:
                return
            if sock is None:
                continue
            try:
                peer = Peer(sock, self.loop, requests=self.desk.handle, writable=self.pump, gone=self._gone)
            except OSError:  # it hung up already, or epoll has no room
                sock.close()
                continue
            self.peers[peer] = None
            if len(self.peers) > PEERS_MOST:
                next(peer for peer in self.peers if peer is not self.controller).close()

    def _gone(self, peer: Peer) -> None:
        self.peers.pop(peer, None)
        if peer is self.controller:
            self.controller = None
            self.unpushed.clear()

    # Signals

    def kill(self, child: Child, sig: int, group: bool) -> None:
        """Signal one of ours: its pid cannot be anybody else's before we reap it. Raises OSError."""
        (os.killpg if group else os.kill)(child.pid, sig)

    def ask_keeper_to_kill(self, child: Child, sig: int, group: bool, token: int) -> None:
        """Pass a signal to the one who may reap the child. Raises OSError(EAGAIN) if it cannot be asked now."""
        message = {"op": "signal", "token": token, "id": child.id, "sig": sig, "group": group}
        wire.send(self.control, wire.encode(message))

    def kill_everything(self) -> None:
        """SIGKILL to every child's group but the daemon's."""
        for child in list(self.children.values()):
            if child.exit is None and child.id != DAEMON:
                try:
                    if child.id in self.adopted:
                        self.ask_keeper_to_kill(child, signal.SIGKILL, True, 0)
                    else:
                        self.kill(child, signal.SIGKILL, True)
                except OSError:  # it ended just now, or the keeper is busy: the next tick tries again
                    continue

    # The keeper

    def _keeper_says(self, events: int) -> None:
        if events & select.EPOLLOUT:
            self._mirror()
        while True:
            try:
                packet = wire.receive(self.control)
            except BlockingIOError:
                return
            except OSError:
                packet = wire.Packet(b"", [], None)
            if not packet.data:
                self.keeper_gone = True
                return
            message = wire.decode(packet.data)
            if "look" in message or "refused" in message:
                self.succession.keeper_said(message.get("build"), message.get("refused"))
                self._look()
            else:
                self.desk.keeper_answered(message["token"], message["errno"])

    def _look(self) -> None:
        """Read the exits that the keeper wrote."""
        before = -1
        while before != self._read_to:  # in parts: every page that is touched once makes every later fork dearer
            before = self._read_to
            lines, self._read_to = self.estate.journal.read(before, CHUNK_BYTES, "exit")
            for line in lines:
                self._told(line["exit"], reaped=line["reaped"])

    def _told(self, record: dict[str, Any], *, reaped: bool) -> None:
        """An exit in the journal: of our own children we know it already."""
        if not reaped:
            self._half_told.add(record["id"])
            return
        self._half_told.discard(record["id"])
        child = self.children.get(record["id"])
        if child is not None and child.id in self.adopted and child.pid == record["pid"]:
            self.adopted.discard(child.id)
            self._ended(child, record)

    def _rewrite_journal(self) -> None:
        """Give back the journal's old text, but nothing that a newborn or the keeper is about to rely on."""
        self._look()
        before = min([self._read_to, *(born.journal_from for born in self.births.values())])
        if not self._half_told and self.estate.journal.worth(before):
            self.estate.journal.rewrite(self.children.values(), before)

    def mirror(self, name: str) -> None:
        """Make the keeper's copy of a stored name the same as ours."""
        self._unmirrored[name] = None
        self._mirror()

    def _mirror(self) -> None:
        self._mirror_at = None
        while self._unmirrored:
            name = next(iter(self._unmirrored))
            entry = self.estate.store.get(name)
            message, fds = ({"op": "drop", "name": name}, []) if entry is None else entry.mirror()
            try:
                wire.send(self.control, wire.encode(message), fds)
            except OSError as error:
                if error.errno not in (errno.EPIPE, errno.ECONNRESET):  # full, or too many descriptors under way
                    self._mirror_at = time.monotonic() + RETRY_S
                return
            del self._unmirrored[name]

    # Drains

    def watch_drain(self, name: str) -> None:
        """Copy the pty master `name` to its log whenever it has something. Raises OSError (not pollable)."""
        master = self.estate.store[name].fds[0]
        os.set_blocking(master, False)
        self.loop.watch(master, lambda _: self._drain(name))

    def _drain(self, name: str) -> None:
        entry = self.estate.store[name]
        lost_bytes = entry.lost_bytes
        done = entry.drain()
        if done:
            self.loop.forget(entry.fds[0])
            entry.stop()
            self.push(
                ("drained", name),
                {"event": "drained", "name": name, "lost_bytes": entry.lost_bytes, "errno": entry.errno},
            )
        if done or (entry.lost_bytes and not lost_bytes):
            self.mirror(name)

    def release(self, name: str) -> None:
        """Before a stored name is replaced or dropped: stop watching it, with nothing left in it."""
        entry = self.estate.store.get(name)
        if entry is not None and entry.log_fd is not None:
            self.loop.forget(entry.fds[0])
            entry.empty()

    # The end

    def say_quit(self) -> None:
        """Tell the keeper to end with us. Raises OSError if it cannot be told."""
        wire.send(self.control, wire.encode({"op": "quit"}))

    def close(self) -> None:
        """On the way to becoming the keeper: drop what is the holder's alone. Clients connect again."""
        for peer in list(self.peers):
            peer.close()
        for born in self.births.values():
            os.close(born.pipe)  # whether they live is in the journal
        for fd in self._reserve:
            os.close(fd)
        self.home.close()
        self.control.close()
        self.loop.close()

    def say(self, text: str) -> None:
        """A line for the log."""
        say(f"holder {os.getpid()}: {text}")
