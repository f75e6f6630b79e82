"""What clients may ask of the holder: each operation of `wire`, checked, in one small method."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import stat
import time

from . import birth, wire
from .journal import ack_line
from .store import NAMES_MOST, Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .holder import Answer, Holder
    from .journal import Child
    from .peers import Peer

    Reply = dict[str, Any]

CHILDREN_MOST = 100_000  # living and unacknowledged: a controller that never acknowledges is stopped here
TERM_GRACE_S = 3.0  # quit: how long the daemon may take after SIGTERM
QUIT_GRACE_S = 10.0  # quit: when to give up on what SIGKILL does not end
TICK_S = 0.02
FORKS_MOST = 8  # how many wait for each other: each has its descriptors open meanwhile


class Wanted:
    """A checked spawn that is about to be forked. It owns its descriptors."""

    __slots__ = ("answers", "fds", "plan")

    def __init__(self, plan: birth.Plan, fds: list[int], answer: Answer) -> None:
        self.plan = plan
        self.fds = fds
        self.answers = [answer]


class Quitting:
    """A quit that waits for the last processes to end."""

    __slots__ = ("began", "forced", "peer", "seq")

    def __init__(self, peer: Peer, seq: int, forced: bool, began: float) -> None:
        self.peer = peer
        self.seq = seq
        self.forced = forced
        self.began = began


class Desk:
    """Answers requests. `due` is the monotonic time at which `tick` wants to be called, or None."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        self.quitting: Quitting | None = None
        self._asked: dict[int, tuple[Peer, int]] = {}  # signals that the keeper was asked to send, by token
        self._token = 0
        self._wanted: dict[str, Wanted] = {}
        self._operations = {
            "hello": self._hello,
            "daemon": self._daemon,
            "spawn": self._spawn,
            "signal": self._signal,
            "list": self._list,
            "ack": self._ack,
            "store": self._store,
            "fetch": self._fetch,
            "drop": self._drop,
            "names": self._names,
            "drain": self._drain,
            "bye": self._bye,
            "quit": self._quit,
        }

    def handle(self, peer: Peer, packet: wire.Packet) -> None:
        """Answer one datagram. The packet's owner closes the descriptors that no operation took."""
        seq = None
        try:
            if packet.cut == "too-large":
                raise wire.Refusal("too-large", f"at most {wire.DATAGRAM_BYTES} bytes in a datagram")
            message = wire.decode(packet.data)
            seq = wire.integer(message, "seq", 0, 1 << 53)
            if packet.cut is not None:
                raise wire.Refusal("fds", f"more than {wire.FDS_MAX} descriptors, or none left to receive them with")
            op = message.get("op")
            operation = self._operations.get(op) if isinstance(op, str) else None
            if operation is None:
                raise wire.Refusal("unknown-op", f"op: one of {', '.join(self._operations)}")
            if op != "hello" and peer.role is None:
                raise wire.Refusal("not-allowed", "say hello first")
            if op != "spawn":
                self.fork()
            if op not in ("hello", "daemon") and peer is not self.holder.controller:
                raise wire.Refusal("not-allowed", f"only the controller may {op}")
            reply = operation(peer, seq, message, packet.fds)
        except wire.Refusal as refusal:
            peer.send({"seq": seq, **refusal.reply()})
            return
        if reply is not None:
            peer.send({"seq": seq, "ok": True, **reply})

    # Who is there

    def _hello(self, peer: Peer, seq: int, message: Reply, fds: list[int]) -> Reply:
        if message.get("version") != wire.VERSION:
            raise wire.Refusal("version", f"this holder speaks version {wire.VERSION}", version=wire.VERSION)
        holder = self.holder
        match message.get("role"):
            case wire.CONTROLLER:
                self._become_controller(peer)
            case wire.CLIENT:
                if peer is holder.controller:
                    holder.controller = None
                peer.role = wire.CLIENT
            case _:
                raise wire.Refusal("bad-request", f"role: {wire.CONTROLLER} or {wire.CLIENT}")
        return {
            "version": wire.VERSION,
            "pid": os.getpid(),
            "keeper_pid": holder.keeper_pid,
            "boot_id": holder.estate.boot_id,
            "started": holder.estate.started,
            "daemon_pid": holder.daemon_pid,
        }

    def _become_controller(self, peer: Peer) -> None:
        holder = self.holder
        if holder.estate.options.daemon_argv is not None:
            if peer.pid != holder.daemon_pid:
                raise wire.Refusal("not-allowed", "this holder's own daemon alone is its controller")
            holder.revival.greeted()
        before = holder.controller
        holder.controller = peer
        peer.role = wire.CONTROLLER
        if before is not peer:
            holder.unpushed.clear()  # it will list
            if before is not None:
                before.role = wire.CLIENT
                before.send({"event": "displaced"})

    def _daemon(self, peer: Peer, seq: int, message: Reply, fds: list[int]) -> Reply | None:
        holder = self.holder
        if holder.estate.options.daemon_argv is None:
            raise wire.Refusal("no-daemon", "this holder was started without a daemon to look after")
        if self.quitting is not None:
            raise wire.Refusal("closing", "the holder is about to end")

        def answer(result: Child | birth.Failure) -> None:
            if isinstance(result, birth.Failure):
                peer.send({"seq": seq, **result.refusal().reply()})
            else:
                peer.send({"seq": seq, "ok": True, "pid": result.pid, "started": True})

        if holder.start_daemon(answer):
            return None
        return {"pid": holder.daemon_pid, "started": False}

    def _bye(self, peer: Peer, seq: int, message: Reply, fds: list[int]) -> Reply:
        self.holder.daemon_bye()
        return {}

    # Children

    def _spawn(self, peer: Peer, seq: int, message: Reply, fds: list[int]) -> Reply | None:
        holder = self.holder
        id = wire.name_of(message, "id")

        def answer(result: Child | birth.Failure, again: bool = False) -> None:
            if isinstance(result, birth.Failure):
                peer.send({"seq": seq, **result.refusal().reply()})
            else:
                peer.send({"seq": seq, "ok": True, "pid": result.pid, "start_time": result.start, "again": again})

        if id in holder.children:
            answer(holder.children[id], again=True)
            return None
        under_way = holder.births.get(id) or self._wanted.get(id)
        if under_way is not None:
            under_way.answers.append(lambda result: answer(result, again=True))
            return None
        if self.quitting is not None:
            raise wire.Refusal("closing", "the holder is about to end")
        if len(holder.children) + len(self._wanted) >= CHILDREN_MOST:
            raise wire.Refusal("full", f"{CHILDREN_MOST} children live or wait to be acknowledged")
        if not fds:
            raise wire.Refusal("fds", "spawn needs the payload's descriptor")
        plan = birth.plan(birth.load(fds[0]), len(fds) - 1, holder.estate.nofile)
        self._wanted[id] = Wanted(plan, fds[1:], answer)
        del fds[1:]
        if len(self._wanted) >= FORKS_MOST:
            self.fork()
        return None

    def fork(self) -> None:
        """Fork what was asked for in this turn, one right after the other: each fork makes the next write to every
        page a fault, and doing other things in between costs as much as the fork itself."""
        wanted, self._wanted = self._wanted, {}
        for id, one in wanted.items():
            try:
                self.holder.begin(id, one.plan, one.fds, one.answers)
            except wire.Refusal as refusal:
                failure = birth.Failure(str(refusal.details["stage"]), int(str(refusal.details["errno"])))
                for answer in one.answers:
                    answer(failure)
            finally:
                for fd in one.fds:
                    os.close(fd)

    def _signal(self, peer: Peer, seq: int, message: Reply, fds: list[int]) -> Reply | None:
        child = self.holder.children.get(wire.name_of(message, "id"))
        sig = wire.integer(message, "sig", 0, signal.NSIG - 1)
        group = wire.flag(message, "group")
        if child is None:
            raise wire.Refusal("unknown-id", "no such child: it never was, or its exit is acknowledged")
        if child.exit is not None:
            raise wire.Refusal("reaped", "the child has ended; its pid may be somebody else's by now")
        try:
            if child.id not in self.holder.adopted:
                self.holder.kill(child, sig, group)
                return {}
            self._token += 1
            self.holder.ask_keeper_to_kill(child, sig, group, self._token)
        except OSError as error:
            number = error.errno or errno.EINVAL
            raise wire.Refusal("signal", os.strerror(number), errno=number) from None
        self._asked[self._token] = (peer, seq)
        return None

    def keeper_answered(self, token: int, number: int | None) -> None:
        """What became of a signal that the keeper was asked to send."""
        peer, seq = self._asked.pop(token, (None, 0))
        if peer is None:
            return
        if number is None:
            peer.send({"seq": seq, "ok": True})
        else:
            refusal = wire.Refusal("signal", os.strerror(number), errno=number)
            peer.send({"seq": seq, **refusal.reply()})

    def _list(self, peer: Peer, seq: int, message: Reply, fds: list[int]) -> Reply:
        """One page, in the order of births. `next` is the serial number to go on after."""
        after = wire.integer(message, "after", 0, 1 << 53, 0)
        holder = self.holder
        rows: list[tuple[int, str, Reply]] = []
        for born in holder.births.values():
            row: Reply = {"id": born.id, "pid": born.pid, "start_time": None, "starting": True}
            rows.append((born.serial, "children", row))
        for child in holder.children.values():
            if child.exit is not None:
                rows.append((child.serial, "exits", child.exit))
            else:
                row = {"id": child.id, "pid": child.pid, "start_time": child.start, "starting": False}
                rows.append((child.serial, "children", row))
        page: Reply = {"children": [], "exits": [], "next": None}
        room = wire.PAGE_BYTES
        for serial, key, row in sorted((row for row in rows if row[0] > after), key=lambda row: row[0]):
            if row["id"].startswith("."):
                continue
            room -= len(wire.encode(row)) + 1
            if room < 0:
                break
            page[key].append(row)
            after = serial
        else:
            return page
        page["next"] = after
        return page

    def _ack(self, peer: Peer, seq: int, message: Reply, fds: list[int]) -> Reply:
        ids = message.get("ids")
        if not isinstance(ids, list) or not all(isinstance(id, str) for id in ids):
            raise wire.Refusal("bad-request", "ids: a list of strings")
        children = self.holder.children
        known = [id for id in dict.fromkeys(ids) if id in children and children[id].exit and id[0] != "."]
        if known:
            self.holder.estate.journal.append(ack_line(known))
        for id in known:
            del children[id]
            self.holder.unpushed.pop(("exit", id), None)
        return {"acked": len(known)}

    # Kept descriptors

    def _store(self, peer: Peer, seq: int, message: Reply, fds: list[int]) -> Reply:
        name = wire.name_of(message, "name")
        store = self.holder.estate.store
        if not fds:
            raise wire.Refusal("fds", "store needs at least one descriptor")
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if len(store) >= NAMES_MOST or max(fds) > most * 3 // 4:
            raise wire.Refusal(
                "full", f"{len(store)} names are kept, of at most {most} descriptors {max(fds)} in use"
            )
        self.holder.release(name)
        store.put(Entry(name, list(fds)))
        fds.clear()
        self.holder.mirror(name)
        return {}

    def _entry(self, message: Reply) -> Entry:
        name = wire.name_of(message, "name")
        entry = self.holder.estate.store.get(name)
        if entry is None:
            raise wire.Refusal("unknown-name", f"nothing is kept under {name}")
        return entry

    def _fetch(self, peer: Peer, seq: int, message: Reply, fds: list[int]) -> None:
        entry = self._entry(message)
        peer.send({"seq": seq, "ok": True, "count": len(entry.fds)}, entry.fds)

    def _drop(self, peer: Peer, seq: int, message: Reply, fds: list[int]) -> Reply:
        name = wire.name_of(message, "name")
        self.holder.release(name)
        dropped = self.holder.estate.store.drop(name)
        self.holder.mirror(name)
        return {"dropped": dropped}

    def _names(self, peer: Peer, seq: int, message: Reply, fds: list[int]) -> Reply:
        after = message.get("after", "")
        if not isinstance(after, str):
            raise wire.Refusal("bad-request", "after: a name")
        store = self.holder.estate.store
        names: list[Reply] = []
        room = wire.PAGE_BYTES
        for name in sorted(name for name in store if name > after):
            row = store[name].told()
            room -= len(wire.encode(row)) + 1
            if room < 0:
                return {"names": names, "next": names[-1]["name"]}
            names.append(row)
        return {"names": names, "next": None}

    def _drain(self, peer: Peer, seq: int, message: Reply, fds: list[int]) -> Reply:
        """A second drain of a name only changes the log."""
        entry = self._entry(message)
        if len(fds) != 1:
            raise wire.Refusal("fds", "drain needs one descriptor, the log's")
        flags = fcntl.fcntl(fds[0], fcntl.F_GETFL)
        if not stat.S_ISREG(os.fstat(fds[0]).st_mode) or not flags & os.O_APPEND or not flags & os.O_ACCMODE:
            raise wire.Refusal("bad-request", "the log must be a regular file, opened for writing with O_APPEND")
        if entry.drained:
            raise wire.Refusal("bad-request", f"{entry.name} is drained already: its last slave was closed")
        if entry.log_fd is None:
            if not os.isatty(entry.fds[0]):
                raise wire.Refusal("bad-request", f"{entry.name} is not a terminal")
            self.holder.watch_drain(entry.name)
        entry.stop()
        entry.log_fd = fds.pop()
        self.holder.mirror(entry.name)
        return {}

    # The end

    @property
    def due(self) -> float | None:
        """When `tick` wants to be called."""
        return None if self.quitting is None else time.monotonic() + TICK_S

    @property
    def closing(self) -> bool:
        """Whether nothing new may start."""
        return self.quitting is not None

    def _quit(self, peer: Peer, seq: int, message: Reply, fds: list[int]) -> None:
        forced = wire.flag(message, "force")
        live, unacknowledged = self._load()
        if self.quitting is not None:
            raise wire.Refusal("closing", "the holder is about to end")
        if (live or unacknowledged) and not forced:
            message_text = f"{live} live children, {unacknowledged} unacknowledged exits"
            raise wire.Refusal("busy", message_text, live=live, unacknowledged=unacknowledged)
        self.quitting = Quitting(peer, seq, forced, time.monotonic())
        self._end_daemon(signal.SIGTERM)

    def _load(self) -> tuple[int, int]:
        """(live children, unacknowledged exits), without the daemon."""
        children = [child for child in self.holder.children.values() if child.id[0] != "."]
        ended = sum(child.exit is not None for child in children)
        newborn = sum(id[0] != "." for id in self.holder.births)
        return len(children) - ended + newborn, ended

    def _end_daemon(self, sig: int) -> bool:
        """Signal the daemon unless it is who asked for the end; false if nothing of it is left to wait for."""
        pid = self.holder.daemon_pid
        if pid is None or (self.quitting is not None and pid == self.quitting.peer.pid):
            return False
        os.kill(pid, sig)
        return True

    def tick(self, now: float) -> None:
        """Go on with a quit."""
        quitting = self.quitting
        if quitting is None:
            return
        if quitting.forced:
            self.holder.kill_everything()
        waited_s = now - quitting.began
        daemon_left = self._end_daemon(signal.SIGKILL if waited_s > TERM_GRACE_S else 0)
        live, unacknowledged = self._load()
        if not live and not daemon_left:
            self._leave(quitting)
        elif waited_s > QUIT_GRACE_S:
            self.quitting = None
            refusal = wire.Refusal("busy", "something does not end", live=live, unacknowledged=unacknowledged)
            quitting.peer.send({"seq": quitting.seq, **refusal.reply()})

    def _leave(self, quitting: Quitting) -> None:
        """The keeper first: once it knows, nobody starts another holder. Then the names, the answer, the end."""
        try:
            self.holder.say_quit()
        except OSError:  # it is stopped or dead: the next tick tries again, or we have become the keeper
            return
        self.holder.estate.vanish()
        quitting.peer.last_words({"seq": quitting.seq, "ok": True})
        os._exit(0)
