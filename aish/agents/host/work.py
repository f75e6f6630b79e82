"""The work of one host, turn by turn: each from its prompt to its end, whoever ends it."""

from __future__ import annotations

import asyncio
import copy
import os
import select
import shutil
import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from aish.agents import adapters, schema
from aish.agents.asked import refused
from aish.agents.ending import tell
from aish.agents.host import program_folder
from aish.agents.host.confinement import Confined
from aish.agents.host.desk import Desk
from aish.agents.host.turn import Turn
from aish.agents.stdout import DownstreamError
from aish.errors import AishError
from aish.spi.acting import Acting

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from aish.agents.agent import Agent
    from aish.agents.events import Events
    from aish.agents.host.conversations import Conversations
    from aish.agents.host.points import Kept
    from aish.agents.stdout import Stdout
    from aish.agents.transcript import Transcript
    from aish.sandbox.hosted import Sandbox
    from aish.spi.agent_adapter import AgentAdapter, Gateway, Task


GO_ON: Final = (
    "You were interrupted in the middle of the task below, and your session was resumed. Go on where you were: do "
    "not do again what is done already.\n\n{}"
)
"""To a program that is asked the same once more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """`task` makes one of a prompt; `folder` makes the private folder of a turn."""

    agent: Agent
    adapter: AgentAdapter
    task: Callable[[str], Task]
    gateway: Gateway
    program: str
    events: Events
    kept: Transcript
    sandbox: Sandbox | None
    talks: Conversations
    folder: Callable[[], str]

    @property
    def folder_kept(self) -> str | None:
        """Where its transcript is, as a supervised process; None: nobody keeps anything."""
        return os.path.dirname(self.kept.path) if self.kept.path and "AISH_ID" in os.environ else None

    def turn(self, prompt: str, point: Kept, out: Stdout, by: str | None = None) -> None:
        """To its end; `by`: a schema of this answer. Raises AishError, KeyboardInterrupt, DownstreamError; it is over
        by then, too."""
        task = self.task(prompt)
        task = replace(task, session=point.session or (task.session if point.begins else None))
        if point.resumed and task.session is not None:  # its session has what it did until then
            task = replace(task, prompt=GO_ON.format(prompt))
        task = task if by is None else self._by_schema(task, by)
        folder = self.folder()
        self.kept.write("prompt", text=prompt, agent=self.agent.name, adapter=self.adapter.name, model=task.model)
        status = "failed"
        try:
            until_done(self._turn(task, folder, point, out), out.fd)
            status = point.status = "done"
        except AishError:
            out.end()  # what it has said stays a line of its own
            raise
        except (asyncio.CancelledError, KeyboardInterrupt):
            status = point.status = "cancelled"
            raise KeyboardInterrupt from None
        finally:
            self.kept.write("end", status=status)
            shutil.rmtree(folder, ignore_errors=True)
            if self.kept.failure is not None:
                tell(f"{self.program}: {self.kept.failure}")
        self.events.emit("finished", output_bytes=out.written_bytes)

    def _by_schema(self, task: Task, by: str) -> Task:
        """Raises UsageError, SourceError."""
        if not adapters.answers_by_schema(self.adapter):
            raise refused(self.adapter.name)
        acting = copy.copy(task.acting or Acting())
        acting.schema = schema.of_word(by, task.cwd)
        return replace(task, acting=acting)

    def _stays(self) -> str | None:
        """Raises StorageError."""
        return None if self.folder_kept is None else program_folder.make(self.folder_kept)

    async def _turn(self, task: Task, folder: str, point: Kept, out: Stdout) -> None:
        confinement = None
        if self.sandbox is not None:
            stays = self._stays()
            confinement = Confined(self.sandbox, self.gateway.base_url, folder, task.cwd, stays)

        async with Desk() as desk:
            turn = Turn(
                task,
                self.gateway,
                folder,
                desk=desk,
                stdout=out,
                events=self.events,
                transcript=self.kept,
                note=lambda line: tell(f"{self.program}: {line}"),
                missing=self.adapter.missing,
                point=point,
                called=self.talks.is_called,
                confinement=confinement,
            )
            try:
                await self.adapter.run(task, turn)
                turn.check()
            finally:
                await turn.close()


def until_done(turn: Coroutine[Any, Any, None], out_fd: int) -> None:
    """Raises what the turn raises, KeyboardInterrupt for SIGINT, DownstreamError when our reader leaves. Whichever it
    is, the turn has ended by then: it was cancelled, and let its program know."""

    async def go() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(turn)
        left: list[BaseException] = []

        def end(why: BaseException) -> None:
            if not left:
                left.append(why)
            task.cancel()  # a second Ctrl-C cuts the farewell short

        loop.add_signal_handler(signal.SIGINT, end, KeyboardInterrupt())
        reader = _reader_gone(out_fd)
        if reader is not None:
            loop.add_reader(reader.fileno(), end, DownstreamError())
        try:
            await asyncio.wait([task])
        finally:
            if reader is not None:
                loop.remove_reader(reader.fileno())
                reader.close()
        if left:
            raise left[0]
        await task

    asyncio.run(go())


def _reader_gone(fd: int) -> select.epoll | None:
    """Readable when nobody reads a pipe or socket any more; None for a file."""
    epoll = select.epoll()
    try:
        epoll.register(fd, 0)
    except OSError:
        epoll.close()
        return None
    return epoll
