"""With which words and variables Claude Code is started, and finds the gateway. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aish.model import client_environ
from aish.spi.agent_adapter import Command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aish.agents.host.bookmark import Bookmark
    from aish.spi.agent_adapter import Gateway, Task

CONFIG: Final = "CLAUDE_CONFIG_DIR"
"""Where it has its settings, its login and its conversations, if not in ~/.claude."""
HEADERS: Final = client_environ.ANTHROPIC_HEADERS
KEYS: Final = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
"""Where a login of its own may be, besides its files."""
HEADLESS: Final = (
    *("-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"),
    *("--permission-prompt-tool", "stdio"),
)
_OTHER_WAYS: Final = ("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY")
_NESTED: Final = ("CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT")
"""Set below a Claude Code that started us: ours is none of its."""
_SIZES: Final = ("FABLE", "OPUS", "SONNET", "HAIKU")
_OWN_CHOICE: Final = "default"
"""As a model's name Claude Code takes it for its own choice."""
_WEEK_MS: Final = str(7 * 24 * 3600 * 1000)
_PATIENCE: Final = ("API_TIMEOUT_MS", "CLAUDE_STREAM_FIRST_BYTE_TIMEOUT_MS", "CLAUDE_STREAM_IDLE_TIMEOUT_MS")
"""A request that a budget holds is waited for; given up, it would be asked again, and wait again."""


def headless(task: Task, gateway: Gateway, own: Mapping[str, str], branch: Bookmark | None = None) -> Command:
    """One turn without a terminal; the prompt goes to its stdin. `own`: the environment that it would have."""
    words = (*_begin(task), *HEADLESS, *_branched(branch), *_words(task))
    return Command(argv=words, environ=environ(task, gateway, own))


def attached(task: Task, gateway: Gateway, own: Mapping[str, str]) -> Command:
    prompt = ("--", task.prompt) if task.prompt else ()
    return Command(argv=(*_begin(task), *_words(task), *prompt), environ=environ(task, gateway, own))


def _begin(task: Task) -> tuple[str, ...]:
    return (task.program or "claude",)


def _branched(branch: Bookmark | None) -> tuple[str, ...]:
    """`--resume-session-at` is in no help text; its vendor's SDK uses it. The session is found from any folder."""
    if branch is None:
        return ()
    at = ("--resume-session-at", branch.at) if branch.at is not None else ()
    return ("--resume", branch.session, *at, "--fork-session")


def _words(task: Task) -> tuple[str, ...]:
    model = "sonnet" if task.model == _OWN_CHOICE and task.login == "gateway" else task.model
    return (
        *(("--model", model) if model else ()),
        *(("--append-system-prompt", task.instructions) if task.instructions else ()),
        *(("--resume", task.session) if task.session else ()),
        *task.arguments,
    )


def environ(task: Task, gateway: Gateway, own: Mapping[str, str]) -> dict[str, str | None]:
    """By its own login it goes the same way, with our key beside it."""
    made: dict[str, str | None] = {
        **dict.fromkeys(_NESTED),
        **dict.fromkeys(_PATIENCE, _WEEK_MS),
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    if task.login != "gateway":
        made |= dict.fromkeys(name for name in KEYS if own.get(name) == gateway.key)  # would go before the login
        made |= client_environ.variables(gateway.base_url, gateway.key, client_environ.ANTHROPIC_LOGIN)
        others = client_environ.other_headers(own.get(HEADERS, ""))
        made[HEADERS] = "\n".join([*others, str(made[HEADERS])])
        return made
    # ANTHROPIC_API_KEY would be asked about on a terminal, and stand beside a login; this one goes before both.
    made |= {**dict.fromkeys((*KEYS, *_OTHER_WAYS, HEADERS)), "ANTHROPIC_AUTH_TOKEN": gateway.key}
    made["ANTHROPIC_BASE_URL"] = gateway.origin
    if task.model is not None:
        # Helpers and requests in the background ask for models by their size.
        made |= {f"ANTHROPIC_DEFAULT_{size}_MODEL": task.model for size in _SIZES}
        made |= {"ANTHROPIC_SMALL_FAST_MODEL": task.model, "ANTHROPIC_MODEL": None}
        made["CLAUDE_CODE_DISABLE_1M_CONTEXT"] = "1"
    return made
