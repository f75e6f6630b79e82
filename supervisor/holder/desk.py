"""What clients may ask of the holder: each operation of `wire`, checked, in one small method."""

from __future__ import annotations

import errno
import os
import signal

from . import birth, build, wire
from .journal import ack_line
from .shelf import Shelf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .holder import Answer, Holder
    from .journal import Child
    from .peers import Peer

    Reply = dict[str, Any]

CHILDREN_MOST = 100_000  # living and unacknowledged: a controller that never acknowledges is stopped here
FORKS_MOST = 8  # how many wait for each other: each has its descriptors open meanwhile


class Wanted:
    """A checked spawn that is about to be forked. It owns its descriptors."""

    __slots__ = ("answers", "fds", "plan")

    def __init__(self, plan: birth.Plan, fds: list[int], answer: Answer) -> None:
        self.plan = plan
        self.fds = fds
        self.answers = [answer]


class Desk:
    """Answers requests; those about kept descriptors are the shelf's, the last one the farewell's."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        shelf = Shelf(holder)
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
            "store": shelf.store,
            "fetch": shelf.fetch,
            "drop": shelf.drop,
            "names": shelf.names,
            "drain": shelf.drain,
            "bye": self._bye,
            "upgrade": holder.succession.upgrade,
            "leave": holder.farewell.leave,
            "quit": holder.farewell.quit,
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
            "daemon_pid": holder.ward.pid,
            "build": build.OWN,
            "keeper_build": holder.succession.keeper_build,
            "revocable": True,
        }

    def _become_controller(self, peer: Peer) -> None:
        holder = self.holder
        if holder.estate.options.daemon_argv is not None:
            if peer.pid != holder.ward.pid:
                raise wire.Refusal("not-allowed", "this holder's own daemon alone is its controller")
            holder.ward.revival.greeted()
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
        if self.holder.farewell.closing:
            raise wire.Refusal("closing", "the holder is about to end")

        def answer(result: Child | birth.Failure) -> None:
            if isinstance(result, birth.Failure):
                peer.send({"seq": seq, **result.refusal().reply()})
            else:
                peer.send({"seq": seq, "ok": True, "pid": result.pid, "started": True})

        if holder.ward.start(answer):
            return None
        return {"pid": holder.ward.pid, "started": False}

    def _bye(self, peer: Peer, seq: int, message: Reply, fds: list[int]) -> Reply:
        self.holder.ward.bye()
        return {}

    # Children

    def _spawn(self, peer: Peer, seq: int, message: Reply, fds: list[int]) -> Reply | None:
        holder = self.holder
        id = wire.name_of(message, "id")
        if fds:
            birth.take(fds[0])

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
        if self.holder.farewell.closing:
            raise wire.Refusal("closing", "the holder is about to end")
        if len(holder.children) + len(self._wanted) >= CHILDREN_MOST:
            raise wire.Refusal("full", f"{CHILDREN_MOST} children live or wait to be acknowledged")
        if not fds:
            raise wire.Refusal("fds", "spawn needs the payload's descriptor")
        plan = birth.plan(birth.load(fds[0]), len(fds) - 1, holder.estate.limits)
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
