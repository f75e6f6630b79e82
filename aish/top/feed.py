"""Views and answers, fetched in threads: whatever the daemon does, the screen goes on answering keys.

Two connections: the stream of views keeps its own, so that acting disturbs nothing. What arrives is put into one
queue, and a byte into a pipe that the screen's loop watches.
"""

from __future__ import annotations

import os
import queue
import select
import socket
import threading
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from aish.errors import AishError, DisconnectedError, UnavailableError, VersionError
from aish.wire.message import Cancel, Cont, Pause, Snapshot, Stop
from aish.wire.reply import Done, View

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from aish.top.control import Act
    from aish.wire.message import Message
    from aish.wire.reply import Reply

RETRY_S: Final = 0.5
JOIN_S: Final = 0.5


class Connection(Protocol):
    """What of aish.client.Client is used."""

    def fileno(self) -> int: ...
    def close(self) -> None: ...
    def request(self, message: Message, /) -> Reply: ...
    def stream(self, message: Message, /) -> Iterator[Reply]: ...


class Connect(Protocol):
    def __call__(self, *, start: bool, program: str) -> Connection: ...


class Lost(NamedTuple):
    """The daemon went away; the feed goes on trying."""

    error: UnavailableError


class Failed(NamedTuple):
    """There is nothing to wait for: the daemon refuses, or speaks another version."""

    error: AishError


class Answered(NamedTuple):
    """What became of an act, as a line for the screen."""

    text: str
    trouble: bool


Item = View | Lost | Failed | Answered


class Feed:
    """Both threads. Not restartable."""

    def __init__(self, connect: Connect, *, every_s: float, all_processes: bool) -> None:
        self._connect = connect
        self._snapshot = Snapshot(all=all_processes, every_s=every_s)
        self._items: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._acts: queue.SimpleQueue[Act | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._connected = False
        self._streaming: Connection | None = None
        self._acting: Connection | None = None
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._stream, self._act)]

    def __enter__(self) -> Self:
        self._read_fd, self._write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """The threads end; one that is stuck in a call to a silent daemon is left behind, harmless."""
        self._stopping.set()
        self._acts.put(None)
        for connection in (self._streaming, self._acting):
            if connection is not None:
                _wake(connection)
        for thread in self._threads:
            thread.join(JOIN_S)
        if not any(thread.is_alive() for thread in self._threads):
            os.close(self._read_fd)
            os.close(self._write_fd)

    def fileno(self) -> int:
        return self._read_fd

    def items(self) -> Iterator[Item]:
        """Everything that has arrived since the last call."""
        try:
            os.read(self._read_fd, 4096)
        except BlockingIOError:
            pass
        while True:
            try:
                yield self._items.get_nowait()
            except queue.Empty:
                return

    def act(self, act: Act) -> None:
        """Ask the daemon; an Answered follows."""
        self._acts.put(act)

    def _put(self, item: Item) -> None:
        self._items.put(item)
        try:
            os.write(self._write_fd, b".")
        except BlockingIOError:
            pass  # the pipe is full of wake-ups already

    def _stream(self) -> None:
        while not self._stopping.is_set():
            try:
                self._views()
                self._put(Lost(DisconnectedError("the stream of views ended")))
            except UnavailableError as error:
                if isinstance(error, VersionError) or not self._connected:
                    self._put(Failed(error))
                    return
                self._put(Lost(error))
            except AishError as error:
                self._put(Failed(error))
                return
            except OSError as error:
                self._put(Lost(UnavailableError(f"the connection broke: {error.strerror}")))
            self._stopping.wait(RETRY_S)

    def _views(self) -> None:
        """Views until the connection ends. Only the first connection may start a daemon: one that the user shut
        down stays down, and one that died is started again by its holder."""
        connection = self._connect(start=not self._connected, program="top")
        self._connected, self._streaming = True, connection
        try:
            for reply in connection.stream(self._snapshot):
                if self._stopping.is_set():
                    return
                if isinstance(reply, View):
                    self._put(reply)
        finally:
            self._streaming = None
            connection.close()

    def _act(self) -> None:
        while (act := self._acts.get()) is not None:
            try:
                if self._acting is not None and _ended(self._acting):
                    self._hang_up()  # the daemon that it led to is gone
                if self._acting is None:
                    self._acting = self._connect(start=False, program="top")
                reply = self._acting.request(_request(act))
                done = (
                    "nothing under way:" if reply == Done(changed=False) and act.kind == "cancel" else _DONE[act.kind]
                )
                self._put(Answered(f"{done} {act.name} ({act.target})", trouble=False))
            except (AishError, OSError) as error:
                self._put(Answered(f"{act.kind} {act.name}: {error}", trouble=True))
                if isinstance(error, (UnavailableError, OSError)):
                    self._hang_up()
        self._hang_up()

    def _hang_up(self) -> None:
        if self._acting is not None:
            self._acting.close()
            self._acting = None


_DONE: Final = {"pause": "paused", "cont": "continued", "stop": "stopping", "cancel": "cancelled the turn of"}


def _request(act: Act) -> Message:
    match act.kind:
        case "pause":
            return Pause(target=act.target)
        case "cancel":
            return Cancel(target=act.target)
        case "cont":
            return Cont(target=act.target)
        case _:
            return Stop(target=act.target)


def _ended(connection: Connection) -> bool:
    """Between two requests nothing is to be read: what is readable is the end."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _wake(connection: Connection) -> None:
    """End the reading of another thread: shut the socket down through a second descriptor of it."""
    try:
        with socket.socket(fileno=os.dup(connection.fileno())) as twin:
            twin.shutdown(socket.SHUT_RDWR)
    except (OSError, ValueError):
        pass  # closed meanwhile, which is as good
