"""Turning an admitted process into a child of the holder: environment, logs, pty, port, descriptors."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import stat
import struct
import termios
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.agents.transcript import VARIABLE as TRANSCRIPT
from aish.errors import AishError, StorageError, UnavailableError
from aish.model import kind
from aish.model.spec import ORDERED
from aish.supervisor.daemon import environ, ports, sockets
from aish.supervisor.daemon.fdstore import FdStore
from aish.supervisor.daemon.given import FIRST_FD
from aish.supervisor.daemon.logs import STREAMS
from aish.supervisor.daemon.sockets import Sockets
from aish.supervisor.daemon.tags import ERRAND
from aish.supervisor.daemon.tags import VARIABLE as TAG
from aish.supervisor.holder import wire
from aish.supervisor.holder.birth import candidates
from aish.wire import key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aish.supervisor.daemon.endpoint import Endpoint
    from aish.supervisor.daemon.environ import EnvironFiles
    from aish.supervisor.daemon.holding import Birth, Holding
    from aish.supervisor.daemon.logs import Logs
    from aish.supervisor.daemon.ports import Ports
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.reach import Reach
    from aish.supervisor.daemon.row import Row
    from aish.supervisor.daemon.sandboxes import Sandboxes, Start

_WINDOW: Final = (24, 80)
_FIRST_LINE_BYTES: Final = 256
"""As much of it as the kernel reads (BINPRM_BUF_SIZE)."""
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
        reach: Reach,
        has_socket: Callable[[Endpoint, str], str | None],
        transcript: Callable[[str], str],
        sandboxes: Sandboxes,
    ) -> None:
        self._transcript, self.sandboxes = transcript, sandboxes
        self.holding, self.logs, self.files, self.leases = holding, logs, files, leases
        self._reach = reach
        self.sockets, self.fdstore = Sockets(holding, has_socket), FdStore(holding)
        self.own_variables: Callable[[Process], dict[str, str]]
        """What one process alone has to know."""
        self._secret, self._epoch = secret, epoch
        self._gateway_url, self._gpu_environ = gateway_url, gpu_environ
        self._floor = None if os.geteuid() == 0 else Floor.here()

    async def start(self, process: Process, secrets: Mapping[str, str]) -> Birth:
        """Have the holder start it, or learn what an earlier call started. `secrets` are for its environment alone.

        Raises Refusal (the holder could not), AishError (we could not), DisconnectedError (nobody knows: ask again).
        """
        row = process.row
        launch = process.launch or self.files.load(row.id)
        if launch is None:
            raise UnavailableError(
                "its environment is gone: the runtime folder was emptied, or it was stopped while no disk took that"
            )
        ours: list[int] = []
        groups: list[int] = []
        try:
            passed, targets = await self._descriptors(process, ours)
            listening = await self._listening(process, ours, targets)
            added = {**self.added(row), **secrets, **self.own_variables(process), **listening}
            started = await self.sandboxes.start(
                row,
                ports.fill(row.spec.argv, row.port),
                environ.build(launch.environ, row.spec.secrets, added, self._own_key(row)),
                targets,
                program=row.spec.program,
            )
            _add(started, ours, targets)
            groups = self._reach.open(process)
            payload = wire.encode_payload(
                started.argv,
                started.env,
                row.spec.cwd,
                umask=launch.umask,
                nice=self._niceness(launch.nice if row.nice_limit is None else row.nice_limit),
                rlimits=capped(reachable(launch.rlimits, self._floor), self._reach.nproc(row)),
                pty=row.spec.pty,
                targets=targets,
                groups=len(groups),
                oom_score_adj=row.spec.oom_score_adj,
                ioprio=_ioprio(row.spec.ionice),
                program=started.program,
                listen_pid=bool(listening) and not started.enters,
            )
            return await self.holding.spawn(row.id, payload, [*groups, *passed, *ours])
        except wire.Refusal as error:
            error.details["interpreter"] = _missing_interpreter(error, row.spec.argv[0], row.spec.cwd, launch.environ)
            raise
        finally:
            for fd in (*ours, *groups):
                os.close(fd)

    async def start_errand(
        self, process: Process, id_: str, argv: Sequence[bytes], told: Mapping[str, str], out: int | None = None
    ) -> Birth:
        """A short command for a process: its folder, environment and logs (`out`: stdout in place of the log); no
        terminal, no limits of its own.

        Raises Refusal, AishError, DisconnectedError."""
        row = process.row
        launch = process.launch or self.files.load(row.id)
        if launch is None:
            raise UnavailableError("its environment is gone: the runtime folder was emptied")
        fds = [os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)]
        try:
            fds += [os.dup(out)] if out is not None else []
            self._add_logs(row, (1, 2) if out is None else (2,), fds)
            targets = [0, 1, 2]
            added = {**self.added(row), **told, ERRAND: id_}
            env = environ.build(launch.environ, row.spec.secrets, added, self._own_key(row))
            started = await self.sandboxes.start(row, ports.fill(argv, row.port), env, targets)
            _add(started, fds, targets)
            payload = wire.encode_payload(
                started.argv,
                started.env,
                row.spec.cwd,
                umask=launch.umask,
                nice=self._niceness(launch.nice),
                rlimits=reachable(launch.rlimits, self._floor),
                targets=targets,
            )
            return await self.holding.spawn(id_, payload, fds)
        finally:
            for fd in fds:
                os.close(fd)

    def _niceness(self, wanted: int) -> int:
        """What the holder can give a child, who may not be nicer to itself than it is."""
        return wanted if self._floor is None else max(wanted, self._floor.nice)

    def unheld(self, row: Row) -> list[str]:
        """Limits that are asked for and that nothing gives it here, as `aish limit` calls them."""
        lower = row.nice_limit is not None and self._niceness(row.nice_limit) > row.nice_limit
        return self._reach.unheld(row.spec.limits) + (["nice"] if lower else [])

    @property
    def lowest_nice(self) -> int | None:
        """None: whatever is asked for (root's)."""
        return None if self._floor is None else self._floor.nice

    def added(self, row: Row) -> dict[str, str]:
        """The variables that every supervised process gets. Pure but for what it asks."""
        url = self._gateway_url()
        variables = {"AISH_ID": row.id, "AISH_NAME": row.name, "AISH_GATEWAY_URL": url, TAG: self._reach.tag(row)}
        named = (*row.spec.secrets, *row.spec.secret_sources)
        own_key = self._own_key(row)
        if own_key and _OWN_ADDRESS not in named:
            base = f"{url}/v1"
            variables |= {"OPENAI_BASE_URL": base, "OPENAI_API_BASE": base, _OWN_ADDRESS: own_key}
        if row.spec.kind == kind.AGENT:
            variables[TRANSCRIPT] = self._transcript(row.id)
        if row.gpus:
            variables |= self._gpu_environ(row)
        return variables

    def _own_key(self, row: Row) -> str:
        """Its key at the gateway; "" where it has none, since it asks no models."""
        asks = row.spec.kind in (kind.COMMAND, kind.AGENT) and not row.spec.with_parent
        return key.derive(self._secret, row.id, self._epoch) if asks else ""

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
        if process.fds and self.holding.connected and self.holding.silence.why() is None:
            await self.holding.store(passed_name(process.id), process.fds)
            process.close_fds()

    async def _descriptors(self, process: Process, fds: list[int]) -> tuple[list[int], list[int]]:
        """Fill `fds` with descriptors that are ours to close; returns those that stay the process's until it has
        begun (a spawn that got lost is repeated), and the numbers of all in the child. Raises AishError."""
        row = process.row
        passed = list(process.fds)
        if row.targets and not passed:
            fds += await self.holding.fetch(passed_name(row.id))
        if len(passed) + len(fds) != len(row.targets):
            raise UnavailableError("the descriptors that it was given were lost with the daemon that had them")
        targets = list(row.targets)
        if row.spec.pty:
            fds += await self._pty(row, process.window)
            targets += [0, 1, 2]
            return passed, targets
        if 0 not in targets:
            fds.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
            targets.append(0)
        lacking = [number for number in (1, 2) if number not in targets]
        self._add_logs(row, lacking, fds)
        return passed, [*targets, *lacking]

    def _add_logs(self, row: Row, numbers: Sequence[int], fds: list[int]) -> None:
        """For 1 (stdout) and 2 (stderr) a file each, or one that is opened once. Raises StorageError."""
        for number in numbers:
            if row.spec.log == ORDERED and number != numbers[0]:
                fds.append(os.dup(fds[-1]))
            else:
                fds.append(self.logs.append(row.id, "out" if row.spec.log == ORDERED else STREAMS[number - 1]))

    async def _listening(self, process: Process, fds: list[int], targets: list[int]) -> dict[str, str]:
        """What sd_listen_fds(3) reads; the descriptors and their numbers are added to `fds` and `targets`."""
        spec = process.row.spec
        fds += (opened := await self.sockets.open(process))
        kept = await self.fdstore.fetch(process) if spec.kept_fds_most and not process.row.targets else []
        fds += [each.fd for each in kept]
        names = [*sockets.names(spec.sockets), *(each.name for each in kept)]
        if not names:
            return {}
        targets += range(FIRST_FD, FIRST_FD + len(opened) + len(kept))
        # The child itself knows its pid: the holder puts it in place of the 0.
        return {"LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(names), "LISTEN_PID": "0"}

    async def _pty(self, row: Row, window: tuple[int, int] | None) -> list[int]:
        """A new pty: the master lies in the holder, which drains it into the log; returns the slave, three times."""
        try:
            master, slave = os.openpty()
        except OSError as error:
            raise UnavailableError(f"no pseudo-terminal: {error.strerror}") from error
        try:
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *(window or _WINDOW), 0, 0))
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


