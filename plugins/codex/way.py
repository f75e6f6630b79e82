"""With which words and variables Codex is started, and finds the gateway. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from aish.model.client_environ import OWN_KEY as OWN_HEADER
from aish.spi.agent_adapter import Command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aish.agents.host.bookmark import Bookmark
    from aish.spi.agent_adapter import Gateway, Task

PROVIDER: Final = "aish"
HOME: Final = "CODEX_HOME"
"""Where it has its settings, its login and its conversations, if not in ~/.codex."""
KEY: Final = "OPENAI_API_KEY"
"""Where Codex reads the key: it is in no argument, and in no file."""
OWN_KEY: Final = "CODEX_API_KEY"
"""A bearer of its own; without it the login is that of `codex login`."""
_BESIDE: Final = "AISH_GATEWAY_KEY"
"""Where it reads our key, for a header of its own beside its login."""
_WEEK_MS: Final = 7 * 24 * 3600 * 1000
"""A request that a budget holds is waited for; given up, it would be asked again, and wait again."""


def headless(task: Task, gateway: Gateway, own: Mapping[str, str]) -> Command:
    """One turn without a terminal; everything else is said on its stdin. See `thread`. `own`: the environment that it
    would have."""
    argv = (*_begin(task, gateway, own), *task.arguments, "app-server")
    return Command(argv=argv, environ=environ(task, gateway))


def attached(task: Task, gateway: Gateway, own: Mapping[str, str]) -> Command:
    """Its own terminal. `codex resume ID` where a session is gone on with."""
    words = (
        *(("resume",) if task.session else ()),
        *(("-c", _setting("model", task.model)) if task.model else ()),  # its verbs know -c of before them
        *(("-c", _setting("developer_instructions", task.instructions)) if task.instructions else ()),
        *task.arguments,
        *((task.session,) if task.session else ()),
        *(("--", task.prompt) if task.prompt else ()),
    )
    return Command(argv=(*_begin(task, gateway, own), *words), environ=environ(task, gateway))


def _begin(task: Task, gateway: Gateway, own: Mapping[str, str]) -> tuple[str, ...]:
    settings = () if task.login == "own" else _settings(task, gateway, own)
    return (task.program or "codex", *(word for setting in settings for word in ("-c", setting)))


def by_its_own_login(task: Task, own: Mapping[str, str]) -> bool:
    """Whether its bearer through the gateway is that of `codex login`."""
    return task.login == "client" and not own.get(OWN_KEY)


def _settings(task: Task, gateway: Gateway, own: Mapping[str, str]) -> tuple[str, ...]:
    provider = f"model_providers.{PROVIDER}"
    return (
        _setting("model_provider", PROVIDER),
        _setting(f"{provider}.name", PROVIDER),
        _setting(f"{provider}.base_url", gateway.base_url),
        *_bearer(task, provider, own),
        _setting(f"{provider}.wire_api", "responses"),
        _setting(f"{provider}.stream_idle_timeout_ms", _WEEK_MS),
        _setting("check_for_update_on_startup", False),
    )


def _bearer(task: Task, provider: str, own: Mapping[str, str]) -> tuple[str, ...]:
    """Where its bearer is. Beside one of its own our key is a header: `env_http_headers` names the variable."""
    if task.login == "gateway":
        return (_setting(f"{provider}.env_key", KEY),)
    beside = f"{provider}.env_http_headers={{{json.dumps(OWN_HEADER)} = {json.dumps(_BESIDE)}}}"
    if by_its_own_login(task, own):
        return beside, _setting(f"{provider}.requires_openai_auth", True)
    return beside, _setting(f"{provider}.env_key", OWN_KEY)


def _setting(name: str, value: object) -> str:
    """As TOML has it, whose texts, numbers and truths of one line are JSON's."""
    return f"{name}={json.dumps(value)}"


def environ(task: Task, gateway: Gateway) -> dict[str, str | None]:
    """By its own login the supervisor's variables are none of its."""
    none: dict[str, str | None] = {KEY: None, "OPENAI_BASE_URL": None, "OPENAI_API_BASE": None}
    if task.login == "own":
        return none
    if task.login == "client":
        return {**none, _BESIDE: gateway.key}
    return {KEY: gateway.key, "OPENAI_BASE_URL": None, "CODEX_API_KEY": None}


def thread(task: Task, branch: Bookmark | None = None) -> tuple[str, dict[str, object]]:
    """The request that begins the conversation, goes on with it, or branches one. What is not said is as its own
    settings have it, sandbox and approvals included."""
    said: dict[str, object] = {"cwd": task.cwd}
    if task.model is not None:
        said["model"] = task.model
    if task.login != "own":
        said["modelProvider"] = PROVIDER
    if task.instructions:
        said["developerInstructions"] = task.instructions
    if task.session is not None:
        return "thread/resume", {**said, "threadId": task.session}
    if branch is not None:
        return "thread/fork", {**said, "threadId": branch.session, "lastTurnId": branch.at}
    return "thread/start", said
