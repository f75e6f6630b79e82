"""The holder: parent of every supervised process. Births, deaths, pushes, the daemon, and the line to the keeper.

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

from . import birth, exits, wire
from .desk import Desk
from .estate import StartError
from .journal import CHUNK_BYTES, Child, ack_line, bye_line, failed_line
from .kernel import become_subreaper, say, start_time, watch_folder
from .peers import PEERS_MOST, Loop, Peer, accept
from .revival import Revival

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .estate import Estate

    Answer = Callable[["Child | birth.Failure"], None]

DAEMON = ".daemon"  # the daemon's id in the journal: no client can name it
RETRY_S = 0.1  # until the keeper's queue is tried again
HOME_SETTLE_S = 0.2
HOMELESS_S = 2.0  # between tries where the runtime folder cannot be made


def hold(estate: Estate, control: socket.socket) -> None:
    """Be the holder. Returns when the keeper has died: this process is then the keeper. Ends the process on quit."""
    try:
        become_subreaper()  # a fork does not inherit it
        holder = Holder(estate, control)
        while not holder.keeper_gone:
            holder.turn()
    except Exception:  # noqa: BLE001 - the edge of the process: recorded, and the keeper starts another
        import traceback  # a few ms and 300 KiB that a sound holder never needs

        say(f"holder {os.getpid()}: fault\n{traceback.format_exc()}")
        os._exit(70)
    holder.close()


class Birth:
    """A child between fork and exec, and who waits to hear of it."""

    __slots__ = ("answers", "id", "journal_from", "pid", "pipe", "serial")

    def __init__(self, id: str, pid: int, pipe: int) -> None:
        self.id = id
        self.pid = pid
        self.pipe = pipe
        self.serial = 0
        self.journal_from = 0  # its announcement is not before this offset
        self.answers: list[Answer] = []


class Holder:
    """All state of the holder. `children`: every id that lives or is unacknowledged, the daemon included."""

    def __init__(self, estate: Estate, control: socket.socket) -> None:
        self.estate = estate
        self.control = control
        self.keeper_pid = os.getppid()
        self.keeper_gone = False
        self.children = estate.children
        self.ours: dict[int, Child] = {}  # alive, by pid: we forked them
        self.adopted = {child.id for child in self.children.values() if child.exit is None}  # the keeper's
        self.births: dict[str, Birth] = {}
        self.newborn: dict[int, Birth] = {}  # the same by pid
        self.peers: dict[Peer, None] = {}
        self.controller: Peer | None = None
        self.unpushed: dict[tuple[str, str], dict[str, Any]] = {}
        self.revival = Revival()
        self.desk = Desk(self)
        self._serial = 0
        self._reserve = [os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)]
        self._read_to = 0  # offset in the journal up to which the keeper's lines are known
        self._half_told: set[str] = set()  # ids whose zombie the keeper is just reaping
        self._unmirrored: dict[str, None] = {}
        self._mirror_at: float | None = None
        self._wake = exits.wakeups()
        self.loop = Loop()
        self.loop.watch(estate.listener.fileno(), self._accept)
        self.loop.watch(control.fileno(), self._keeper_says)
        self.loop.watch(self._wake.fileno(), self._child_ended)
        self._folder_watch: int | None = None
        self._home_at: float | None = 0.0 if estate.homeless() else None
        self._watch_home()
        self._resume()

    def _resume(self) -> None:
        """Take up what an earlier holder left: numbers for the pages, drains, the daemon."""
        for child in self.children.values():
            child.serial = self.next_serial()
        for entry in self.estate.store.values():
            if entry.log_fd is not None:
                self.watch_drain(entry.name)
        daemon = self.children.get(DAEMON)
        if self.estate.options.daemon_argv is not None and (
            daemon is None or (daemon.exit is not None and not daemon.said_bye)
        ):
            self.revival.wanted(time.monotonic())

    def next_serial(self) -> int:
        """The next number in the order of births."""
        self._serial += 1
        return self._serial

    def turn(self) -> None:
        """Wait for something and handle it."""
        now = time.monotonic()
        due = (self.revival.due, self.desk.due, self._mirror_at, self._home_at)
        times = [at for at in due if at is not None]
        self.loop.turn(max(0.0, min(times) - now) if times else None)
        self.desk.fork()
        now = time.monotonic()
        if self._mirror_at is not None and now >= self._mirror_at:
            self._mirror()
        if self.revival.due is not None and now >= self.revival.due:
            self.start_daemon(None)
        if self._home_at is not None and now >= self._home_at:
            self._return_home(now)
        self.desk.tick(now)
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
        self.loop.watch(born.pipe, lambda _: self._settle(born))

    def _settle(self, born: Birth) -> None:
        """Learn whether the exec happened, if that is known by now."""
        try:
            failure = birth.outcome(born.pipe)
        except BlockingIOError:
            return
        self.loop.forget(born.pipe)
        os.close(born.pipe)
        del self.births[born.id]
        del self.newborn[born.pid]
        result: Child | birth.Failure
        if failure is None:
            result = Child(born.id, born.pid, start_time(born.pid))
            result.serial = born.serial
            self.children[born.id] = result
            self.ours[born.pid] = result
        else:
            result = failure
            self.estate.journal.append(failed_line(born.id, born.pid))
            if born.id == DAEMON:
                self._say(f"the daemon did not start: {failure.refusal().message}")
                self.revival.ended(time.monotonic())
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
            if pid in self.newborn:
                self._settle(self.newborn[pid])  # it is dead, so its pipe tells by now
            child = self.ours.pop(pid, None)
            if child is None:
                exits.bury(pid)
            else:
                self._ended(child, exits.record_and_reap(self.estate.journal, child, status))

    def _ended(self, child: Child, record: dict[str, Any]) -> None:
        child.exit = record
        if child.id == DAEMON:
            self._say(f"the daemon {child.pid} ended with wait status {record['status']}")
            self.revival.ended(time.monotonic(), said_bye=child.said_bye)
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

    def _accept(self, events: int) -> None:
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

    # The daemon

    @property
    def daemon_pid(self) -> int | None:
        """The daemon's pid while it lives or is being born."""
        if DAEMON in self.births:
            return self.births[DAEMON].pid
        daemon = self.children.get(DAEMON)
        return daemon.pid if daemon is not None and daemon.exit is None else None

    def start_daemon(self, answer: Answer | None) -> bool:
        """Start it if it does not run; `answer` hears how that went. False: it runs. Raises Refusal(spawn)."""
        argv = self.estate.options.daemon_argv
        assert argv is not None
        if answer is not None and DAEMON in self.births:
            self.births[DAEMON].answers.append(answer)
            return True
        if self.daemon_pid is not None or self.desk.closing:
            self.revival.due = None
            return False
        folder = f"{wire.RUNTIME_DIR_VARIABLE}=".encode()
        env = [pair for pair in self.estate.environment if not pair.startswith(folder)]
        env.append(folder + os.fsencode(self.estate.options.runtime_dir))
        self.revival.started(time.monotonic())
        if self.children.pop(DAEMON, None) is not None:
            self.estate.journal.append(ack_line([DAEMON]))
        try:
            null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
            try:
                plan = birth.daemon_plan(argv, env, self.estate.nofile)
                self.begin(DAEMON, plan, [null, 1, 2], [] if answer is None else [answer])
            finally:
                os.close(null)
        except (wire.Refusal, OSError) as error:
            refusal = error if isinstance(error, wire.Refusal) else birth.Failure("fds", error.errno or 0).refusal()
            self._say(f"the daemon did not start: {refusal.message}")
            self.revival.ended(time.monotonic())
            if answer is not None:
                raise refusal from None
        return True

    def daemon_bye(self) -> None:
        """The controller leaves on purpose."""
        daemon = self.children.get(DAEMON)
        if daemon is not None and daemon.exit is None:
            daemon.said_bye = True
            self.estate.journal.append(bye_line(DAEMON))

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
            if "look" in message:
                self._look()
            else:
                self.desk.keeper_answered(message["token"], message["errno"])

    def _look(self) -> None:
        """Read the exits that the keeper wrote."""
        before = -1
        while before != self._read_to:  # in parts: every page that is touched once makes every later fork dearer
            before = self._read_to
            lines, self._read_to = self.estate.journal.read(before, CHUNK_BYTES)
            for line in lines:
                if line["is"] == "exit":
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

    # The runtime folder

    def _watch_home(self) -> None:
        self._folder_watch = watch_folder(self.estate.dir_fd)
        if self._folder_watch is not None:
            self.loop.watch(self._folder_watch, self._home_changed)

    def _home_changed(self, events: int) -> None:
        """Something in it was taken away; looked at when whoever does so may be through."""
        assert self._folder_watch is not None
        try:
            os.read(self._folder_watch, 65536)
        except BlockingIOError:
            return
        self._home_at = time.monotonic() + HOME_SETTLE_S

    def _return_home(self, now: float) -> None:
        """Be found again: clients, and the daemon, which has a socket there, too."""
        self._home_at = None
        if self.desk.closing:
            return
        if self.estate.homeless():
            self.loop.forget(self.estate.listener.fileno())
            try:
                self.estate.return_home()
                told = wire.encode({"op": "home", "path": self.estate.options.runtime_dir})
                estate = self.estate
                wire.send(self.control, told, [estate.dir_fd, estate.listener.fileno(), estate.home_lock_fd])
            except (StartError, OSError):
                self._home_at = now + HOMELESS_S  # the folder above is gone, too: until the next login
            self.loop.watch(self.estate.listener.fileno(), self._accept)
            if self._folder_watch is not None:
                self.loop.forget(self._folder_watch)
                os.close(self._folder_watch)
            self._watch_home()
        if self._home_at is None:
            self.push(("home", ""), {"event": "home", "path": self.estate.options.runtime_dir})

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
        for fd in [*self._reserve, self._folder_watch]:
            if fd is not None:
                os.close(fd)
        self.control.close()
        self.loop.close()

    def _say(self, text: str) -> None:
        say(f"holder {os.getpid()}: {text}")
