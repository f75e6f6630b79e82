"""The gateway and the egress proxy as supervised processes: an address each, kept over restarts, started at need.

The daemon binds the port once and keeps the listening socket in the holder's store, so that a connection made while
nobody serves it waits instead of failing: it starts the program, which accepts it. The socket is its descriptor 3;
where config.toml tells an address beside the loopback there is another behind it.
The same goes for the doors of sandboxes behind which the program is: those it gets later, from the daemon.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import re
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Final

from msgspec import structs

from aish.errors import StorageError, UnavailableError
from aish.model import kind
from aish.model.state import FAILED
from aish.supervisor.daemon import listening
from aish.supervisor.daemon.launcher import passed_name
from aish.supervisor.daemon.process import Process
from aish.supervisor.daemon.row import Row
from aish.supervisor.daemon.table import own_number
from aish.supervisor.holder import kernel
from aish.wire.spec import LaunchPart, RestartPart, SpecPart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from aish.supervisor.daemon.conductor import Conductor
    from aish.supervisor.daemon.recorder import Recorder
    from aish.supervisor.daemon.table import Table

LISTEN_FD: Final = 3
REST_S: Final = 5.0
ORPHAN_S: Final = 2.0


class SystemChild:
    """`id_` is its name, too, and that of its module; `url` is what processes are told. `address`: where
    it listens beside the loopback, `hosts`: what else it is called. `plain`: it has to do with
    nobody's keys, and its environment has none. `argv` is replaced in tests."""

    def __init__(
        self,
        id_: str,
        table: Table,
        recorder: Recorder,
        state_folder: str,
        *,
        wanted_port: int = 0,
        address: str = listening.LOOPBACK,
        hosts: Sequence[str] = (),
        plain: bool = False,
    ) -> None:
        self.id, self.table, self.recorder = id_, table, recorder
        self.argv: tuple[str, ...] = (sys.executable, "-P", "-m", f"aish.supervisor.{id_}")
        self.port = 0
        self.alert: str | None = None
        self.told: str | None = None
        """Its own alert."""
        self.conductor: Conductor
        self.leaving: Callable[[], bool]
        self.doors: Callable[[], Iterable[int]]
        self._file = os.path.join(state_folder, f"{id_}.json")
        self._wanted_port = wanted_port
        self._address, self._hosts = address, hosts
        self._listeners: list[socket.socket] = []
        self._plain = plain
        self._watched: set[int] | None = None
        """What starts it when somebody connects there; None: nothing does."""
        self._loop = asyncio.get_running_loop()

    @property
    def url(self) -> str:
        return f"http://{listening.LOOPBACK}:{self.port}"

    @property
    def beyond(self) -> list[str]:
        """Addresses by which other machines may reach it."""
        return listening.beyond(listening.where(self._listeners))

    @property
    def _listen_name(self) -> str:
        return passed_name(self.id)

    @property
    def process(self) -> Process | None:
        return self.table.get(self.id)

    async def listen(self) -> None:
        """Have the listening sockets: the holder's, else such as are bound now. Raises UnavailableError,
        StorageError."""
        kept = await self.conductor.holding.fetch(self._listen_name)
        if kept:
            self._listeners = [socket.socket(fileno=fd) for fd in kept]
        else:
            await self.end_orphan()
            self._listeners = self._bind()
            await self.conductor.holding.store(self._listen_name, [sock.fileno() for sock in self._listeners])
        for sock in self._listeners:
            sock.setblocking(False)
        self.port = self._listeners[0].getsockname()[1]
        self._equip()

    def configure(self, address: str, hosts: Sequence[str]) -> None:
        """config.toml was read again. Raises StorageError."""
        self._address, self._hosts = address, hosts
        self._equip()

    def behind(self) -> str | None:
        """That it listens elsewhere than config.toml says: its sockets are kept as long as anything of aish lives."""
        found = listening.where(self._listeners)
        if not found or self.alert is not None or found == listening.addresses(self._address):
            return None
        said = f"config.toml says {self._address}, which holds after `aish shutdown`"
        return f"the {self.id} listens on {' and '.join(found)}: {said}"

    def _equip(self) -> None:
        """One that has run before is begun again with these sockets, and the names that it has by now."""
        process = self.process
        if process is None or process.row.ended:
            return
        row, files = process.row, self.conductor.launcher.files
        row.spec, row.targets = structs.replace(row.spec, argv=self._words()), self._targets
        launch = files.load(row.id)
        count = self._count()
        if launch is None or count in launch.environ:
            return
        kept = [entry for entry in launch.environ if not entry.startswith(_COUNT)]
        files.save(row.id, structs.replace(launch, environ=[*kept, count]))

    def _words(self) -> list[bytes]:
        """The command. Only what was told to listen beyond the loopback serves a socket that does."""
        words = [*self.argv, *(["--beyond-loopback"] if self.beyond else [])]
        for name in self._hosts:
            words += ["--host", name]
        return [os.fsencode(word) for word in words]

    @property
    def _targets(self) -> list[int]:
        return list(range(LISTEN_FD, LISTEN_FD + len(self._listeners)))

    def _count(self) -> bytes:
        return _COUNT + str(len(self._listeners)).encode()

    async def end_orphan(self) -> None:
        """Keeper and holder died and took our copies of the socket with them; one that lives on alone still has the
        port. It makes room; the next one has the same address."""
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

    def _bind(self) -> list[socket.socket]:
        """At the configured port, else the one used before, else any. A taken port is told, not fatal."""
        before = self._remembered()
        first, *more = listening.addresses(self._address)
        for port in dict.fromkeys((self._wanted_port or before, before, 0)):
            try:
                sock = listening.listen(first, port)
            except OSError as error:
                self.alert = f"port {port} of the {self.id} is taken ({error.strerror})"
                continue
            chosen = int(sock.getsockname()[1])
            if self.alert is not None:
                self.alert += f": it listens on {chosen} now; processes started before know the old one"
                self.recorder.event("gateway-port", text=self.alert, port=chosen)
            if chosen != before:
                self._remember(chosen)
            return [sock, *filter(None, map(functools.partial(self._bind_also, chosen), more))]
        raise UnavailableError(f"the {self.id} has no port on {first}")

    def _bind_also(self, port: int, address: str) -> socket.socket | None:
        """At the same port. What is not this machine's, or taken, is told; on the loopback it is served."""
        try:
            return listening.listen(address, port)
        except OSError as error:
            text = f"the {self.id} cannot listen on {address} port {port} ({error.strerror})"
            self.recorder.event("gateway-port", text=text, port=port)
            self.alert = text
            return None

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
        if not self._listeners or self._watched is not None or self._lives():
            return
        process = self.process
        if (
            process is not None
            and process.row.lifecycle == FAILED
            and time.time() - (process.row.ended_s or 0) < REST_S
        ):
            self._loop.call_later(REST_S, self.watch)  # the connection that woke it still waits: no hot loop
            return
        self._watched = set()
        for fd in (*(sock.fileno() for sock in self._listeners), *self.doors()):
            self.knockable(fd)

    def knockable(self, fd: int) -> None:
        """Another place where somebody may connect. It is the caller's."""
        if self._watched is not None:
            self._watched.add(fd)
            self._loop.add_reader(fd, self._knocked)

    def unknockable(self, fd: int) -> None:
        """It is about to be closed."""
        if self._watched is not None and fd in self._watched:
            self._watched.remove(fd)
            self._loop.remove_reader(fd)

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
        watched, self._watched = self._watched or (), None
        for fd in watched:
            self._loop.remove_reader(fd)

    def ensure(self) -> Process:
        """Have it run; returns its process, perhaps just starting. Raises StorageError."""
        self.unwatch()
        process = self.process
        if process is not None:
            if not process.row.ended:
                return process
            self.table.remove(process)
        environ = {
            name: value
            for name, value in os.environb.items()
            if name not in _FOREIGN and (_PLAIN.fullmatch(name) or not self._plain)
        }
        launch = LaunchPart(
            environ=[name + b"=" + value for name, value in environ.items()] + [self._count()], umask=0o077
        )
        row = self.row()
        process = Process(row)
        process.launch = launch
        self.conductor.launcher.files.save(row.id, launch)
        self.recorder.promise(row, "created")
        self.table.add(process)
        self.conductor.admitted(process)
        return process

    def row(self) -> Row:
        """One of it that is about to be started."""
        spec = SpecPart(
            argv=self._words(),
            cwd=b"/",
            name=self.id,
            kind=kind.SYSTEM,
            restart="always",
            restarts=RestartPart(most=None),
            grace_s=10.0,
        )
        return Row(
            id=self.id,
            number=own_number(self.id),
            name=self.id,
            spec=spec,
            created_s=time.time(),
            targets=self._targets,
            umask=0o077,
        )

    def close(self) -> None:
        self.unwatch()
        for sock in self._listeners:
            sock.close()


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


_PLAIN: Final = re.compile(
    rb"(?:PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|TZ|TMPDIR|VIRTUAL_ENV)|(?:LC|XDG|AISH|PYTHON)_?.*"
    rb"|(?:HTTPS?|NO)_PROXY|(?:https?|no)_proxy|SSL_CERT_(?:FILE|DIR)"
)
"""What stays where there are to be no keys: settings, places, and by what the person goes out."""
_COUNT: Final = b"LISTEN_FDS="
_FOREIGN: Final = frozenset({b"LISTEN_FDS", b"LISTEN_PID", b"LISTEN_FDNAMES", b"NOTIFY_SOCKET"})
