"""The connection to the daemon: opened by us, for ever again. Its word goes to a Listener.

Events are sent in the order of their numbers and again after a reconnect, until they are acknowledged. Notes and
needs are sent when the daemon is there, and else not at all.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from aish.errors import (
    AishError,
    InputError,
    InternalError,
    LimitError,
    StorageError,
    UnavailableError,
    VersionError,
)
from aish.supervisor.gateway.log import log, place
from aish.supervisor.gateway.records import Records
from aish.supervisor.gateway.row import EventRow
from aish.wire import codec, frame, stream
from aish.wire.door import Door, Doors, Shut
from aish.wire.link import (
    Ack,
    Ask,
    Delta,
    Durable,
    ServeFailed,
    Sync,
    Told,
)
from aish.wire.message import VERSION, GatewayHello, Hello
from aish.wire.reply import Failure, Reply, Welcome

if TYPE_CHECKING:
    from aish.wire.message import Message

RETRY_S: Final = (0.05, 1.0)
SETTLE_S: Final = 0.02  # events of the same slot replace each other when they come faster than this
_decode_event: Final = msgspec.msgpack.Decoder(Durable).decode


class Listener(Protocol):
    """Who hears the daemon's word. Handlers may raise StorageError: the connection is then tried afresh."""

    def on_sync(self, message: Sync) -> None: ...

    def on_delta(self, message: Delta) -> None: ...

    def on_serve_failed(self, message: ServeFailed) -> None: ...

    def on_door(self, message: Doors | Door | Shut, fds: list[int]) -> None:
        """The descriptors are the listener's."""

    async def on_ask(self, message: Ask) -> Reply: ...


class Link:
    def __init__(self, path: str, records: Records, listener: Listener, alert: str | None = None) -> None:
        self._path = path
        self._alert = alert
        self._records = records
        self._listener = listener
        self._writer: asyncio.StreamWriter | None = None
        self._synced = False
        self._pending = asyncio.Event()
        self._answers: set[asyncio.Task[None]] = set()
        self._said = ""

    @property
    def up(self) -> bool:
        """Whether the daemon has told us everything and listens."""
        return self._synced

    def wake(self) -> None:
        """There are new events in the records."""
        self._pending.set()

    def send(self, message: Message) -> None:
        """Send something that is not durable; dropped while the daemon is away."""
        if self._synced and self._writer is not None and not self._writer.is_closing():
            self._writer.write(frame.pack(codec.encode(message)))

    async def run(self) -> None:
        """Connect, serve, and again; ends only by being cancelled, or by a fault of ours."""
        pause_s = RETRY_S[0]
        while True:
            try:
                await self._connect_and_serve()
            except (OSError, AishError) as error:
                self._say(f"down: {error}")
            if self._synced:
                pause_s = RETRY_S[0]
            self._synced = False
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RETRY_S[1])

    def _say(self, text: str) -> None:
        """Log a change of the link's state, not every try."""
        if text != self._said:
            log("link", text)
        self._said = text

    async def _connect_and_serve(self) -> None:
        frames, writer = await stream.connect(self._path)
        tasks: list[asyncio.Task[None]] = []
        try:
            self._writer = writer
            await self._greet(frames, writer)
            sync = codec.decode_from_daemon(await frames.plain())
            if not isinstance(sync, Sync):
                raise InputError(f"the daemon began with {type(sync).__name__}, not with Sync")
            self._on_sync(sync)
            loop = asyncio.get_running_loop()
            tasks.append(loop.create_task(self._receive(frames), name="link receiver"))
            tasks.append(loop.create_task(self._send_events(writer), name="link sender"))
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:  # neither ends but by an error
                task.result()
        finally:
            self._writer = None
            tasks += self._answers
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            writer.close()
            frames.close()

    async def _receive(self, frames: stream.Frames) -> None:
        while True:
            body, fds = await frames.next()
            try:
                message = codec.decode_from_daemon(body)
                if isinstance(message, Doors | Door | Shut):
                    mine, fds = fds, []
                    self._listener.on_door(message, mine)
                else:
                    self._on_message(message)
            finally:
                for fd in fds:  # nobody asked for them
                    os.close(fd)

    async def _greet(self, frames: stream.Frames, writer: asyncio.StreamWriter) -> None:
        writer.write(frame.pack(codec.encode(Hello(version=VERSION, program="gateway"))))
        welcome = codec.decode_reply(await frames.plain())
        if isinstance(welcome, Failure):
            raise UnavailableError(f"the daemon refuses: {welcome.message}", hint=welcome.hint)
        if not isinstance(welcome, Welcome):
            raise InputError(f"the daemon answered Hello with {type(welcome).__name__}")
        if welcome.version != VERSION:
            raise VersionError(f"the daemon speaks version {welcome.version}, this gateway {VERSION}")
        writer.write(frame.pack(codec.encode(GatewayHello(pid=os.getpid(), alert=self._alert))))

    def _on_sync(self, sync: Sync) -> None:
        self._records.continue_after(sync.acknowledged)
        self._records.acknowledge(sync.acknowledged)
        self._synced = True
        self._say("up")
        self._listener.on_sync(sync)

    def _on_message(self, message: Sync | Delta | Ack | Ask | ServeFailed) -> None:
        match message:
            case Sync():
                self._on_sync(message)
            case Delta():
                self._listener.on_delta(message)
            case Ack():
                self._records.acknowledge(message.number)
            case Ask():
                task = asyncio.get_running_loop().create_task(self._answer(message), name="link answer")
                self._answers.add(task)
                task.add_done_callback(self._answers.discard)
            case ServeFailed():
                self._listener.on_serve_failed(message)

    async def _answer(self, ask: Ask) -> None:
        reply = await self._reply(ask)
        try:
            self.send(Told(number=ask.number, reply=reply))
        except InputError:
            reply = Failure(code=LimitError.code, message="the answer is too large for one message")
            self.send(Told(number=ask.number, reply=reply))

    async def _reply(self, ask: Ask) -> Reply:
        try:
            return await self._listener.on_ask(ask)
        except AishError as error:
            field = error.field if isinstance(error, InputError) else None
            return Failure(code=error.code, message=error.message, hint=error.hint, field=field)
        except Exception as error:  # noqa: BLE001  the edge of the process: recorded, and who asked gets to know
            log("fault", place(error))
            return Failure(code=InternalError.code, message="the gateway failed; its log says where")

    async def _send_events(self, writer: asyncio.StreamWriter) -> None:
        sent = 0
        while True:
            self._pending.clear()
            try:
                rows = self._records.events(sent)
            except StorageError as error:
                log("link", str(error))
                rows = []
            for row in rows:
                sent = row.number
                packed = self._packed(row)
                if packed is not None:
                    writer.write(packed)
            if rows:
                await writer.drain()
                await asyncio.sleep(SETTLE_S)
            else:
                await self._pending.wait()

    def _packed(self, row: EventRow) -> bytes | None:
        """The frame of an event; None, and it is dropped, where another version wrote it or no frame holds it."""
        try:
            event = msgspec.structs.replace(_decode_event(row.body), number=row.number)
            return frame.pack(codec.encode(event))
        except (msgspec.DecodeError, InputError) as error:
            log("link", f"event {row.number} is not told: {error}")
            self._records.drop_event(row.number)
            return None
