"""The tool that runs commands: a group of its own, bounded in time and output, ended as a whole."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Final

from aish.errors import AishError
from aish.plugins.builtin.bound import Tail
from aish.plugins.builtin.declined import DeclinedError
from aish.plugins.builtin.output import Output
from aish.plugins.builtin.wish import Wish, one_line
from aish.spi.agent_adapter import Entry
from aish.wire import question as q

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aish.spi.agent_adapter import Confinement

    Feed = tuple[Callable[[bytes], None], ...]

OUTPUT_BYTES: Final = 64 << 10
COMMAND_BYTES: Final = 100_000
"""A word of a command has at most 128 KiB (execve(2))."""
TIMEOUT_S: Final = 120
TIMEOUT_MOST_S: Final = 3600
STOP_S: Final = 2.0
"""From SIGTERM to SIGKILL."""
_PIECE_BYTES: Final = 1 << 16
_ENVIRON: Final = {"PAGER": "cat", "GIT_PAGER": "cat", "GIT_TERMINAL_PROMPT": "0", "TERM": "dumb"}
"""Nobody is there to press a key."""


class Shell:
    """`confinement` None: a command may do all that the user may. `tell` hears what one prints while it runs."""

    def __init__(
        self, cwd: str, confinement: Confinement | None = None, tell: Callable[[str], None] | None = None
    ) -> None:
        self._cwd, self._confinement, self._tell = cwd, confinement, tell

    async def shell(self, command: str, timeout_s: int = TIMEOUT_S) -> str:
        """Run a shell command in the working folder; what it prints, and its exit status. It has no stdin, and what
        it leaves in the background is ended with it.

        Args:
            command: The command, as typed at a shell.
            timeout_s: After so many seconds it is ended.
        """
        if len(command.encode("utf-8", "replace")) > COMMAND_BYTES or "\0" in command:
            raise DeclinedError("the command is too long, or no text: put it into a file, and run that")
        bash = shutil.which("bash")
        entry = entered([bash or "sh", "-c", command], self._cwd, self._confinement)
        return await run(entry, self._cwd, min(max(1, timeout_s), TIMEOUT_MOST_S), tell=self._tell)

    def shell_wish(self, command: str, timeout_s: int = TIMEOUT_S) -> Wish:
        return Wish(
            title=f"run: {one_line(command)}",
            body=command,
            form=q.COMMAND,
            grant=f"shell:{command}",
            always="this very command",
        )


def entered(argv: Sequence[str], cwd: str, confinement: Confinement | None, *, looking: bool = False) -> Entry:
    """What is started for `argv`. Raises DeclinedError."""
    environ = {**os.environ, **_ENVIRON}
    if confinement is None:
        return Entry(argv, environ)
    try:
        return confinement.enter(argv, environ, cwd, looking=looking)
    except AishError as error:
        raise DeclinedError(f"{argv[0]} cannot be started: {error}") from error


async def run(
    entry: Entry,
    cwd: str,
    timeout_s: float,
    output_bytes: int = OUTPUT_BYTES,
    tell: Callable[[str], None] | None = None,
) -> str:
    """Its descriptors are closed. Raises DeclinedError. Cancelled: its whole group has ended before this returns."""
    try:
        process = subprocess.Popen(
            entry.argv,
            cwd=cwd,
            env=entry.environ,
            pass_fds=entry.fds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    except (OSError, ValueError) as error:
        raise DeclinedError(f"{entry.argv[0]} cannot be started: {error}") from error
    finally:
        for fd in entry.fds:
            os.close(fd)
    group = _Group(process)
    output, told = Tail(output_bytes), Output(tell)
    feed = (output.feed, told.feed)
    timed_out, ended = False, False
    try:
        async with asyncio.timeout(timeout_s):
            await group.drain_until_ended(feed)
        ended = True
    except TimeoutError:
        timed_out = ended = True
    finally:
        await group.end(feed)
        told.end(whole=ended)
    text = output.text()
    if timed_out:
        return f"{text}\n[ended after {timeout_s:g} s]"
    code = process.returncode
    if code == 0:
        return text or "[no output]"
    how = f"exit status {code}" if code > 0 else f"ended by signal {-code}"
    return f"{text}\n[{how}]"


class _Group:
    """A started command whose group bears its pid. It is not reaped while the group may be signalled: until then
    nobody else can get its number."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._pidfd = os.pidfd_open(process.pid)
        assert process.stdout is not None
        self._out = process.stdout.fileno()
        os.set_blocking(self._out, False)
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._pidfd, self._ended.set)

    async def drain_until_ended(self, feed: Feed) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._out, self._drain, feed)
        try:
            await self._ended.wait()
        finally:
            loop.remove_reader(self._out)

    async def end(self, feed: Feed) -> None:
        """Whatever of the group is left; then reap its leader."""
        loop = asyncio.get_running_loop()
        try:
            if not self._ended.is_set():
                self._kill(signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(STOP_S):
                        await self._ended.wait()
        finally:
            self._kill(signal.SIGKILL)
            loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._process.wait()  # it has been killed, or has ended: at once
            self._drain(feed)
            assert self._process.stdout is not None
            self._process.stdout.close()

    def _kill(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _drain(self, feed: Feed) -> None:
        """What is there by now, a bounded amount at a time: a command that prints without end must not hold us."""
        for _ in range(16):
            try:
                piece = os.read(self._out, _PIECE_BYTES)
            except BlockingIOError:
                return
            if not piece:
                with contextlib.suppress(RuntimeError):
                    asyncio.get_running_loop().remove_reader(self._out)
                return
            for each in feed:
                each(piece)
