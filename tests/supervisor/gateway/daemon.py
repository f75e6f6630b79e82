"""A stand-in for the daemon's side of the link: a real socket, the real wire, and a memory of all that it heard."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from aish.errors import AishError
from aish.wire import codec, frame, key
from aish.wire.link import (
    Ack,
    ActivityNote,
    Ask,
    Delta,
    Exceeded,
    FellBack,
    Hold,
    Member,
    Need,
    Readiness,
    Release,
    Resting,
    Room,
    Served,
    SessionsRead,
    Settled,
    Sync,
    Told,
    Warn,
)
from aish.wire.message import VERSION, GatewayHello, Hello
from aish.wire.part import TokensPart
from aish.wire.reply import Welcome
from aish.wire.spec import FailoverPart, RoutePart

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE_S = 60.0
Event = TypeVar(
    "Event",
    *(Hold, Release, Warn, Exceeded, Settled, Served, Readiness, Resting, FellBack, SessionsRead),
    *(ActivityNote, Need, Room, Told),
)
DURABLE = (Hold, Release, Warn, Exceeded, Settled, Served, Readiness, Resting, FellBack, SessionsRead)


class Daemon:
    """Listens on `path`. `members` is what it syncs; `acks` False: it never acknowledges."""

    def __init__(self, path: str, secret: bytes, *, epoch: int = 1) -> None:
        self.path = path
        self.secret = secret
        self.epoch = epoch
        self.members: dict[str, Member] = {}
        self.default_model = "small"
        self.embedding_model = "small"
        self.stored: list[str] = []
        self.acks = True
        self.acknowledged = 0
        self.heard: list[Any] = []
        self.links = 0
        self.alert: str | None = None
        self.used: dict[str, TokensPart] = {}
        self.spent: dict[str, int] = {}
        self._number = 0
        self._changed = threading.Condition()
        self._channel: frame.Channel | None = None
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None

    # --- for the test -------------------------------------------------------------------------------------------

    def start(self) -> Daemon:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(4)
        self._thread = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """As a kill -9 of the daemon: every connection breaks."""
        if self._listener is None:
            return
        listener, self._listener = self._listener, None
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        if self._channel is not None:
            with contextlib.suppress(OSError):
                self._channel.sock.shutdown(socket.SHUT_RDWR)
        assert self._thread is not None
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    def key(self, id: str) -> str:
        return key.derive(self.secret, id, self.epoch)

    def agent(self, id: str, *, parent: str | None = None, budget: int | None = None, **more: Any) -> str:
        """Put an agent into the table; returns its key."""
        name = f"agent-{id}"
        self.put(Member(id=id, name=name, kind="agent", agent=name, parent=parent, budget_tokens=budget, **more))
        return self.key(id)

    def model(self, id: str, name: str, url: str, failover: FailoverPart | None = None, **route: Any) -> None:
        part = RoutePart(url=url, **{"upstream_name": "inner", **route})
        self.put(Member(id=id, name=name, kind="model", route=part, failover=failover))

    def put(self, member: Member) -> None:
        """Add or change a member, and tell."""
        with self._changed:
            self.members[member.id] = member
            self._number += 1
            channel = self._channel
            delta = Delta(number=self._number, member=member)
        if channel is not None:
            self._send(channel, delta)

    def change(self, id: str, **fields: Any) -> None:
        import msgspec

        self.put(msgspec.structs.replace(self.members[id], **fields))

    def send(self, message: Any, fds: list[int] | None = None) -> None:
        self.wait_for(lambda daemon: daemon._channel is not None)
        assert self._channel is not None
        self._send(self._channel, message, fds)

    def ask(self, question: Any) -> Any:
        """An Ask and its answer."""
        with self._changed:
            self._number += 1
            number = self._number
        self.send(Ask(number=number, question=question))
        return self.event(Told, lambda told: told.number == number).reply

    def wait_for(self, condition: Callable[[Daemon], bool], deadline_s: float = DEADLINE_S) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), deadline_s), self.heard[-20:]

    def event(
        self,
        kind: type[Event],
        condition: Callable[[Event], bool] = lambda event: True,
        deadline_s: float = DEADLINE_S,
    ) -> Event:
        """The first event of that kind that was or will be heard."""
        found: list[Event] = []

        def heard(daemon: Daemon) -> bool:
            found.extend(e for e in daemon.heard if isinstance(e, kind) and condition(e))
            return bool(found)

        self.wait_for(heard, deadline_s)
        return found[0]

    def events(self, kind: type[Event]) -> list[Event]:
        with self._changed:
            return [event for event in self.heard if isinstance(event, kind)]

    def events_of(self, id: str) -> list[Settled]:
        return [event for event in self.events(Settled) if event.id == id]

    def settled(self, id: str, requests: int) -> Settled:
        """The totals of a process once it has that many requests settled."""
        return self.event(Settled, lambda e: e.id == id and e.tokens.requests >= requests)

    def served(self, id: str, requests: int) -> Served:
        """The totals of a model once it has answered that many requests, probes included."""
        return self.event(Served, lambda e: e.id == id and e.tokens.requests >= requests)

    def ready(self, id: str) -> Readiness:
        return self.event(Readiness, lambda e: e.id == id and e.ready == "yes")

    # --- the daemon's side --------------------------------------------------------------------------------------

    def _accept(self, listener: socket.socket) -> None:
        while self._listener is listener:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            channel = frame.Channel(connection)
            try:
                self._serve(channel)
            except (AishError, OSError):
                pass
            finally:
                with self._changed:
                    self._channel = None
                channel.close()

    def _serve(self, channel: frame.Channel) -> None:
        hello = codec.decode_request(channel.receive()[0])
        assert isinstance(hello, Hello)
        assert hello.version == VERSION
        self._send(channel, Welcome(version=VERSION, pid=os.getpid(), epoch=self.epoch))
        mine = codec.decode_request(channel.receive()[0])
        assert isinstance(mine, GatewayHello)
        with self._changed:
            self._send(channel, self._sync())
            self._channel = channel
            self.links += 1
            self.alert = mine.alert
            self._changed.notify_all()
        while True:
            message = codec.decode_from_gateway(channel.receive()[0])
            with self._changed:
                self.heard.append(message)
                self._changed.notify_all()
            if isinstance(message, DURABLE) and self.acks:
                self.acknowledged = max(self.acknowledged, message.number)
                self._send(channel, Ack(number=message.number))

    def _sync(self) -> Sync:
        self._number += 1
        return Sync(
            epoch=self.epoch,
            number=self._number,
            members=list(self.members.values()),
            default_model=self.default_model,
            embedding_model=self.embedding_model,
            stored_models=self.stored,
            acknowledged=self.acknowledged,
            used=self.used,
            spent=self.spent,
        )

    def _send(self, channel: frame.Channel, message: Any, fds: list[int] | None = None) -> None:
        with contextlib.suppress(AishError, OSError):
            channel.send(codec.encode(message), fds)
