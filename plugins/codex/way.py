"""With which words and variables Codex is started, and finds the gateway. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from aish.spi.agent_adapter import Command

if TYPE_CHECKING:
    from aish.agents.host.bookmark import Bookmark
    from aish.spi.agent_adapter import Gateway, Task

PROVIDER: Final = "aish"
HOME: Final = "CODEX_HOME"
"""Where it has its settings, its login and its conversations, if not in ~/.codex."""
KEY: Final = "OPENAI_API_KEY"
"""Where Codex reads the key: it is in no argument, and in no file."""
_WEEK_MS: Final = 7 * 24 * 3600 * 1000
"""A request that a budget holds is waited for; given up, it would be asked again, and wait again."""


def headless(task: Task, gateway: Gateway) -> Command:
    """One turn without a terminal; everything else is said on its stdin. See `thread`."""
    return Command(argv=(*_begin(task, gateway), *task.arguments, "app-server"), environ=environ(task, gateway))


def attached(task: Task, gateway: Gateway) -> Command:
    """Its own terminal. `codex resume ID` where a session is gone on with."""
    words = (
        *(("resume",) if task.session else ()),
        *(("-c", _setting("model", task.model)) if task.model else ()),  # its verbs know -c of before them
        *(("-c", _setting("developer_instructions", task.instructions)) if task.instructions else ()),
        *task.arguments,
        *((task.session,) if task.session else ()),
        *(("--", task.prompt) if task.prompt else ()),
    )
    return Command(argv=(*_begin(task, gateway), *words), environ=environ(task, gateway))


def _begin(task: Task, gateway: Gateway) -> tuple[str, ...]:
    settings = _settings(gateway) if task.login == "gateway" else ()
    return (task.program or "codex", *(word for setting in settings for word in ("-c", setting)))


def _settings(gateway: Gateway) -> tuple[str, ...]:
    provider = f"model_providers.{PROVIDER}"
    return (
        _setting("model_provider", PROVIDER),
        _setting(f"{provider}.name", PROVIDER),
        _setting(f"{provider}.base_url", gateway.base_url),
        _setting(f"{provider}.env_key", KEY),
        _setting(f"{provider}.wire_api", "responses"),
        _setting(f"{provider}.stream_idle_timeout_ms", _WEEK_MS),
        _setting("check_for_update_on_startup", False),
    )


def _setting(name: str, value: object) -> str:
    """As TOML has it, whose texts, numbers and truths of one line are JSON's."""
    return f"{name}={json.dumps(value)}"


def environ(task: Task, gateway: Gateway) -> dict[str, str | None]:
    """By its own login it is left alone: the supervisor's variables are none of its."""
    if task.login == "own":
        return {KEY: None, "OPENAI_BASE_URL": None, "OPENAI_API_BASE": None}
    return {KEY: gateway.key, "OPENAI_BASE_URL": None, "CODEX_API_KEY": None}


def thread(task: Task, branch: Bookmark | None = None) -> tuple[str, dict[str, object]]:
    """The request that begins the conversation, goes on with it, or branches one. What is not said is as its own
    settings have it, sandbox and approvals included."""
    said: dict[str, object] = {"cwd": task.cwd}
    if task.model is not None:
        said["model"] = task.model
    if task.login == "gateway":
        said["modelProvider"] = PROVIDER
    if task.instructions:
        said["developerInstructions"] = task.instructions
    if task.session is not None:
        return "thread/resume", {**said, "threadId": task.session}
    if branch is not None:
        return "thread/fork", {**said, "threadId": branch.session, "lastTurnId": branch.at}
    return "thread/start", said