def _add(started: Start, fds: list[int], targets: list[int]) -> None:
    """Descriptors of its sandbox, and their numbers."""
    for fd, target in started.passed:
        fds.append(fd)
        targets.append(target)


class Floor(NamedTuple):
    """What no child of this holder can get below (niceness) or above (hard limits): the daemon has the same."""

    nice: int
    hard: dict[str, int]

    @classmethod
    def here(cls) -> Floor:
        names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
        hard = {name[7:]: resource.getrlimit(getattr(resource, name))[1] for name in names}
        allowed = resource.getrlimit(resource.RLIMIT_NICE)[0]
        lowest = -20 if allowed == resource.RLIM_INFINITY else 20 - allowed  # as setrlimit(2) counts it
        return cls(min(os.getpriority(os.PRIO_PROCESS, 0), lowest), hard)


def reachable(limits: Mapping[str, tuple[int, int]], floor: Floor | None) -> dict[str, tuple[int, int]]:
    """The limits as the holder takes them, none above what it has itself (None: it is root's, and may all). Pure.

    A client from a shell with wider limits than the one that the supervisor came from would else start nothing.
    """
    wanted = {name.lower(): limit for name, limit in limits.items()}
    if floor is None:
        return wanted
    hard = {name.lower(): value for name, value in floor.hard.items()}
    return {
        name: (_least(soft, hard.get(name, -1)), _least(most, hard.get(name, -1)))
        for name, (soft, most) in wanted.items()
    }


