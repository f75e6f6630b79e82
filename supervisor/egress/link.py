"""The connection to the daemon: opened by us, for ever again. What it says goes to guests and doors."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

from aish.errors import AishError, InputError, UnavailableError, VersionError
from aish.wire import codec, egress, frame, stream
from aish.wire.door import Door, Doors, Shut
from aish.wire.message import VERSION, EgressHello, Hello
from aish.wire.reply import Failure, Welcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.supervisor.egress.guests import Guests
    from aish.wire.listeners import Listeners
    from aish.wire.message import Message

RETRY_S: Final = (0.05, 1.0)
UNREAD_MOST_BYTES: Final = 256 << 10
"""What waits for a daemon that reads nothing, before what passes is no more told but kept as sums."""


class Link:
    """`say` writes a line to the log."""

    def __init__(self, path: str, say: Callable[[str], None]) -> None:
        self._path, self._say = path, say
        self._writer: asyncio.StreamWriter | None = None
        self._said = ""
        self.guests: Guests
        self.doors: Listeners

    def send(self, message: egress.FromEgress) -> bool:
        """False: the daemon is away, or does not read, and nobody heard it. A question is asked again of the next
        daemon only, so this one gets it however long it does not read: there are not many of them."""
        if self._writer is None or self._writer.is_closing():
            return False
        unread_bytes = self._writer.transport.get_write_buffer_size()
        if isinstance(message, egress.Passed) and unread_bytes > UNREAD_MOST_BYTES:
            return False
        _send(self._writer, message)
        return True

    async def run(self) -> None:
        """Connect, serve, and again; ends only by being cancelled, or by a fault of ours."""
        pause_s = RETRY_S[0]
        while True:
            try:
                await self._serve()
            except (OSError, AishError) as error:
                self._tell(f"the daemon is away: {error}")
            if self._writer is not None:
                self._writer, pause_s = None, RETRY_S[0]
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RETRY_S[1])

    def _tell(self, text: str) -> None:
        """A change, not every try."""
        if text != self._said:
            self._say(text)
        self._said = text

    async def _serve(self) -> None:
        frames, writer = await stream.connect(self._path)
        try:
            _send(writer, Hello(version=VERSION, program="egress"))
            welcome = codec.decode_reply(await frames.plain())
            if isinstance(welcome, Failure):
                raise UnavailableError(f"it refuses: {welcome.message}", hint=welcome.hint)
            if not isinstance(welcome, Welcome):
                raise InputError(f"it answered Hello with {type(welcome).__name__}")
            if welcome.version != VERSION:
                raise VersionError(f"it speaks version {welcome.version}, this proxy {VERSION}")
            _send(writer, EgressHello())
            self._writer = writer
            self._tell("the daemon is there")
            while True:
                self._heard(*await frames.next())
        finally:
            writer.close()
            frames.close()

    def _heard(self, body: bytes, fds: list[int]) -> None:
        try:
            message = codec.decode_to_egress(body)
            if isinstance(message, Doors | Door | Shut):
                mine, fds = fds, []
                self.doors.told(message, mine)
            else:
                self.guests.told(message)
        finally:
            for fd in fds:  # nobody asked for them
                os.close(fd)


def _send(writer: asyncio.StreamWriter, message: Message) -> None:
    writer.write(frame.pack(codec.encode(message)))
