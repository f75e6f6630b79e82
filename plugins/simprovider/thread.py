"""The provider in a thread of a test, so that it sees what the provider saw."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Final

from aish.plugins.simprovider.server import Provider

STOP_S: Final = 20.0


class Running:
    """`path`: a Unix socket to listen on, else any port of `address`, which is of the loopback. To the gateway
    127.0.0.1 alone is this machine: usage windows are only heard of from elsewhere, which 127.0.0.2 is."""

    def __init__(self, *, engine: str = "", path: str = "", address: str = "127.0.0.1") -> None:
        self.provider = Provider(engine=engine)
        if path:
            self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._sock.bind(path)
            self.url = f"unix:{path}"
        else:
            self._sock = socket.create_server((address, 0))
            self.url = f"http://{address}:{self._sock.getsockname()[1]}/v1"
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await self.provider.serve(self._sock)
        await self._stop.wait()
        server.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_S)
        assert not self._thread.is_alive()
