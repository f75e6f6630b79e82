"""The daemon's connection to the holder: requests as coroutines, exits as calls.

The holder is the parent of every supervised process and knows no policy; see aish/supervisor/holder/wire.py for what
is said. When it dies its keeper forks another within milliseconds, so a lost connection is made again at once and
`regained` is told to reconcile. A keeper that is stopped does so when it goes on, however late that is. When there is
neither any more, or nobody listens where they did: `lost`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from aish.errors import DisconnectedError, UnavailableError
from aish.supervisor.daemon.silence import Silence
from aish.supervisor.daemon.standing import Standing
from aish.supervisor.holder import wire
from aish.supervisor.holder.wire import HolderError, Refusal
from aish.wire import address

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

REACH_S: Final = 5.0
REFUSED_S: Final = 0.5
"""The keeper has the listening socket as well: where nobody listens for this long, there is no keeper either."""
_STEP_S: Final = 0.005
_CROWDED_S: Final = 0.25
_BATCH: Final = 64
_ACKS: Final = 500

__all__ = ["Birth", "Death", "Holding", "Refusal"]


class Birth(msgspec.Struct, frozen=True):
    """A process that the holder started. `starting`: forked, and has not yet announced that it execs."""

    id: str
    pid: int
    start_ticks: int | None
    starting: bool = False


class Death(msgspec.Struct, frozen=True):
    """An exit that the holder keeps until it is acknowledged; what is None nobody can tell."""

    id: str
    pid: int
    start_ticks: int | None
    status: int | None
    ended_s: float | None = None
    ended_boot_s: float | None = None
    """The same moment on the clock that nobody sets."""
    cpu_seconds: float | None = None
    max_rss_bytes: int | None = None


class AwayError(DisconnectedError):
    """There is no holder: it was not asked."""


class Holding:
    """One connection at a time. All methods raise DisconnectedError while there is none. `lost` hears whether one of
    the two lives."""

    def __init__(
        self,
        path: str,
        *,
        died: Callable[[Death], None],
        regained: Callable[[], Awaitable[None]],
        lost: Callable[[bool], Awaitable[None]],
        home: Callable[[str], None],
    ) -> None:
        self.path = path
        self.pid = 0
        self.keeper_pid = 0
        self.estate = ""
        """When keeper and holder were first started: the same over all deaths of either, another after both died."""
        self.build: str | None = None
        self.keeper_build: str | None = None
        """Which code they are; None: of a release that did not tell."""
        self._revocable = False
        self.drained: Callable[[str], None] | None = None
        self._died, self._regained, self._lost, self._home = died, regained, lost, home
        self._sock: socket.socket | None = None
        self._seq = 0
        self._waiting: dict[int, asyncio.Future[tuple[dict[str, Any], list[int]]]] = {}
        self._done: dict[int, Callable[[], None]] = {}
        """What is called with their answers, in the order in which those come: who waits has his turn later."""
        self._payloads: dict[str, int] = {}
        """Of the spawns that are not answered, by id."""
        self.standing = Standing()
        self.silence = Silence(
            self.standing,
            connected=lambda: self.connected,
            waiting=lambda: bool(self._waiting) or self._reconnecting,
            ask=lambda: self.tell("ack", ids=[]),
        )
        self._unsent: deque[tuple[bytes, list[int]]] = deque()
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.Task[None] | None = None
        self._reconnecting = False
        self._leaving = False
        self._greeted = False
        self._there = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Connected and greeted: before that a holder refuses everything, which must not be taken for an answer."""
        return self._sock is not None and self._greeted

    async def reachable(self) -> None:
        """Until there is a holder to ask. When there is none any more the daemon leaves, and this never ends."""
        await self._there.wait()

    async def there(self) -> None:
        """The same for who does not wait for ever. Raises UnavailableError where a person has to do something."""
        await self.silence.bounded(self.reachable())

    @property
    def pids(self) -> frozenset[int]:
        return frozenset({self.pid, self.keeper_pid} - {0})

    async def connect(self) -> None:
        """Connect and say hello. Raises UnavailableError after REACH_S, unless we know of a keeper or holder that may
        yet answer."""
        begin = time.monotonic()
        patience_s = REACH_S
        why = "nothing listens"
        while True:
            crowded = False
            asked_s = time.monotonic()
            try:
                sock = address.connect(self.path, socket.SOCK_SEQPACKET, wait=False)
            except BlockingIOError:
                why, crowded = "so many wait for it that no more fit", True
            except OSError as error:
                why = error.strerror or str(error)
                patience_s = REFUSED_S
            else:
                patience_s = REACH_S
                sock.setblocking(False)
                self._sock = sock
                self._loop.add_reader(sock, self._readable)
                try:
                    told = await self._hello()
                    self.pid, self.keeper_pid = told["pid"], told.get("keeper_pid") or 0
                    self.standing.know(self.pid, self.keeper_pid)
                    self.estate = f"{told['boot_id']} {told['started']}"
                    self.build, self.keeper_build = told.get("build"), told.get("keeper_build")
                    self._revocable = told.get("revocable") is True
                    self._greeted = True
                    self._there.set()
                    return
                except (Refusal, TimeoutError, DisconnectedError) as error:
                    self._close()
                    why = str(error)
                    if time.monotonic() > asked_s + REACH_S:
                        begin = time.monotonic()  # it has been waited for, as long as it took
            late = time.monotonic() > begin + patience_s
            if late and not (crowded and self._may_come()):
                raise UnavailableError(f"the holder cannot be reached at {self.path}: {why}")
            await asyncio.sleep(_CROWDED_S if late else _STEP_S)  # a keeper that forks a new holder tells nobody

    async def _hello(self) -> dict[str, Any]:
        """What lies in the socket of a keeper that is stopped is answered by the holder that it forks later.

        Raises TimeoutError, Refusal, DisconnectedError."""
        answer = asyncio.ensure_future(self.request("hello", version=wire.VERSION, role=wire.CONTROLLER))
        try:
            while not (await asyncio.wait({answer}, timeout=REACH_S))[0]:
                if not self._may_come():
                    raise TimeoutError(f"it has not answered within {REACH_S:g} s")
            return answer.result()
        finally:
            answer.cancel()

    def _may_come(self) -> bool:
        """Whether there is somebody who will answer, or from whom the one comes who does."""
        return self._reconnecting and self.standing.live()

    async def answers(self) -> None:
        """Raises UnavailableError where it is silent; one that has just died is no matter, the next one answers."""
        with suppress(DisconnectedError):
            await self.silence.bounded(self.request("ack", ids=[]))
            return
        await self.there()

    def close(self) -> None:
        """Let go without telling the holder anything."""
        self._leaving = True
        if self._again is not None:
            self._again.cancel()
        self._close()
        self.standing.close()

    # --- operations ---------------------------------------------------------------------------------------------

    async def spawn(self, id_: str, payload: bytes, fds: Sequence[int]) -> Birth:
        """Start `id_`, or answer what an earlier spawn of it started. Raises Refusal (stage, errno in details)."""
        memfd = self._payloads[id_] = wire.payload_fd(payload)
        try:
            told = await self.request("spawn", [memfd, *fds], id=id_)
        finally:
            del self._payloads[id_]
            os.close(memfd)
        return Birth(id_, told["pid"], told.get("start_time"))

    def take_back(self, id_: str) -> bool:
        """Have a spawn that is not answered never happen. False: it may have begun.

        The holder seals the payload before it acts on it; what is empty by then it refuses. So one of us is
        the first, and both know who."""
        memfd = self._payloads.get(id_)
        if memfd is None:
            return True  # it was not sent
        if not self._revocable:
            return False  # a release that does not seal
        try:
            os.ftruncate(memfd, 0)
        except PermissionError:
            return False
        return True

    async def birth(self, id_: str) -> Birth | None:
        """What became of a child that was between fork and exec; None where the holder does not know it any more:
        its exec failed, and who asked for it was told. Raises Refusal: the exec fails now, and why."""
        try:
            told = await self.request("spawn", id=id_)
        except Refusal as refusal:
            if refusal.code == "fds":  # a spawn without its payload: there is no such child
                return None
            raise
        return Birth(id_, told["pid"], told.get("start_time"))

    async def signal(
        self, id_: str, number: int, *, group: bool = True, sent: Callable[[], None] | None = None
    ) -> None:
        """`sent` is called when the holder says so: before anything that comes of it is told, and also where nobody
        waits for that any more. Raises Refusal: `reaped`, `unknown-id`, `signal` with its errno."""
        _, received = await self._ask("signal", (), {"id": id_, "sig": number, "group": group}, done=sent)
        for fd in received:
            os.close(fd)

    async def listing(self) -> tuple[list[Birth], list[Death]]:
        """Every child that lives, and every exit that is not acknowledged."""
        births: list[Birth] = []
        deaths: list[Death] = []
        after: int | None = 0
        while after is not None:
            page = await self.request("list", after=after)
            births += [_birth(entry) for entry in page["children"]]
            deaths += [_death(entry) for entry in page["exits"]]
            after = page.get("next")
        return births, deaths

    def ack(self, ids: Iterable[str]) -> None:
        """The exits of `ids` are persisted: the holder may forget them. Repeated after a reconnect if need be."""
        ids = list(ids)
        for start in range(0, len(ids), _ACKS):
            self.tell("ack", ids=ids[start : start + _ACKS])

    async def store(self, name: str, fds: Sequence[int]) -> None:
        await self.request("store", fds, name=name)

    async def fetch(self, name: str) -> list[int]:
        """Duplicates of what the name holds; empty if there is no such name."""
        try:
            _, fds = await self._ask("fetch", (), {"name": name})
        except Refusal as refusal:
            if refusal.code == "unknown-name":
                return []
            raise
        return fds

    async def names(self) -> list[str]:
        """All names under which it keeps descriptors."""
        found: list[str] = []
        after: str | None = ""
        while after is not None:
            page = await self.request("names", after=after)
            found += [entry["name"] for entry in page["names"]]
            after = page.get("next")
        return found

    def drop(self, name: str) -> None:
        self.tell("drop", name=name)

    async def drain(self, name: str, log_fd: int) -> None:
        await self.request("drain", [log_fd], name=name)

    async def bye(self) -> None:
        """The daemon leaves on purpose."""
        self._leaving = True
        await self.request("bye")

    async def quit(self, *, force: bool = False) -> None:
        """Keeper and holder end. Raises Refusal(busy) while something lives, unless forced."""
        self._leaving = True
        try:
            await self.request("quit", force=force)
        except DisconnectedError:
            return  # it went before it could answer

    async def leave(self) -> int:
        """Keeper and holder go and end nothing; how many terminals they still drain. Raises Refusal."""
        self._leaving = True
        behind = (await self.request("leave")).get("behind")
        return behind if isinstance(behind, int) else 0

    # --- the wire -----------------------------------------------------------------------------------------------

    async def request(self, op: str, fds: Sequence[int] = (), **fields: object) -> dict[str, Any]:
        """One request and its reply. `fds` stay the caller's. Raises Refusal, DisconnectedError."""
        reply, received = await self._ask(op, fds, fields)
        for fd in received:
            os.close(fd)
        return reply

    def tell(self, op: str, **fields: object) -> None:
        """A request whose reply nobody needs; nothing happens while disconnected."""
        if self.connected:
            self._seq += 1
            self._send(wire.encode({"op": op, "seq": self._seq, **fields}), [])

    async def _ask(
        self, op: str, fds: Sequence[int], fields: Mapping[str, object], *, done: Callable[[], None] | None = None
    ) -> tuple[dict[str, Any], list[int]]:
        if self._sock is None or not (self._greeted or op == "hello"):
            silent = self.silence.why()
            if silent is not None:
                raise AwayError(silent, hint="then try again")
            raise AwayError("the holder is not connected", hint="it is being started again")
        self._seq += 1
        seq = self._seq
        data = wire.encode({"op": op, "seq": seq, **fields})
        future: asyncio.Future[tuple[dict[str, Any], list[int]]] = self._loop.create_future()
        self._waiting[seq] = future
        if done is not None:
            self._done[seq] = done
        self.silence.asked()
        self._send(data, list(fds))
        try:
            return await future
        finally:
            self._waiting.pop(seq, None)

    def _send(self, data: bytes, fds: list[int]) -> None:
        assert self._sock is not None
        if not self._unsent:
            try:
                wire.send(self._sock, data, fds)
                return
            except BlockingIOError:
                self._loop.add_writer(self._sock, self._writable)
            except OSError:
                self._down()
                return
        self._unsent.append((data, [os.dup(fd) for fd in fds]))

    def _writable(self) -> None:
        while self._unsent and self._sock is not None:
            data, fds = self._unsent[0]
            try:
                wire.send(self._sock, data, fds)
            except BlockingIOError:
                return
            except OSError:
                self._down()
                return
            self._unsent.popleft()
            for fd in fds:
                os.close(fd)
        if self._sock is not None:
            self._loop.remove_writer(self._sock)

    def _readable(self) -> None:
        for _ in range(_BATCH):
            if self._sock is None:
                return
            try:
                packet = wire.receive(self._sock)
            except BlockingIOError:
                return
            except OSError:
                self._down()
                return
            if not packet.data:
                packet.close()
                self._down()
                return
            try:
                self._received(wire.decode(packet.data), packet)
            except HolderError:  # not JSON: this is no holder
                self._down()
            finally:
                packet.close()

    def _received(self, message: dict[str, Any], packet: wire.Packet) -> None:
        self.silence.heard()
        event = message.get("event")
        if event == "exit":
            self._died(_death(message))
        elif event == "drained":
            if self.drained is not None:
                self.drained(str(message.get("name")))
        elif event == "home":
            self._home(str(message.get("path") or ""))
        elif event == "displaced":
            self._down()
        elif event is None:
            seq, error = message.get("seq") or 0, message.get("error")
            done, future = self._done.pop(seq, None), self._waiting.pop(seq, None)
            if done is not None and error is None:
                done()
            if future is None or future.done():
                return
            if error is None:
                fds, packet.fds = packet.fds, []
                future.set_result((message, fds))
            else:
                details = {key: value for key, value in error.items() if key not in ("code", "message")}
                future.set_exception(Refusal(error.get("code", ""), error.get("message", ""), **details))

    def _close(self) -> None:
        self._greeted = False
        self._there.clear()
        if self._sock is not None:
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
            self._sock.close()
            self._sock = None
        for _, fds in self._unsent:
            for fd in fds:
                os.close(fd)
        self._unsent.clear()
        self.silence.cut()
        self._done.clear()
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(DisconnectedError("the holder went away"))

    def _down(self) -> None:
        self._close()
        if not self._leaving and not self._reconnecting:
            self._reconnecting = True
            self.silence.asked()
            self._again = self._loop.create_task(self._reconnect())

    async def _reconnect(self) -> None:
        try:
            await self.connect()
        except UnavailableError:
            await self._lost(self.standing.live())
            return
        finally:
            self._reconnecting = False  # from here on the next loss has a task of its own
        if self.connected:
            await self._regained()
        else:
            self._down()  # lost again between its answer and now


def _birth(entry: Mapping[str, Any]) -> Birth:
    return Birth(entry["id"], entry["pid"], entry.get("start_time"), bool(entry.get("starting")))


def _death(entry: Mapping[str, Any]) -> Death:
    user, system = entry.get("utime_s"), entry.get("stime_s")
    return Death(
        entry["id"],
        entry["pid"],
        entry.get("start_time"),
        entry.get("status"),
        entry.get("ended_at"),
        entry.get("ended_boot_s"),
        user + system if user is not None and system is not None else None,
        entry.get("maxrss_bytes"),
    )
