"""How Gemini CLI finds the gateway: by Google's variables, and a settings file that chooses them for its login.

It takes the person's own login where a settings file names one. Those of the system go before the person's, and a
variable says where they are: so nothing of the person's is written to.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, ClassVar, Final

from aish.plugins.acp.adapter import Adapter as AcpAdapter
from aish.plugins.acp.adapter import own_environ
from aish.spi.agent_adapter import Command
from aish.wire import client_environ

if TYPE_CHECKING:
    from aish.spi.agent_adapter import Gateway, Task

SETTINGS: Final = "GEMINI_CLI_SYSTEM_SETTINGS_PATH"
SYSTEM_FILE: Final = "/etc/gemini-cli/settings.json"
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
            SETTINGS: _written(folder, os.environ.get(SETTINGS) or SYSTEM_FILE),
        }
        if task.model is not None:
            environ["GEMINI_MODEL"] = task.model
        return environ

    def model_words(self, task: Task) -> tuple[str, ...]:
        return ("--model", task.model) if task.model is not None else ()

    def attached(self, task: Task, gateway: Gateway, folder: str) -> Command:
        prompt = ("--prompt-interactive", task.prompt) if task.prompt else ()
        session = ("--resume", task.session) if task.session else ()
        argv = (self.of(task), *self.model_words(task), *session, *prompt, *task.arguments)
        return Command(argv=argv, environ=self.environ(task, gateway, folder))


def settings(theirs: dict[str, Any]) -> dict[str, Any]:
    """Those of the system, with our way of logging in. Pure."""
    security = theirs.get("security")
    security = dict(security) if isinstance(security, dict) else {}
    auth = security.get("auth")
    auth = dict(auth) if isinstance(auth, dict) else {}
    return {**theirs, "security": {**security, "auth": {**auth, "selectedType": "gemini-api-key"}}}


def _written(folder: str, system: str) -> str:
    """The path of our settings, which have what the system's have, too."""
    try:
        with open(system, encoding="utf-8") as file:
            theirs = json.load(file)
    except (OSError, ValueError):
        theirs = {}
    path = os.path.join(folder, "gemini-settings.json")
    with open(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w", encoding="utf-8"
    ) as file:
        json.dump(settings(theirs if isinstance(theirs, dict) else {}), file)
    return path
