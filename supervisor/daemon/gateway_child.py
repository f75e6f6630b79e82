"""The gateway as a supervised process: one loopback address, kept over restarts, started at the first need.

The daemon binds the port once and keeps the listening socket in the holder's store, so that a connection made while
no gateway runs waits instead of failing: it starts the gateway, which accepts it. The socket is its descriptor 3.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Final

from aish.errors import StorageError, UnavailableError
from aish.model import kind
from aish.model.state import FAILED
from aish.supervisor.daemon.process import Process
from aish.supervisor.daemon.row import Row
from aish.supervisor.daemon.table import GATEWAY_ID
from aish.supervisor.holder import kernel
from aish.wire.spec import LaunchPart, RestartPart, SpecPart

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.supervisor.daemon.conductor import Conductor
    from aish.supervisor.daemon.recorder import Recorder
    from aish.supervisor.daemon.table import Table

LISTEN_FD: Final = 3
LISTEN_NAME: Final = f"fds.{GATEWAY_ID}"
BACKLOG: Final = 256
REST_S: Final = 5.0
ORPHAN_S: Final = 2.0


class GatewayChild:
    """`url` is what every process is told. `argv` is replaced in tests."""

    def __init__(self, table: Table, recorder: Recorder, state_folder: str, wanted_port: int) -> None:
        self.table, self.recorder = table, recorder
        self.argv: tuple[str, ...] = (sys.executable, "-P", "-m", "aish.supervisor.gateway")
        self.port = 0
        self.alert: str | None = None
        self.told: str | None = None
        """The gateway's own alert."""
        self.conductor: Conductor
        self.leaving: Callable[[], bool]
        self._file = os.path.join(state_folder, "gateway.json")
        self._wanted_port = wanted_port
        self._listener: socket.socket | None = None
        self._watching = False
        self._loop = asyncio.get_running_loop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def process(self) -> Process | None:
        return self.table.get(GATEWAY_ID)

    async def listen(self) -> None:
        """Have the listening socket: the holder's, else one bound now. Raises UnavailableError."""
        kept = await self.conductor.holding.fetch(LISTEN_NAME)
        if kept:
            self._listener = socket.socket(fileno=kept.pop())
            for fd in kept:
                os.close(fd)
        else:
            await self.end_orphan()
            self._listener = self._bind()
            await self.conductor.holding.store(LISTEN_NAME, [self._listener.fileno()])
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]

    async def end_orphan(self) -> None:
        """Keeper and holder died and took our copies of the socket with them; a gateway that lives on alone still has
        the port. It makes room; the next one has the same address."""
        process = self.process
        row = process.row if process is not None else None
        pidfd = kernel.pidfd_of(row.pid, row.start_ticks) if row is not None and row.pid is not None else None
        if pidfd is None:
            return
        try:
            for number, patience_s in ((signal.SIGTERM, ORPHAN_S), (signal.SIGKILL, ORPHAN_S)):
                signal.pidfd_send_signal(pidfd, number)
                if await _readable(pidfd, patience_s):
                    return
        except ProcessLookupError:
            return
        finally:
            os.close(pidfd)

    def _bind(self) -> socket.socket:
        """At the configured port, else the one used before, else any. A taken port is told, not fatal."""
        before = self._remembered()
        for port in dict.fromkeys((self._wanted_port or before, before, 0)):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
                sock.listen(BACKLOG)
            except OSError as error:
                sock.close()
                self.alert = f"port {port} of the gateway is taken ({error.strerror})"
                continue
            chosen = int(sock.getsockname()[1])
            if self.alert is not None:
                self.alert += f": it listens on {chosen} now; processes started before know the old one"
                self.recorder.event("gateway-port", text=self.alert, port=chosen)
            if chosen != before:
                self._remember(chosen)
            return sock
        raise UnavailableError("the gateway has no port on 127.0.0.1")

    def _remembered(self) -> int:
        try:
            with open(self._file, encoding="utf-8") as file:
                port = json.load(file).get("port", 0)
        except (OSError, ValueError, AttributeError):
            return 0
        return port if isinstance(port, int) and 0 <= port < 65536 else 0

    def _remember(self, port: int) -> None:
        new = f"{self._file}.new"
        try:
            with open(new, "w", encoding="utf-8") as file:
                json.dump({"port": port}, file)
            os.replace(new, self._file)
        except OSError as error:
            self.recorder.event("storage-failed", text=f"{self._file}: {error.strerror}: the port will change")

    def watch(self) -> None:
        """Start it at the first connection, unless it runs."""
        if self._listener is None or self._watching or self._lives():
            return
        process = self.process
        if (
            process is not None
            and process.row.lifecycle == FAILED
            and time.time() - (process.row.ended_s or 0) < REST_S
        ):
            self._loop.call_later(REST_S, self.watch)  # the connection that woke it still waits: no hot loop
            return
        self._watching = True
        self._loop.add_reader(self._listener.fileno(), self._knocked)

    def _lives(self) -> bool:
        process = self.process
        return process is not None and not process.row.ended

    def _knocked(self) -> None:
        if self.leaving():
            self.unwatch()  # a late client must not start it again while everything ends
            return
        try:
            self.ensure()
        except StorageError:
            self.unwatch()  # it cannot be noted down; the next need tries again

    def unwatch(self) -> None:
        if self._watching and self._listener is not None:
            self._watching = False
            self._loop.remove_reader(self._listener.fileno())

    def ensure(self) -> Process:
        """Have it run; returns its process, perhaps just starting. Raises StorageError."""
        self.unwatch()
        process = self.process
        if process is not None:
            if not process.row.ended:
                return process
            self.table.remove(process)
        now = time.time()
        environ = {name: value for name, value in os.environb.items() if name not in _FOREIGN}
        launch = LaunchPart(
            environ=[name + b"=" + value for name, value in environ.items()] + [b"LISTEN_FDS=1"], umask=0o077
        )
        spec = SpecPart(
            argv=[os.fsencode(word) for word in self.argv],
            cwd=b"/",
            name=GATEWAY_ID,
            kind=kind.SYSTEM,
            restart="always",
            restarts=RestartPart(most=None),
            grace_s=10.0,
        )
        row = Row(
            id=GATEWAY_ID,
            number=0,
            name=GATEWAY_ID,
            spec=spec,
            created_s=now,
            targets=[LISTEN_FD],
            umask=0o077,
        )
        process = Process(row)
        process.launch = launch
        self.conductor.launcher.files.save(row.id, launch)
        self.recorder.promise(row, "created")
        self.table.add(process)
        self.conductor.admitted(process)
        return process

    def close(self) -> None:
        self.unwatch()
        if self._listener is not None:
            self._listener.close()


async def _readable(fd: int, patience_s: float) -> bool:
    """Whether `fd` gets readable in time: a pidfd does when its process ends."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        async with asyncio.timeout(patience_s):
            await ready.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(fd)
    return True


_FOREIGN: Final = frozenset({b"LISTEN_FDS", b"LISTEN_PID", b"LISTEN_FDNAMES", b"NOTIFY_SOCKET"})