def capped(limits: Mapping[str, tuple[int, int]], nproc: int | None) -> dict[str, tuple[int, int]]:
    """With no more processes of the user than `nproc`. Pure."""
    if nproc is None:
        return dict(limits)
    soft, hard = limits.get("nproc", (-1, -1))
    return {**limits, "nproc": (_least(soft, nproc), _least(hard, nproc))}


def _least(limit: int, bound: int) -> int:
    """The smaller one, where -1 is infinity."""
    if bound == -1:
        return limit
    return bound if limit == -1 else min(limit, bound)


def _ioprio(text: str | None) -> int | None:
    """ "idle", "best-effort:4" as ioprio_set(2) has it: class << 13 | level. Pure; want.check_spec has checked it."""
    if text is None:
        return None
    name, _, level = text.partition(":")
    number = {"realtime": 1, "best-effort": 2, "idle": 3}[name]
    return number << 13 | int(level or 4) if number != 3 else 3 << 13


def _missing_interpreter(error: wire.Refusal, word: bytes, cwd: bytes, env: Sequence[bytes]) -> str | None:
    """The program behind #! that is not there, where this is why exec found no file: the script itself is there."""
    if error.details.get("stage") != "exec" or error.details.get("errno") != errno.ENOENT:
        return None
    for path in candidates(word, env):
        try:
            fd = os.open(os.path.join(cwd, path), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            continue  # not there, or not readable: then we cannot tell more than the kernel did
        with open(fd, "rb") as stream:
            first = stream.read(_FIRST_LINE_BYTES).partition(b"\n")[0] if stat.S_ISREG(os.fstat(fd).st_mode) else b""
        words = first[2:].split()
        return words[0].decode(errors="backslashreplace") if first[:2] == b"#!" and words else None
    return None


def passed_name(id_: str) -> str:
    return f"fds.{id_}"


def pidfd_name(id_: str) -> str:
    return f"adopted.{id_}"


def pty_name(id_: str) -> str:
    return f"pty.{id_}"


def why(error: Exception) -> str:
    """Why a start failed, as a sentence."""
    if isinstance(error, wire.Refusal):
        stage, number = error.details.get("stage"), error.details.get("errno")
        text = os.strerror(number) if isinstance(number, int) else error.message
        match stage:
            case "exec":
                interpreter = error.details.get("interpreter")
                behind = f": its interpreter {interpreter}, in its first line" if interpreter else ""
                return f"the program cannot be run: {text}{behind}"
            case "cwd":
                return f"its folder cannot be entered: {text}"
            case "rlimit" | "nice" | "ioprio":
                return f"its {stage} cannot be set: {text}"
            case "oom":
                return f"its oom score cannot be set: {text}"
            case "group":
                return f"it cannot be put into its control group: {text}"
            case _:
                return f"it cannot be started: {error.message}"
    if isinstance(error, StorageError | AishError):
        return str(error)
    return f"it cannot be started: {error}"
