"""A program that an adapter has started: whole lines in and out, bounded, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from typing import TYPE_CHECKING, Final

from aish.agents.host.splitting import Splitting
from aish.errors import NotFoundError, UnavailableError, UpstreamError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from aish.sandbox.hosted import Entered
    from aish.spi.agent_adapter import Command

    Confine = Callable[[Sequence[str], str, Mapping[str, str], str], Entered]
    """(argv, the program's path, environment, folder) -> what is started in their place."""

_PIECE_BYTES: Final = 1 << 16
LAST_S: Final = 1.0
"""For what was written before it ended, where one that it left behind has its stdout still."""
STOP_S: Final = 5.0
"""From SIGTERM to SIGKILL for a program that is left behind by its turn."""


class Child:
    """Implements aish.spi.agent_adapter.Program."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self._process, self._name = process, name
        self._pidfd: int | None = None
        with contextlib.suppress(ProcessLookupError):  # it has ended, and was reaped
            self._pidfd = os.pidfd_open(process.pid)
        self._gone = asyncio.Event()
        if self._pidfd is not None:
            asyncio.get_running_loop().add_reader(self._pidfd, self._end)
        else:
            self._gone.set()
        self._splitting = Splitting()

    def _end(self) -> None:
        if self._pidfd is not None:
            asyncio.get_running_loop().remove_reader(self._pidfd)
        self._gone.set()

    async def send(self, line: str) -> None:
        stdin = self._process.stdin
        if stdin is None or stdin.is_closing():
            raise UpstreamError(f"{self._name} does not read any more")
        try:
            stdin.write(line.encode("utf-8", "replace") + b"\n")
            await stdin.drain()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise UpstreamError(f"{self._name} does not read any more") from error

    async def lines(self) -> AsyncIterator[str]:
        stdout = self._process.stdout
        if stdout is None:
            return
        while data := await self._read(stdout):
            for line in self._splitting.feed(data):
                yield line
        for line in self._splitting.rest():
            yield line

    async def _read(self, stdout: asyncio.StreamReader) -> bytes:
        """Nothing where it is over: at the end of its stdout, or after its own."""
        reading = asyncio.ensure_future(stdout.read(_PIECE_BYTES))
        ended = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait((reading, ended), return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                await asyncio.wait((reading,), timeout=LAST_S)
            return reading.result() if reading.done() else b""
        finally:
            reading.cancel()
            ended.cancel()
            await asyncio.gather(reading, ended, return_exceptions=True)

    async def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def ended(self) -> int:
        """asyncio's own wait is for its pipes, too, in some versions: another process may have them yet."""
        await self._gone.wait()
        waiting = asyncio.ensure_future(self._process.wait())
        try:
            while (code := self._process.returncode) is None:
                await asyncio.wait((waiting,), timeout=0.02)
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        return code if code >= 0 else 128 - code

    def signal(self, number: int) -> None:
        """By its pidfd: subprocess's own way reaps what has just ended, and asyncio loses its status (3.11)."""
        if self._pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    async def stop(self) -> None:
        """It is not needed any more: TERM, then KILL. What it started is the supervisor's to end."""
        try:
            if self._process.returncode is None:
                await self.close()
                self.signal(signal.SIGTERM)
                async with asyncio.timeout(STOP_S):
                    await self.ended()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.ended()
        finally:
            # What it wrote last may wait in its pipe for ever, and asyncio has no other way to let go of that.
            self._process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001
            if self._pidfd is not None:
                asyncio.get_running_loop().remove_reader(self._pidfd)
                os.close(self._pidfd)
                self._pidfd = None


async def start(command: Command, cwd: str, missing: str | None, confine: Confine | None = None) -> Child:
    """In our process group, with default signals; `confine` puts its sandbox around it. Raises NotFoundError,
    UnavailableError."""
    environ = {**os.environ}
    for name, value in command.environ.items():
        if value is None:
            environ.pop(name, None)
        else:
            environ[name] = value
    program = command.argv[0]
    found = shutil.which(program, path=environ.get("PATH"))
    if found is None:
        raise NotFoundError(f"{program} is not installed", hint=missing or "install it, or name its path")
    argv, fds = list(command.argv), list[int]()
    if confine is not None:
        argv, environ, fds = confine(argv, found, environ, cwd)
        found = argv[0]
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            executable=found,
            pass_fds=fds,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=cwd,
            env=environ,
            limit=_PIECE_BYTES,
        )
    except OSError as error:
        raise UnavailableError(f"{program} cannot be started: {error.strerror}") from error
    finally:
        for fd in fds:
            os.close(fd)
    return Child(process, os.path.basename(program))
