"""How a program that speaks the Agent Client Protocol is started, and its one turn."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

from aish.errors import UnavailableError, UsageError
from aish.model import client_environ
from aish.spi.agent_adapter import Command, Meter, ProgramError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aish.spi.agent_adapter import Confinement, Gateway, Host, Task

LIBRARY = "acp"
LIBRARY_MISSING = "pip install 'aish-shell[acp]'"


class Adapter:
    """Implements aish.spi.agent_adapter.AgentAdapter. Others derive from it, and say how their program is started."""

    name = "acp"
    program = ""
    own_login: Meter = "none"
    confined = True
    keeps_conversation = True
    keeps_newest_only = True
    words: ClassVar[tuple[tuple[str, ...], ...]] = ((),)
    """That make the program speak the protocol; the next ones are for older versions, which end at once by these."""
    files: ClassVar[bool] = True
    """Whether it is offered that we read and write files for it."""
    login_hint: ClassVar[str] = "log in with the program itself, once"

    def missing(self) -> str | None:
        return None if find_spec(LIBRARY) else f"install the protocol's library with: {LIBRARY_MISSING}"

    def attached(self, task: Task, gateway: Gateway, folder: str) -> Command:
        raise UsageError(
            "the adapter acp has no terminal to offer: the protocol is spoken between programs",
            hint="give it a prompt: aish run @NAME WORDS",
        )

    def environ(self, task: Task, gateway: Gateway, folder: str) -> dict[str, str | None]:
        """How the program finds the gateway."""
        if task.login == "own":
            return own_environ(gateway, os.environ)
        environ: dict[str, str | None] = {**client_environ.variables(gateway.base_url, gateway.key, "all")}
        if task.model is not None:
            environ["AISH_MODEL"] = task.model
        return environ

    def model_words(self, task: Task) -> tuple[str, ...]:
        """By which the program knows its model from its start on."""
        return ()

    def of(self, task: Task) -> str:
        """The program. Raises UsageError."""
        if task.program or self.program:
            return task.program or self.program
        raise UsageError("the adapter `acp` needs a program", hint="program: NAME, in the front matter of its file")

    def placed(self, command: Command, task: Task, confinement: Confinement | None) -> Command:
        """With its conversations where its sandbox leaves them from turn to turn."""
        return command

    async def run(self, task: Task, host: Host) -> None:
        if find_spec(LIBRARY) is None:
            raise UnavailableError(
                "the library of the Agent Client Protocol is not installed",
                hint=f"install it with: {LIBRARY_MISSING}",
            )
        environ = self.environ(task, host.gateway, host.folder)
        *first, last = self.words
        for words in first:
            if await self._turn(task, host, words, environ, or_older=True):
                return
        await self._turn(task, host, last, environ, or_older=False)

    async def _turn(
        self, task: Task, host: Host, words: tuple[str, ...], environ: dict[str, str | None], *, or_older: bool
    ) -> bool:
        """False: this version of the program does not know the words."""
        from aish.plugins.acp.conversation import Conversation  # the library takes half a second to load

        argv = (self.of(task), *words, *self.model_words(task), *task.arguments)
        command = self.placed(Command(argv=argv, environ=environ), task, host.confinement)
        program = await host.start(command)
        async with Conversation(
            program, task, host, name=argv[0].rpartition("/")[2], files=self.files, login_hint=self.login_hint
        ) as conversation:
            try:
                await conversation.greet()
            except ProgramError:
                if or_older:
                    return False
                raise
            await conversation.turn()
        return True


def own_environ(gateway: Gateway, environ: Mapping[str, str]) -> dict[str, str | None]:
    """With its own login the program asks its vendor: our key is not for him, and no variable leads here. What the
    person has set is the login. Pure."""
    return client_environ.withdrawn(gateway.base_url, gateway.key, environ)
