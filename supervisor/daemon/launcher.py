"""Turning an admitted process into a child of the holder: environment, logs, pty, port, descriptors."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from typing import TYPE_CHECKING, Final

from aish.errors import AishError, StorageError, UnavailableError
from aish.model import kind
from aish.supervisor.daemon import environ, ports
from aish.supervisor.daemon.logs import STREAMS
from aish.supervisor.holder import wire
from aish.wire import key

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.supervisor.daemon.environ import EnvironFiles
    from aish.supervisor.daemon.holding import Birth, Holding
    from aish.supervisor.daemon.logs import Logs
    from aish.supervisor.daemon.ports import Ports
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.row import Row

PASSED_MOST: Final = 60
"""Descriptors of a client; the holder takes 64 with the payload and the standard three."""
_WINDOW: Final = struct.pack("HHHH", 24, 80, 0, 0)
_OWN_ADDRESS: Final = "OPENAI_API_KEY"


class Launcher:
    """`gateway_url` and `gpu_environ` are asked at each start: what they tell may change between restarts."""

    def __init__(
        self,
        holding: Holding,
        logs: Logs,
        files: EnvironFiles,
        leases: Ports,
        *,
        secret: bytes,
        epoch: int,
        gateway_url: Callable[[], str],
        gpu_environ: Callable[[Row], dict[str, str]],
    ) -> None:
        self.holding, self.logs, self.files, self.leases = holding, logs, files, leases
        self._secret, self._epoch = secret, epoch
        self._gateway_url, self._gpu_environ = gateway_url, gpu_environ

    async def start(self, process: Process) -> Birth:
        """Have the holder start it, or learn what an earlier call started.

        Raises Refusal (the holder could not), AishError (we could not), DisconnectedError (nobody knows: ask again).
        """
        row = process.row
        launch = process.launch or self.files.load(row.id)
        if launch is None:
            raise UnavailableError("its environment is gone: the runtime folder was emptied while it waited")
        fds: list[int] = []
        try:
            targets = await self._descriptors(process, fds)
            payload = wire.encode_payload(
                ports.fill(row.spec, row.port),
                environ.build(launch.environ, row.spec.secrets, self.added(row)),
                row.spec.cwd,
                umask=launch.umask,
                nice=launch.nice,
                rlimits={name.lower(): limit for name, limit in launch.rlimits.items()},
                pty=row.spec.pty,
                targets=targets,
            )
            return await self.holding.spawn(row.id, payload, fds)
        finally:
            for fd in fds:
                os.close(fd)

    def added(self, row: Row) -> dict[str, str]:
        """The variables that every supervised process gets. Pure but for what it asks."""
        url = self._gateway_url()
        variables = {"AISH_ID": row.id, "AISH_NAME": row.name, "AISH_GATEWAY_URL": url}
        if row.spec.kind in (kind.COMMAND, kind.AGENT) and _OWN_ADDRESS not in row.spec.secrets:
            base = f"{url}/v1"
            variables |= {
                "OPENAI_BASE_URL": base,
                "OPENAI_API_BASE": base,
                _OWN_ADDRESS: key.derive(self._secret, row.id, self._epoch),
            }
        if row.gpus:
            variables |= self._gpu_environ(row)
        return variables

    def drop_socket(self, row: Row) -> None:
        """Remove the socket that a model of ours has left in the runtime folder."""
        url = row.spec.route.url if row.spec.route is not None else ""
        path = url.removeprefix("unix:")
        if path != url and os.path.dirname(path) == os.path.dirname(self.files.folder):
            try:
                os.unlink(path)
            except OSError:
                return  # the server removed it itself

    async def keep_passed(self, process: Process) -> None:
        """A process that has to wait: its client's descriptors go to the holder, where they outlive the daemon."""
        if process.fds:
            await self.holding.store(passed_name(process.id), process.fds)
            process.close_fds()

    async def _descriptors(self, process: Process, fds: list[int]) -> list[int]:
        """Fill `fds` with the child's descriptors; returns their numbers in the child. Raises AishError."""
        row = process.row
        targets: list[int] = []
        if row.targets:
            passed = process.fds or await self.holding.fetch(passed_name(row.id))
            process.fds = []
            fds += passed
            targets += row.targets
            if len(passed) != len(row.targets):
                raise UnavailableError("the descriptors that it was given were lost with the daemon that had them")
        if row.spec.pty:
            fds += await self._pty(row)
            targets += [0, 1, 2]
            return targets
        if 0 not in targets:
            fds.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
            targets.append(0)
        for number, stream in zip((1, 2), STREAMS, strict=True):
            if number not in targets:
                fds.append(self.logs.append(row.id, stream))
                targets.append(number)
        return targets

    async def _pty(self, row: Row) -> list[int]:
        """A new pty: the master lies in the holder, which drains it into the log; returns the slave, three times."""
        try:
            master, slave = os.openpty()
        except OSError as error:
            raise UnavailableError(f"no pseudo-terminal: {error.strerror}") from error
        try:
            fcntl.ioctl(slave, termios.TIOCSWINSZ, _WINDOW)
            log = self.logs.append(row.id, "out")
            try:
                await self.holding.store(pty_name(row.id), [master])
                await self.holding.drain(pty_name(row.id), log)
            finally:
                os.close(log)
            return [slave, os.dup(slave), os.dup(slave)]
        except BaseException:
            os.close(slave)
            raise
        finally:
            os.close(master)


def passed_name(id_: str) -> str:
    return f"fds.{id_}"


def pty_name(id_: str) -> str:
    return f"pty.{id_}"


def why(error: Exception) -> str:
    """Why a start failed, as a sentence."""
    if isinstance(error, wire.Refusal):
        stage, number = error.details.get("stage"), error.details.get("errno")
        text = os.strerror(number) if isinstance(number, int) else error.message
        match stage:
            case "exec":
                return f"the program cannot be run: {text}"
            case "cwd":
                return f"its folder cannot be entered: {text}"
            case "rlimit" | "nice":
                return f"its {stage} cannot be set: {text}"
            case _:
                return f"it cannot be started: {error.message}"
    if isinstance(error, StorageError | AishError):
        return str(error)
    return f"it cannot be started: {error}"
