"""How opencode finds the gateway: by a configuration in a variable, which goes before all its files."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, ClassVar, Final

from aish.errors import UsageError
from aish.model import client_environ
from aish.plugins.acp.adapter import Adapter as AcpAdapter
from aish.plugins.acp.adapter import own_environ
from aish.spi.agent_adapter import Command

if TYPE_CHECKING:
    from aish.spi.agent_adapter import Confinement, Gateway, Task

CONFIG: Final = "OPENCODE_CONFIG_CONTENT"
CONVERSATIONS: Final = "OPENCODE_DB"
"""A file; without it opencode.db in its data folder."""
NO_MODELS: Final = "OPENCODE_DISABLE_MODELS_FETCH"
"""It would ask its vendor which models there are: of ours he knows none, and in a sandbox a person would be asked."""
PROVIDER: Final = "aish"
ASKS: Final = ("edit", "bash", "webfetch")
"""What is asked for where nobody says otherwise: its own way is to ask for nothing."""


class Adapter(AcpAdapter):
    name = "opencode"
    program = "opencode"
    words: ClassVar[tuple[tuple[str, ...], ...]] = (("acp",),)
    files: ClassVar[bool] = False
    login_hint: ClassVar[str] = "log in with it, once: opencode auth login"
    passes_login = True

    def missing(self) -> str | None:
        return super().missing() or "install it: npm install -g opencode-ai"

    def environ(self, task: Task, gateway: Gateway, folder: str) -> dict[str, str | None]:
        if task.login == "own":
            return own_environ(gateway, os.environ)
        if task.login == "client":
            beside = json.dumps(passing(task, gateway))
            return {**own_environ(gateway, os.environ), CONFIG: beside}
        return {CONFIG: json.dumps(config(task, gateway)), NO_MODELS: "1"}

    def placed(self, command: Command, task: Task, confinement: Confinement | None) -> Command:
        from aish.agents.host import own_place

        usual = ".local/share/opencode/opencode.db"
        return own_place.given(command, confinement, CONVERSATIONS, usual, file="opencode.db")

    def attached(self, task: Task, gateway: Gateway, folder: str) -> Command:
        prompt = ("--prompt", task.prompt) if task.prompt else ()
        session = ("--session", task.session) if task.session else ()
        argv = (self.of(task), *session, *prompt, *task.arguments)
        return Command(argv=argv, environ=self.environ(task, gateway, folder))


def config(task: Task, gateway: Gateway) -> dict[str, Any]:
    """Pure."""
    model = task.model or "default"
    made: dict[str, Any] = {
        "provider": {
            PROVIDER: {
                "npm": "@ai-sdk/openai-compatible",
                "name": PROVIDER,
                "options": {"baseURL": gateway.base_url, "apiKey": gateway.key},
                "models": {model: {"name": model}},
            }
        },
        "enabled_providers": [PROVIDER],  # our key is in variables that it would take for that of a vendor
        "model": f"{PROVIDER}/{model}",
        "small_model": f"{PROVIDER}/{model}",
    }
    return {**made, **_permissions(task)}


def passing(task: Task, gateway: Gateway) -> dict[str, Any]:
    """Its own provider and the login that it has for that, asked at the gateway, with our key in a header beside it.
    Everything else of its configuration stays. Pure. Raises UsageError where no provider is named."""
    provider, _, model = (task.model or "").partition("/")
    if not provider or not model:
        raise UsageError(
            "opencode's own login is that of a provider, and its model names none",
            hint="model: PROVIDER/NAME, such as anthropic/claude-sonnet-4-5: `opencode auth list` has its providers",
        )
    options = {"baseURL": gateway.base_url, "headers": {client_environ.OWN_KEY: gateway.key}}
    return {
        "provider": {provider: {"options": options, "models": {model: {"name": model}}}},
        "enabled_providers": [provider],
        "model": f"{provider}/{model}",
        "small_model": f"{provider}/{model}",
        **_permissions(task),
    }


def _permissions(task: Task) -> dict[str, Any]:
    return {} if task.permissions == "allow" else {"permission": dict.fromkeys(ASKS, "ask")}
