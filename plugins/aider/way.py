"""With which words and variables Aider is started, and finds the gateway. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aish.errors import UsageError
from aish.model import client_environ
from aish.spi.agent_adapter import Command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aish.spi.agent_adapter import Gateway, Task

QUIET: Final = (
    *("--no-check-update", "--no-show-release-notes", "--no-show-model-warnings", "--no-analytics"),
    *("--no-stream", "--no-pretty", "--no-fancy-input", "--no-gitignore"),
)
_WEEK_S: Final = 7 * 24 * 3600


def headless(task: Task, gateway: Gateway, own: Mapping[str, str], message_file: str, *, repository: bool) -> Command:
    """One turn without a terminal; the prompt is in a file. `own`: the environment that it would have. Outside a
    repository it would make one: without a terminal it takes yes for an answer. Raises UsageError."""
    git = () if repository else ("--no-git",)
    words = (*_words(task), *QUIET, *_permissions(task), *git, "--message-file", message_file)
    return Command(argv=(task.program or "aider", *words), environ=environ(task, gateway, own))


def attached(task: Task, gateway: Gateway, own: Mapping[str, str]) -> Command:
    return Command(argv=(task.program or "aider", *_words(task)), environ=environ(task, gateway, own))


def message(task: Task) -> str:
    """It takes instructions only as a part of what it is asked."""
    return f"{task.instructions}\n\n{task.prompt}" if task.instructions else task.prompt


def _words(task: Task) -> tuple[str, ...]:
    if task.model is None:
        return task.arguments
    name = task.model if task.login == "own" else f"openai/{task.model}"
    patience = () if task.login == "own" else ("--timeout", str(_WEEK_S))
    return ("--model", name, "--weak-model", name, *patience, *task.arguments)


def _permissions(task: Task) -> tuple[str, ...]:
    """Nobody can be asked, so that who wants to be is told so. Denied, it answers and changes nothing."""
    match task.permissions:
        case "allow":
            return ("--yes-always",)
        case "deny":
            return ("--chat-mode", "ask")
        case _:
            raise UsageError(
                "aider cannot ask for permissions without a terminal",
                hint="permissions: allow lets it change what it wants; permissions: deny has it answer only",
            )


def environ(task: Task, gateway: Gateway, own: Mapping[str, str]) -> dict[str, str | None]:
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # it would fetch prices
    if task.login == "own":
        return {**quiet, **client_environ.withdrawn(gateway.base_url, gateway.key, own)}
    url = gateway.base_url
    return {**quiet, "OPENAI_API_KEY": gateway.key, "OPENAI_API_BASE": url, "OPENAI_BASE_URL": url}
