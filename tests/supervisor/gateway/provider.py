"""The simulated provider in a thread of the tests, so that they see what it saw."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING

from aish.plugins.simprovider.server import Provider

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE_S = 20.0


class Running:
    """`path`: a Unix socket to listen on, else any port of the loopback."""

    def __init__(self, *, engine: str = "", path: str = "") -> None:
        self.provider = Provider(engine=engine)
        if path:
            self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._sock.bind(path)
            self.url = f"unix:{path}"
        else:
            self._sock = socket.create_server(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{self._sock.getsockname()[1]}/v1"
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
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()

    def wait_for(self, condition: Callable[[Provider], bool], deadline_s: float = DEADLINE_S) -> None:
        provider = self.provider
        with provider.changed:
            assert provider.changed.wait_for(lambda: condition(provider), deadline_s), (
                "the provider did not get there"
            )
