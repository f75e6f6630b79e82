"""The connection to the daemon: opened by us, for ever again. Its word goes to a Listener.

Events are sent in the order of their numbers and again after a reconnect, until they are acknowledged. Notes and
needs are sent when the daemon is there, and else not at all.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from aish.errors import AishError, InputError, StorageError, UnavailableError, VersionError
from aish.supervisor.gateway.log import log
from aish.supervisor.gateway.records import Records
from aish.wire import codec, frame
from aish.wire.link import Ack, Ask, Delta, FromGateway, ServeFailed, Sync, Told
from aish.wire.message import VERSION, Failure, GatewayHello, Hello, Reply, Welcome

if TYPE_CHECKING:
    from aish.wire.message import Message

RETRY_S: Final = (0.05, 1.0)
SETTLE_S: Final = 0.02  # events of the same slot replace each other when they come faster than this
_READ_BYTES: Final = 256 << 10


class Listener(Protocol):
    """Who hears the daemon's word. Handlers may raise StorageError: the connection is then tried afresh."""

    def on_sync(self, message: Sync) -> None: ...

    def on_delta(self, message: Delta) -> None: ...

    def on_serve_failed(self, message: ServeFailed) -> None: ...

    async def on_ask(self, message: Ask) -> Reply: ...


class Link:
    def __init__(self, path: str, records: Records, listener: Listener) -> None:
        self._path = path
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
        """Connect, serve, and again; ends only by being cancelled."""
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
        reader, writer = await asyncio.open_unix_connection(self._path)
        sender: asyncio.Task[None] | None = None
        try:
            self._writer = writer
            frames = _Frames(reader)
            await self._greet(frames, writer)
            sync = codec.decode_from_daemon(await frames.next())
            if not isinstance(sync, Sync):
                raise InputError(f"the daemon began with {type(sync).__name__}, not with Sync")
            self._on_sync(sync)
            sender = asyncio.get_running_loop().create_task(self._send_events(writer), name="link sender")
            while True:
                self._on_message(codec.decode_from_daemon(await frames.next()))
        finally:
            self._writer = None
            tasks = [task for task in (sender, *self._answers) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            writer.close()

    async def _greet(self, frames: _Frames, writer: asyncio.StreamWriter) -> None:
        writer.write(frame.pack(codec.encode(Hello(version=VERSION, program="gateway"))))
        welcome = codec.decode_reply(await frames.next())
        if isinstance(welcome, Failure):
            raise UnavailableError(f"the daemon refuses: {welcome.message}", hint=welcome.hint)
        if not isinstance(welcome, Welcome):
            raise InputError(f"the daemon answered Hello with {type(welcome).__name__}")
        if welcome.version != VERSION:
            raise VersionError(f"the daemon speaks version {welcome.version}, this gateway {VERSION}")
        writer.write(frame.pack(codec.encode(GatewayHello(pid=os.getpid()))))

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
        try:
            reply = await self._listener.on_ask(ask)
        except AishError as error:
            field = error.field if isinstance(error, InputError) else None
            reply = Failure(code=error.code, message=error.message, hint=error.hint, field=field)
        self.send(Told(number=ask.number, reply=reply))

    async def _send_events(self, writer: asyncio.StreamWriter) -> None:
        sent = 0
        decode = msgspec.msgpack.Decoder(FromGateway).decode
        while True:
            self._pending.clear()
            try:
                rows = self._records.events(sent)
            except StorageError as error:
                log("link", str(error))
                rows = []
            for row in rows:
                event = msgspec.structs.replace(decode(row.body), number=row.number)
                writer.write(frame.pack(codec.encode(event)))
                sent = row.number
            if rows:
                await writer.drain()
                await asyncio.sleep(SETTLE_S)
            else:
                await self._pending.wait()


class _Frames:
    """Whole frames from a stream. Raises UnavailableError at its end, InputError on malformed ones."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._decoder = frame.Decoder()
        self._ready: deque[bytes] = deque()

    async def next(self) -> bytes:
        while not self._ready:
            data = await self._reader.read(_READ_BYTES)
            if not data:
                raise UnavailableError("the daemon closed the connection")
            self._ready.extend(body for body, _ in self._decoder.feed(data, []))
        return self._ready.popleft()
