"""Doors of sandboxes at the program behind them: each is served until the daemon says that it is shut."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

from aish.wire.door import Door, Doors, Shut

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class Listeners:
    """`serve` listens at a socket for who comes from that process; `failed` is told why it cannot."""

    def __init__(
        self,
        serve: Callable[[str, socket.socket], Coroutine[object, object, asyncio.Server]],
        failed: Callable[[str], None],
    ) -> None:
        self._serve, self._failed = serve, failed
        self._servers: dict[str, asyncio.Server | None] = {}
        """None: it is about to listen."""
        self._tasks: set[asyncio.Task[None]] = set()

    def told(self, message: Doors | Door | Shut, fds: list[int]) -> None:
        """The descriptors are ours."""
        match message:
            case Door(key=key, process=process) if len(fds) == 1 and key not in self._servers:
                self._servers[key] = None
                sock = socket.socket(fileno=fds.pop())
                task = asyncio.get_running_loop().create_task(self._listen(key, process, sock), name="door")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case Doors(keys=keys):
                for key in self._servers.keys() - set(keys):
                    self._shut(key)
            case Shut(key=key):
                self._shut(key)
            case Door():
                pass  # known: a daemon tells all of them anew
        for fd in fds:
            os.close(fd)

    async def _listen(self, key: str, process: str, sock: socket.socket) -> None:
        try:
            sock.setblocking(False)
            server = await self._serve(process, sock)
        except OSError as error:
            sock.close()
            self._servers.pop(key, None)
            self._failed(f"a door of {process} cannot be listened at: {error.strerror}")
            return
        if key in self._servers:
            self._servers[key] = server
        else:  # shut meanwhile
            server.close()

    def _shut(self, key: str) -> None:
        server = self._servers.pop(key, None)
        if server is not None:
            server.close()

    def close(self) -> None:
        for key in list(self._servers):
            self._shut(key)
