"""How Gemini CLI finds the gateway: by Google's variables, and settings that take them for its login (home.py)."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final

from aish.config import folders
from aish.model import client_environ
from aish.plugins.acp.adapter import Adapter as AcpAdapter
from aish.plugins.acp.adapter import own_environ
from aish.plugins.gemini import home
from aish.spi.agent_adapter import Command

if TYPE_CHECKING:
    from aish.spi.agent_adapter import Confinement, Gateway, Task

HOME: Final = "GEMINI_CLI_HOME"
OTHER_LOGINS: Final = ("GOOGLE_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_GCA")
"""Variables that would be another login."""


class Adapter(AcpAdapter):
    name = "gemini"
    program = "gemini"
    words: ClassVar[tuple[tuple[str, ...], ...]] = (("--acp",), ("--experimental-acp",))
    files: ClassVar[bool] = False
    login_hint: ClassVar[str] = "log in with it, once: gemini"

    def missing(self) -> str | None:
        return super().missing() or "install it: npm install -g @google/gemini-cli"

    def environ(self, task: Task, gateway: Gateway, folder: str) -> dict[str, str | None]:
        if task.login == "own":
            return own_environ(gateway, os.environ)
        environ: dict[str, str | None] = {
            **client_environ.variables(gateway.base_url, gateway.key, "gemini"),
            **dict.fromkeys(OTHER_LOGINS),
            HOME: home.make(os.path.join(folders.state(), "gemini"), os.environ.get(HOME) or os.path.expanduser("~")),
        }
        if task.model is not None:
            environ["GEMINI_MODEL"] = task.model
        return environ

    def placed(self, command: Command, task: Task, confinement: Confinement | None) -> Command:
        """Ours (home.py) is not in a sandbox. Of its settings only those of a sandbox are needed there: the
        person's, which have another login, are not."""
        if task.login == "own":
            from aish.agents.host import own_place

            return own_place.given(command, confinement, HOME, home.FOLDER)
        if confinement is None or confinement.stays is None:
            return command
        home.confine(confinement.stays)
        return replace(command, environ={**command.environ, HOME: confinement.stays})

    def model_words(self, task: Task) -> tuple[str, ...]:
        return ("--model", task.model) if task.model is not None else ()

    def attached(self, task: Task, gateway: Gateway, folder: str) -> Command:
        prompt = ("--prompt-interactive", task.prompt) if task.prompt else ()
        session = ("--resume", task.session) if task.session else ()
        argv = (self.of(task), *self.model_words(task), *session, *prompt, *task.arguments)
        return Command(argv=argv, environ=self.environ(task, gateway, folder))
