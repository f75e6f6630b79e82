"""The tool that asks another agent: a supervised process below this one, within its budgets, with its own key."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Final, Self

from aish.agents import stub
from aish.client.aio import AsyncAish
from aish.errors import AishError
from aish.plugins.builtin.bound import Tail
from aish.plugins.builtin.declined import DeclinedError
from aish.plugins.builtin.wish import Wish, one_line

if TYPE_CHECKING:
    from aish.client.aio_process import AsyncProcess

ANSWER_BYTES: Final = 256 << 10
DEPTH: Final = "AISH_ASKED_DEPTH"
DEPTH_MOST: Final = 5
"""Agents below agents: who asks himself would do so until his budget is spent."""


class Child:
    async def ask(self, agent: str, task: str) -> str:
        """Give a task to another agent, and wait for its answer.

        Args:
            agent: The agent's name.
            task: All that it has to know: it sees nothing of this conversation.
        """
        name, env = named(agent), {**os.environ, **deeper()}
        try:
            async with AsyncAish(program="agent") as aish:
                spec = await asyncio.to_thread(stub.resolve, f"@{name}", [])
                with _Pipes() as pipes:
                    process = await aish.spawn(
                        spec, fds={0: pipes.their_in, 1: pipes.their_out}, env=env, rename=True
                    )
                    pipes.theirs_over()
                    return await _answer(process, pipes, task)
        except AishError as error:
            raise DeclinedError(f"@{one_line(agent)} could not be asked: {error}") from error

    def ask_wish(self, agent: str, task: str) -> Wish:
        name = one_line(agent.removeprefix("@"))
        return Wish(title=f"ask @{name}", body=task, grant=f"ask:{name}", always=f"asking @{name}")


async def _answer(process: AsyncProcess, pipes: _Pipes, task: str) -> str:
    output = Tail(ANSWER_BYTES)
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(pipes.feed(task.encode("utf-8", "replace")))
            both.create_task(pipes.drain(output))
        end = await process.wait()
    except BaseException:
        with contextlib.suppress(AishError, TimeoutError):
            async with asyncio.timeout(5.0):
                await process.stop(grace_s=2.0)
        raise
    if end.ok:
        return output.text() or "[no answer]"
    how = "how is not known" if end.lost else f"status {end.shell_status}{f', {end.reason}' if end.reason else ''}"
    return f"{output.text()}\n[@{process.name} failed: {how}; `aish logs {process.id}` tells more]"


def named(agent: str) -> str:
    """Without its @. A path is refused: it may have written that file itself, with permissions that it was not given.
    Raises DeclinedError."""
    if "/" in agent:
        raise DeclinedError(f"@{one_line(agent.removeprefix('@'))}: an agent has a name, not a path")
    return agent.removeprefix("@")


def deeper() -> dict[str, str]:
    """What tells the next one how deep it is. By the environment, since no process is told of what is above it.
    Raises DeclinedError."""
    told = os.environ.get(DEPTH, "")
    depth = int(told) if told.isascii() and told.isdecimal() and len(told) < 4 else 1
    if depth >= DEPTH_MOST:
        raise DeclinedError(f"{depth} agents are below each other already: do it yourself")
    return {DEPTH: str(depth + 1)}


class _Pipes:
    """The child's stdin and stdout, and our ends of them."""

    def __init__(self) -> None:
        self.their_in, self._in = os.pipe2(os.O_CLOEXEC)
        self._out, self.their_out = os.pipe2(os.O_CLOEXEC)
        self._open = {self.their_in, self._in, self._out, self.their_out}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in list(self._open):
            self._close(fd)

    def _close(self, fd: int) -> None:
        if fd in self._open:
            self._open.discard(fd)
            os.close(fd)

    def theirs_over(self) -> None:
        self._close(self.their_in)
        self._close(self.their_out)

    async def feed(self, data: bytes) -> None:
        os.set_blocking(self._in, False)
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._in, view) :]
            except BlockingIOError:
                await _ready(self._in, writing=True)
            except BrokenPipeError:
                break  # it does not read all of it: its affair
        self._close(self._in)

    async def drain(self, output: Tail) -> None:
        os.set_blocking(self._out, False)
        while True:
            try:
                piece = os.read(self._out, 1 << 16)
            except BlockingIOError:
                await _ready(self._out)
                continue
            if not piece:
                return
            output.feed(piece)


async def _ready(fd: int, *, writing: bool = False) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    add, remove = (loop.add_writer, loop.remove_writer) if writing else (loop.add_reader, loop.remove_reader)
    add(fd, ready.set)
    try:
        await ready.wait()
    finally:
        remove(fd)
