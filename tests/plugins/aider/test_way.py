"""How Aider is started, and which of its lines are the answer."""

from __future__ import annotations

import pytest

from aish.errors import UsageError
from aish.plugins.aider import way
from aish.plugins.aider.lines import Lines
from aish.spi.agent_adapter import Gateway, Task

GATEWAY = Gateway(base_url="http://127.0.0.1:9/v1", key="aish-p1-secret")
SAID = """
Some warning of a library
Aider v0.86.2
Model: openai/osim with whole edit format
Git repo: .git with 0 files
Repo-map: using 1024 tokens, auto refresh

w0 w1

w2

Tokens: 425 sent, 4 received.
Cost: $0.01 message, $0.02 session.
"""


def test_the_answer_stands_between_what_it_says_of_itself() -> None:
    lines = Lines()
    assert [line for line in SAID.splitlines() if lines.answer(line)] == ["w0 w1", "", "w2", ""]


def test_by_the_gateway() -> None:
    command = way.headless(
        Task(prompt="x", model="small", permissions="allow"), GATEWAY, {}, "/private/m", repository=True
    )
    assert command.argv[:3] == ("aider", "--model", "openai/small")
    assert "--yes-always" in command.argv
    assert command.argv[-2:] == ("--message-file", "/private/m")
    assert command.environ["OPENAI_API_KEY"] == GATEWAY.key
    assert not any(GATEWAY.key in word for word in command.argv)


def test_who_wants_to_be_asked_is_told_that_it_cannot() -> None:
    with pytest.raises(UsageError, match="cannot ask"):
        way.headless(Task(prompt="x", model="m"), GATEWAY, {}, "m", repository=True)
    denied = way.headless(Task(prompt="x", model="m", permissions="deny"), GATEWAY, {}, "m", repository=True)
    assert "--yes-always" not in denied.argv
    assert denied.argv[denied.argv.index("--chat-mode") + 1] == "ask"


def test_its_own_login_is_left_alone_and_no_key_of_ours_is_beside_it() -> None:
    """It knows no GOOGLE_GEMINI_BASE_URL, which `aish env` told its shell: our key would go to Google."""
    ours = {"OPENAI_API_KEY": GATEWAY.key, "OPENAI_BASE_URL": GATEWAY.base_url}
    own = {**ours, "GEMINI_API_KEY": GATEWAY.key, "ANTHROPIC_API_KEY": "theirs", "ANTHROPIC_BASE_URL": GATEWAY.origin}
    command = way.headless(Task(prompt="x", login="own", permissions="allow"), GATEWAY, own, "m", repository=True)
    for name in (*ours, "GEMINI_API_KEY", "ANTHROPIC_BASE_URL"):
        assert command.environ[name] is None
    assert "ANTHROPIC_API_KEY" not in command.environ
    assert "--model" not in command.argv


def test_it_makes_no_repository() -> None:
    task = Task(prompt="x", permissions="deny")
    assert "--no-git" in way.headless(task, GATEWAY, {}, "m", repository=False).argv
    assert "--no-git" not in way.headless(task, GATEWAY, {}, "m", repository=True).argv


def test_instructions_stand_before_the_prompt() -> None:
    assert way.message(Task(prompt="x", instructions="Be brief.")) == "Be brief.\n\nx"
